"""The people who may log in: added, changed, removed; what ends their log-ins; who must be left."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import pytest_asyncio

from emailhub.core.access import Role
from emailhub.core.errors import InvalidMessage, NotFound
from emailhub.core.user import Session
from emailhub.engine.desk import Actor
from emailhub.engine.logins import Attempt
from emailhub.engine.sessions import Sessions, digest
from tests.support.staff import MemoryUsers, People

NOW = 1_800_000_000.0
ANN = Actor("ann", "dashboard", "10.0.0.7")
PASSWORD = "correct horse battery"


@pytest_asyncio.fixture
async def people() -> People:
    return await People(admin="the admin's secret", at=NOW).load()


async def log_in(people: People, name: str = "vera", password: str = PASSWORD) -> str:
    return await people.logins.log_in(Attempt(name=name, password=password, client="10.0.0.9"))


@dataclass(frozen=True)
class Case:
    name: str = "vera"
    role: Role = Role.VIEWER
    password: str = PASSWORD


@pytest.mark.parametrize(
    ("case", "field"),
    (
        (Case(name=""), "name"),
        (Case(name="Vera"), "name"),
        (Case(name="vera from 10.0.0.1"), "name"),
        (Case(name="v" * 65), "name"),
        (Case(name="admin"), "name"),
        (Case(name="local"), "name"),
        (Case(password="short"), "password"),
        (Case(password="a" * 40), "password"),
        (Case(name="vera.the.first", password="Vera.The.First"), "password"),
        (Case(password="long" * 257), "password"),
    ),
)
async def test_a_name_or_password_that_breaks_a_rule_is_named_and_nothing_is_kept(
    people: People, case: Case, field: str
) -> None:
    with pytest.raises(InvalidMessage) as caught:
        await people.users.add(case.name, case.role, case.password, ANN)
    assert caught.value.problems[0].field == field
    assert people.store.users == {}


async def test_a_name_is_given_once(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    with pytest.raises(InvalidMessage, match="another user"):
        await people.users.add("vera", Role.OPERATOR, PASSWORD, ANN)


async def test_the_password_is_kept_as_its_hash_only(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    assert people.store.users["vera"][1] == await people.hasher.hash(PASSWORD)


@pytest.mark.parametrize("change", ("role", "password", "removal"))
async def test_another_role_or_password_or_removal_ends_every_log_in_at_once(people: People, change: str) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    tokens = [await log_in(people), await log_in(people)]
    other = await log_in(people, "admin", "the admin's secret")
    if change == "role":
        await people.users.set_role("vera", Role.OPERATOR, ANN)
    elif change == "password":
        await people.users.set_password("vera", "another long password", ANN)
    else:
        await people.users.remove("vera", ANN)
    assert [people.users.use(token, NOW) for token in tokens] == [None, None]
    assert [session.user for session in people.store.rows.values()] == ["admin"]
    assert people.users.use(other, NOW) is not None


async def test_whoever_gets_the_name_of_one_who_is_gone_gets_none_of_their_log_ins(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    token = await log_in(people)
    await people.users.remove("vera", ANN)
    assert not people.users.alive(token, NOW), "a stream ends, too"
    await people.users.add("vera", Role.OPERATOR, PASSWORD, ANN)
    assert people.users.use(token, NOW) is None


async def test_the_same_role_again_ends_nothing(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    token = await log_in(people)
    await people.users.set_role("vera", Role.VIEWER, ANN)
    assert people.users.use(token, NOW) is not None


async def test_what_is_done_to_users_is_told_with_who_and_why(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN, "joined")
    await people.users.set_role("vera", Role.OPERATOR, ANN, "on call")
    await people.users.set_password("vera", "another long password", ANN)
    await people.users.remove("vera", ANN, "left")
    assert [
        (deed.actor, deed.peer, deed.what, deed.target, deed.reason, deed.detail) for deed in people.store.deeds
    ] == [
        ("ann", "10.0.0.7", "user.add", "vera", "joined", "viewer"),
        ("ann", "10.0.0.7", "user.role", "vera", "on call", "operator"),
        ("ann", "10.0.0.7", "user.password", "vera", "", ""),
        ("ann", "10.0.0.7", "user.remove", "vera", "left", ""),
    ]


async def test_the_operator_of_the_settings_is_changed_there_only(people: People) -> None:
    for change in (
        people.users.set_role("admin", Role.VIEWER, ANN),
        people.users.set_password("admin", PASSWORD, ANN),
        people.users.remove("admin", ANN),
    ):
        with pytest.raises(InvalidMessage, match="EMAILHUB_ADMIN_PASSWORD"):
            await change


async def test_nobody_is_changed_who_is_not_there(people: People) -> None:
    for change in (people.users.set_role("eve", Role.VIEWER, ANN), people.users.remove("eve", ANN)):
        with pytest.raises(NotFound):
            await change


async def test_there_is_always_an_operator_as_long_as_there_is_anybody() -> None:
    people = await People(admin=None, at=NOW).load()
    with pytest.raises(InvalidMessage, match="operator for the first user"):
        await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    await people.users.add("olga", Role.OPERATOR, PASSWORD, ANN)
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    for change in (people.users.set_role("olga", Role.VIEWER, ANN), people.users.remove("olga", ANN)):
        with pytest.raises(InvalidMessage, match="only operator"):
            await change
    await people.users.remove("vera", ANN)
    await people.users.remove("olga", ANN)
    assert not people.users.guards


async def test_log_ins_and_users_are_there_after_a_restart(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, PASSWORD, ANN)
    vera, admin = await log_in(people), await log_in(people, "admin", "the admin's secret")
    again = await People(MemoryUsers(people.store.kept), admin="the admin's secret", at=NOW + 60).load()
    assert [user.name for user in again.users.all()] == ["admin", "vera"]
    for token in (vera, admin):
        assert again.users.use(token, NOW + 60) is not None


@pytest.mark.parametrize("secret", ("another secret of the admin", None))
async def test_another_password_in_the_settings_ends_the_log_ins_of_admin(people: People, secret: str | None) -> None:
    await people.users.add("olga", Role.OPERATOR, PASSWORD, ANN)
    olga, admin = await log_in(people, "olga"), await log_in(people, "admin", "the admin's secret")
    again = await People(MemoryUsers(people.store.kept), admin=secret, at=NOW).load()
    assert again.users.use(admin, NOW) is None
    assert again.users.use(olga, NOW) is not None
    assert "admin" not in {session.user for session in again.store.rows.values()}


async def test_the_password_in_the_settings_may_be_a_hash() -> None:
    people = await People(admin="$argon2id$v=19$of-something", at=NOW).load()
    assert people.users.hash_of("admin") == "$argon2id$v=19$of-something"
    assert people.store.admin_hash == "$argon2id$v=19$of-something"


async def test_use_is_noted_now_and_then_and_what_is_over_is_forgotten(people: People) -> None:
    token = await log_in(people, "admin", "the admin's secret")
    people.users.use(token, NOW + 59)
    await people.users.note()
    assert people.store.touched == []
    people.users.use(token, NOW + 61)
    await people.users.note()
    assert [session.seen for session in people.store.touched] == [NOW + 61]
    await people.users.note()
    assert len(people.store.touched) == 1
    people.now = NOW + 61 + 1800
    await people.users.note()
    assert people.store.rows == {}


def test_a_session_ends_by_disuse_and_by_age() -> None:
    sessions = Sessions(lambda: "t", idle=100, absolute=250)
    token, session = sessions.make("vera", "", "Firefox", NOW)
    sessions.add([session])
    assert sessions.use(token, NOW + 99)
    assert sessions.use(token, NOW + 198)
    assert sessions.find(token, NOW + 249)
    assert not sessions.find(token, NOW + 250)
    assert not sessions.use(token, NOW + 298)


def test_sessions_are_bounded_and_make_room_by_last_use() -> None:
    tokens = iter("abc")
    sessions = Sessions(lambda: next(tokens), capacity=3)
    held = []
    for _ in range(3):
        token, session = sessions.make("vera", "", "", NOW)
        held.append(token)
        sessions.add([session])
    assert sessions.use(held[0], NOW + 1)
    assert sessions.crowd() == [digest(held[1])]


def test_a_session_keeps_the_hash_of_its_token_and_a_short_name_of_the_browser() -> None:
    token, session = Sessions(lambda: "secret").make("vera", "10.0.0.1", "x" * 5000, NOW)
    assert token == "secret"
    assert b"secret" not in session.digest
    assert session == Session(
        digest=digest("secret"), user="vera", began=NOW, seen=NOW, peer="10.0.0.1", agent="x" * 160
    )
