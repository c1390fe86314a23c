"""Users and their log-ins on the disk: kept, changed, ended, each with its entry in the audit log."""

from __future__ import annotations

from pathlib import Path

from emailhub.adapters.sqlite.users import PLACES, SqliteUsers
from emailhub.core.access import Role
from emailhub.core.audit import Deed
from emailhub.core.user import Session, User
from tests.support.factories import NOW, Store, opened

VERA = User(name="vera", role=Role.VIEWER, since=NOW)


def deed(what: str) -> Deed:
    return Deed(at=NOW, actor="ann", what=what, target="vera")


def session(digest: bytes, user: str = "vera", seen: float = NOW) -> Session:
    return Session(digest=digest, user=user, began=NOW, seen=seen, peer="10.0.0.9", agent="Firefox")


async def logged(store: Store) -> list[str]:
    return [what for (what,) in await store.rows("SELECT what FROM audit ORDER BY id")]


async def test_what_is_kept_is_read_back_by_the_next_start(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        await users.add(VERA, "$hash", deed("user.add"))
        await users.keep_admin("$admin")
        await users.begin(session(b"1"), "10.0.0.9", [], deed("session.begin"))
        await users.begin(session(b"2", "admin"), "2001:db8::/64", [], deed("session.begin"))
    async with opened(tmp_path / "hub.db") as store:
        kept = await SqliteUsers(store.database).load()
        assert kept.users == ((User(name="vera", role=Role.VIEWER, since=NOW, last_login=NOW), "$hash"),)
        assert sorted(kept.sessions, key=lambda one: one.digest) == [session(b"1"), session(b"2", "admin")]
        assert kept.places == {("vera", "10.0.0.9"), ("admin", "2001:db8::/64")}
        assert kept.admin_hash == "$admin"
        assert await logged(store) == ["user.add", "session.begin", "session.begin"]


async def test_a_change_ends_the_log_ins_of_that_user_in_the_same_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        await users.add(VERA, "$hash", deed("user.add"))
        for digest, user in ((b"1", "vera"), (b"2", "vera"), (b"3", "admin")):
            await users.begin(session(digest, user), "10.0.0.9", [], deed("session.begin"))
        await users.change(User(name="vera", role=Role.OPERATOR, since=NOW), "$other", deed("user.role"))
        kept = await users.load()
        assert [one.digest for one in kept.sessions] == [b"3"]
        assert [(user.role, hash) for user, hash in kept.users] == [(Role.OPERATOR, "$other")]
        assert (await logged(store))[-1] == "user.role"


async def test_who_is_removed_leaves_nothing_but_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        await users.add(VERA, "$hash", deed("user.add"))
        await users.begin(session(b"1"), "10.0.0.9", [], deed("session.begin"))
        await users.remove("vera", deed("user.remove"))
        kept = await users.load()
        assert (kept.users, kept.sessions, kept.places) == ((), (), frozenset())
        assert await logged(store) == ["user.add", "session.begin", "user.remove"]


async def test_a_log_in_takes_the_place_of_those_it_ends(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        await users.begin(session(b"1"), "10.0.0.9", [], deed("session.begin"))
        await users.begin(session(b"2"), "10.0.0.9", [b"1"], deed("session.begin"))
        assert [one.digest for one in (await users.load()).sessions] == [b"2"]


async def test_ends_and_uses_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        for digest in (b"1", b"2", b"3"):
            await users.begin(session(digest), "10.0.0.9", [], deed("session.begin"))
        await users.end([b"1"], deed("session.end"))
        await users.end([b"2"])
        await users.touch([session(b"3", seen=NOW + 90)])
        assert [(one.digest, one.seen) for one in (await users.load()).sessions] == [(b"3", NOW + 90)]
        assert (await logged(store))[3:] == ["session.end"]


async def test_another_password_in_the_settings_ends_the_log_ins_of_admin_only(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        await users.keep_admin("$old")
        for digest, user in ((b"1", "admin"), (b"2", "vera")):
            await users.begin(session(digest, user), "10.0.0.9", [], deed("session.begin"))
        await users.keep_admin("$new")
        kept = await users.load()
        assert ([one.digest for one in kept.sessions], kept.admin_hash) == ([b"2"], "$new")
        await users.keep_admin(None)
        assert (await users.load()).admin_hash is None


async def test_the_latest_places_of_a_user_are_remembered_and_no_more(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        users = SqliteUsers(store.database)
        for number in range(PLACES + 3):
            one = Session(digest=bytes([number]), user="vera", began=NOW + number, seen=NOW, peer="", agent="")
            await users.begin(one, f"10.0.0.{number}", [], deed("session.begin"))
        places = {place for _, place in (await users.load()).places}
        assert places == {f"10.0.0.{number}" for number in range(3, PLACES + 3)}


async def test_the_file_holds_no_token_that_logs_in(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        columns = await store.rows("SELECT name FROM pragma_table_info('session')")
        assert {name for (name,) in columns} == {"digest", "user", "began", "seen", "peer", "agent"}
