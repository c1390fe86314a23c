"""What the database keeps beside mail, and is made to do with it while its disk breaks: see `tests.crash.deeds`.

Each is seen as one line, with the number of its entries in the audit log: half of a commit is a line that is not among
its steps.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emailhub.adapters.sqlite.bulk import SqliteBulk
from emailhub.adapters.sqlite.keys import SqliteKeys
from emailhub.adapters.sqlite.letters import SqliteLetters
from emailhub.adapters.sqlite.templates import SqliteTemplates
from emailhub.adapters.sqlite.users import SqliteUsers
from emailhub.core import audit
from emailhub.core.access import Role
from emailhub.core.api_key import DAY, ApiKey, Grant, Revocation, Secret, Use
from emailhub.core.bulk import Action, Order
from emailhub.core.errors import NotFound
from emailhub.core.message import Limits, Submission
from emailhub.core.mime import new_id
from emailhub.core.records import DeadLetter, Filter, Origin, Receipt
from emailhub.core.stored import Change, Label, Wording
from emailhub.core.user import Session, User
from emailhub.engine.desk import Actor
from emailhub.engine.letters import DeadLetters
from tests.support.factories import NOW, Store, opened, parcel

Told = Callable[[str], None]
Attempt = Callable[[Callable[[], Awaitable[Any]]], Awaitable[bool]]
"""Runs a verb; False when the outbox refused it."""
Verb = Callable[[], Awaitable[Any]]


async def _in_turn(attempt: Attempt, told: Told, *verbs: tuple[str, Verb]) -> None:
    """Each verb, and what may be told of it then (some names, or none), until one is refused."""
    for names, verb in verbs:
        if not await attempt(verb):
            return
        for name in names.split():
            told(name)


async def _entries(store: Store, noun: str, target: str) -> int:
    sql = "SELECT count(*) FROM audit WHERE what LIKE ? AND target = ?"
    return int((await store.rows(sql, f"{noun}.%", target))[0][0])


# Users and their log-ins.


def _user(what: str) -> audit.Deed:
    return audit.Deed(at=NOW, actor="ann", what=f"user.{what}", target="vera")


def _session(digest: bytes, user: str = "vera") -> Session:
    return Session(digest=digest, user=user, began=NOW, seen=NOW, peer="10.0.0.9")


async def an_admin(path: Path) -> None:
    async with opened(path) as store:
        users = SqliteUsers(store.database)
        await users.keep_admin("$old")
        await users.begin(_session(b"0", "admin"), "10.0.0.9", [], _user("login"))


async def people_come_and_go(store: Store, attempt: Attempt, told: Told) -> None:
    users = SqliteUsers(store.database)
    vera, other = (User(name="vera", role=role, since=NOW) for role in (Role.VIEWER, Role.OPERATOR))
    await _in_turn(
        attempt,
        told,
        ("vera", lambda: users.add(vera, "$1", _user("add"))),
        ("vera", lambda: users.begin(_session(b"1"), "10.0.0.9", [], _user("login"))),
        ("vera", lambda: users.begin(_session(b"2"), "10.0.0.9", [b"1"], _user("login"))),
        ("vera", lambda: users.change(other, "$2", _user("role"))),
        ("vera", lambda: users.begin(_session(b"3"), "10.0.0.9", [], _user("login"))),
        ("vera", lambda: users.end([b"3"], _user("logout"))),
        ("admin", lambda: users.keep_admin("$new")),
        ("vera", lambda: users.remove("vera", _user("remove"))),
    )


PEOPLE = {
    "vera": (
        "nobody [] 1",
        "viewer $1 [] 2",
        "viewer $1 [1] 3",
        "viewer $1 [2] 4",
        "operator $2 [] 5",
        "operator $2 [3] 6",
        "operator $2 [] 7",
        "nobody [] 8",
    ),
    "admin": ("$old [0]", "$new []"),
}


async def the_people(store: Store) -> dict[str, str]:
    kept = await SqliteUsers(store.database).load()
    inside = {
        name: ",".join(one.digest.decode() for one in kept.sessions if one.user == name) for name in ("vera", "admin")
    }
    (vera,) = [f"{user.role.value} {hash}" for user, hash in kept.users] or ["nobody"]
    assert vera != "nobody" or {user for user, _ in kept.places} == {"admin"}
    return {
        "vera": f"{vera} [{inside['vera']}] {await _entries(store, 'user', 'vera')}",
        "admin": f"{kept.admin_hash} [{inside['admin']}]",
    }


# API keys.

FIRST_MAIL, SECOND_MAIL = (new_id(NOW + at, bytes(10)) for at in (1, 3))
_ONE, _TWO, _OTHER = (bytes([number]) * 32 for number in (1, 2, 3))


def _key(name: str, *secrets: Secret, revoked: Revocation | None = None) -> ApiKey:
    grant = Grant(name=name, quota=10)
    return ApiKey(id=name, grant=grant, created_at=NOW, created_by="ann", secrets=secrets, revoked=revoked)


def _save(store: Store, key: ApiKey, kind: str) -> Verb:
    return partial(SqliteKeys(store.database).save, key, kind, NOW, {"actor": "ann"})


async def a_key(path: Path) -> None:
    async with opened(path) as store:
        await _save(store, _key("one", Secret(_ONE, "s1", NOW)), "key_created")()


async def keys_change(store: Store, attempt: Attempt, told: Told) -> None:
    both = (Secret(_TWO, "s2", NOW + 1), Secret(_ONE, "s1", NOW, NOW + DAY))
    use = Use(int(NOW // DAY), 1, {_TWO: NOW + 1})
    await _in_turn(
        attempt,
        told,
        ("one", _save(store, _key("one", *both), "key_rotated")),
        (FIRST_MAIL, lambda: store.outbox.add_all([parcel(FIRST_MAIL, accepted_at=NOW + 1)])),
        ("use", lambda: SqliteKeys(store.database).note({"one": use}, NOW + 2)),
        (SECOND_MAIL, lambda: store.outbox.add_all([parcel(SECOND_MAIL, accepted_at=NOW + 3)])),
        ("two", _save(store, _key("two", Secret(_OTHER, "s3", NOW)), "key_created")),
        ("one", _save(store, _key("one", *both, revoked=Revocation(NOW, "ann")), "key_revoked")),
    )


KEYS = {
    "one": ("s1 live 1", "s2,s1 live 2", "s2,s1 revoked 3"),
    "two": ("none", "s3 live 1"),
    "use": ("None", str(NOW + 1)),
}


async def the_keys(store: Store) -> dict[str, str]:
    found = {"two": "none"}
    given = (await store.rows("SELECT count(*) FROM message"))[0][0]
    for key, use in await SqliteKeys(store.database).all():
        state = "revoked" if key.revoked else "live"
        starts = ",".join(secret.start for secret in key.secrets)
        found[key.id] = f"{starts} {state} {await _entries(store, 'key', key.id)}"
        if key.id == "one":
            found["use"] = str(use.last)
            assert use.given_on(NOW) == given, "the day's quota counts what was accepted, no more and no less"
    return found


# Jobs over many messages.


async def four_queued(path: Path) -> None:
    async with opened(path) as store:
        await store.outbox.add_all([parcel(id) for id in "ABCD"])


async def jobs_run(store: Store, attempt: Attempt, told: Told) -> None:
    bulk = SqliteBulk(store.database)

    def start(id: str, *ids: str) -> Verb:
        order = Order(action=Action.CANCEL, filter=Filter(ids=ids), query="all", upto=4, reason="r", actor="ann")
        return lambda: bulk.add(id, order, len(ids), NOW)

    async def step(id: str, some: int) -> None:
        found = await bulk.candidates(await bulk.find(id), some)
        await bulk.step(id, found, lambda _: ["default"], NOW, NOW + DAY)

    await _in_turn(
        attempt,
        told,
        ("j1", start("j1", "A", "B")),
        ("j1 A B", lambda: step("j1", 2)),
        ("j1", lambda: bulk.finish("j1", NOW)),
        ("j2", start("j2", "C", "D")),
        ("j2 C", lambda: step("j2", 1)),
        ("j2", lambda: bulk.stop("j2", "ann", "enough", NOW)),
    )


JOBS = {
    "j1": ("none", "running 0 1", "running 2 1", "done 2 1"),
    "j2": ("none", "running 0 1", "running 1 1", "stopped 1 2"),
}


async def the_jobs(store: Store) -> dict[str, str]:
    found = dict.fromkeys(("j1", "j2"), "none")
    jobs = await SqliteBulk(store.database).latest(10)
    for job in jobs:
        found[job.id] = f"{job.phase.value} {job.done} {await _entries(store, 'bulk', job.id)}"
    canceled = await store.rows("SELECT count(*) FROM message WHERE state = 'canceled'")
    assert canceled == [(sum(job.done for job in jobs),)], "a job says how much of it was done"
    return found


# Dead letters.

LETTERS = {"1": ("open 0", "resent 1"), "2": ("open 0", "discarded 1"), "3": ("open 0", "resent 1")}
BODIES = (b'{"to": "l1@example.com", "subject": "S", "text": "T"}', b"\xff", b"not JSON")
MENDED = b'{"to": "l3@example.com", "subject": "S", "text": "T"}'


class _Door:
    """The intake, of which only the commit matters."""

    limits = Limits()

    def __init__(self, store: Store) -> None:
        self._store = store

    async def accept(self, submission: Submission, _: Origin) -> Receipt:
        assert submission.key is not None
        name = submission.to[0].address.partition("@")[0].upper()
        return (await self._store.outbox.add_all([parcel(name, key=submission.key.value)]))[0]


async def three_letters(path: Path) -> None:
    async with opened(path) as store:
        for body in BODIES:
            letter = DeadLetter(
                id=0, at=NOW, reason="r", body=body, headers={}, content_type="application/json", correlation_id="c"
            )
            await store.upkeep.bury([letter])
        for pending in await store.upkeep.pending_letters(10):
            await store.upkeep.confirm_letter(pending, NOW)


def _desk(store: Store) -> tuple[Verb, Verb, Verb]:
    desk, ann = DeadLetters(SqliteLetters(store.database), _Door(store), now=lambda: NOW), Actor("ann", "http")
    origin = Origin("http", "c")
    return (
        lambda: desk.resend("1", ann, origin),
        lambda: desk.discard("2", ann, "empty"),
        lambda: desk.resend("3", ann, origin, body=MENDED),
    )


async def letters_are_decided(store: Store, attempt: Attempt, told: Told) -> None:
    await _in_turn(attempt, told, *zip(("1 L1", "2", "3 L3"), _desk(store), strict=True))


async def the_letters(store: Store) -> dict[str, str]:
    messages = {id for (id,) in await store.rows("SELECT id FROM message")}
    found = {}
    for letter in (await SqliteLetters(store.database).page(None, before=None, after=None, limit=10)).items:
        found[str(letter.id)] = f"{letter.status.value} {await _entries(store, 'letter', str(letter.id))}"
        assert letter.message is None or letter.message in messages, "resent as a message that is not there"
    return found


async def letters_left(store: Store) -> None:
    """What is open still can be decided, and what was half done makes no second message."""
    now = await the_letters(store)
    for id, verb in zip(LETTERS, _desk(store), strict=True):
        if now[id].startswith("open"):
            await verb()
    assert await the_letters(store) == {id: steps[-1] for id, steps in LETTERS.items()}
    assert await store.rows("SELECT count(*) FROM message WHERE id IN ('L1', 'L3')") == [(2,)]


# Templates.


async def templates_change(store: Store, attempt: Attempt, told: Told) -> None:
    templates, ann, label = SqliteTemplates(store.database), Change(at=NOW, actor="ann"), Label("Welcome")
    await _in_turn(
        attempt,
        told,
        ("t", lambda: templates.create("t", label, Wording(subject="one", text="1"), ann)),
        ("t", lambda: templates.publish("t", None, ann)),
        ("t", lambda: templates.save("t", label, Wording(subject="two", text="2"), ann)),
        ("t", lambda: templates.publish("t", 2, ann)),
        ("t", lambda: templates.publish("t", 1, ann)),
        ("t", lambda: templates.delete("t", ann)),
    )


TEMPLATES: dict[str, Sequence[str]] = {
    "t": ("none 0", "one,- 1", "one,one 2", "two,one 3", "two,two 4", "two,one 5", "none 6")
}


async def the_templates(store: Store) -> dict[str, str]:
    templates = SqliteTemplates(store.database)
    try:
        one = await templates.find("t")
    except NotFound:
        assert await store.rows("SELECT 1 FROM template_version") == []
        what = "none"
    else:
        published = (await templates.wording("t", one.published)).subject if one.published else "-"
        what = f"{(await templates.wording('t', one.newest)).subject},{published}"
    return {"t": f"{what} {await _entries(store, 'template', 't')}"}
