"""What the outbox is made to do while its disk breaks, and what must be true of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from emailhub.core.delivery import State
from emailhub.core.records import Parcel
from emailhub.core.suppression import Listing
from tests.crash import beside
from tests.crash.beside import Attempt, Told
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results
from tests.support.old_outbox import add, old_file

ABSENT = "absent"
SIZE = 9000
"""Bytes of a body: some pages of the file."""


async def _sees_nothing(_: Store) -> dict[str, str]:
    return {}


async def _does_nothing(_: Store) -> None: ...


class Deed(NamedTuple):
    """`act` goes on with what `prepare` left; `steps` are the states each message goes through by it.

    `kept` are those of what is kept beside mail, as `look` sees it. `left` is what must still be possible afterwards.
    With `opening` the disk breaks already while the file is opened.
    """

    name: str
    prepare: Callable[[Path], Awaitable[None]]
    act: Callable[[Store, Attempt, Told], Awaitable[None]]
    steps: dict[str, Sequence[str]]
    opening: bool = False
    kept: Mapping[str, Sequence[str]] = MappingProxyType({})
    look: Callable[[Store], Awaitable[dict[str, str]]] = _sees_nothing
    left: Callable[[Store], Awaitable[None]] = _does_nothing

    def every(self, number: int) -> int:
        """Every so many of its points are tried, when not all are: of what is beside mail a third as many."""
        return number * 3 if self.kept and number > 1 else number


def _parcel(id: str, **given: Any) -> Parcel:
    return parcel(id, content=id.encode() * SIZE, key=f"key-{id}", **given)


async def _accepted(store: Store, *parcels: Parcel) -> None:
    for answer in await store.outbox.add(parcels):
        if isinstance(answer, Exception):
            raise answer


# Intake.


async def _nothing(path: Path) -> None: ...


async def _empty(path: Path) -> None:
    async with opened(path):
        pass


async def _accept(store: Store, attempt: Attempt, told: Told) -> None:
    for id in ("A", "B"):
        if await attempt(partial(_accepted, store, _parcel(id))):
            told(id)
    if await attempt(lambda: store.outbox.add_all([_parcel("C"), _parcel("D")])):
        told("C")
        told("D")


# Claims and verdicts.


async def _three_queued(path: Path) -> None:
    async with opened(path) as store:
        await _accepted(store, *map(_parcel, "ABC"))


async def _claim(store: Store, attempt: Attempt, told: Told) -> None:
    for id in "ABC":
        if await attempt(partial(store.claim, ids=[id], limit=1)):
            told(id)


async def _three_sending(path: Path) -> None:
    async with opened(path) as store:
        await _accepted(store, *map(_parcel, "ABC"))
        assert len(await store.claim()) == 3


ENDS = {"A": SENT, "B": REFUSED, "C": deferred(NOW + 60)}


async def _record(store: Store, attempt: Attempt, told: Told) -> None:
    for job, _ in await store.outbox.open_jobs():
        if await attempt(partial(store.outbox.record, job, results(job, ENDS[job.id]), REPORT, NOW)):
            told(job.id)


async def _three_ended(path: Path) -> None:
    async with opened(path) as store:
        await _accepted(store, *map(_parcel, "ABC"))
        for job in await store.claim():
            await store.finish(job, {"A": REFUSED, "B": deferred(NOW + 60), "C": SENT}[job.id])


async def _retry(store: Store, attempt: Attempt, told: Told) -> None:
    for id in "AB":
        by: dict[str, Any] = {"relays": ["default"], "now": NOW, "expires_at": NOW + DAY, "actor": "op", "note": ""}
        if await attempt(partial(store.verbs.retry, id, **by)):
            told(id)


async def _suppress(store: Store, attempt: Attempt, told: Told) -> None:
    listed = [Listing(f"{id}@example.com") for id in "ab"]
    by: dict[str, Any] = {"now": NOW, "face": "http", "actor": "op"}
    if not await attempt(lambda: store.suppressions.add(listed, **by)):
        return
    for id in ("A", "B", "list"):
        told(id)
    if await attempt(lambda: store.suppressions.lift(["a@example.com"], **by, note="")):
        told("list")


LIST = {"list": (" 0", "a,b 2", "b 3")}


async def _list(store: Store) -> dict[str, str]:
    names = [address[0] for (address,) in await store.rows("SELECT address FROM suppression ORDER BY id")]
    entries = await store.rows("SELECT count(*) FROM audit WHERE what LIKE 'suppression.%'")
    return {"list": f"{','.join(names)} {entries[0][0]}"}


# Upkeep.


async def _old(path: Path) -> None:
    async with opened(path) as store:
        await _accepted(store, *map(_parcel, "AB"), _parcel("WAITS", accepted_at=NOW - DAY / 2))
        for job in await store.claim(ids=["A", "B"]):
            if job.id in "AB":
                await store.finish(job, SENT)
            else:
                await store.finish(job, deferred(NOW))


async def _erase(store: Store, attempt: Attempt, told: Told) -> None:
    for erase in (store.upkeep.erase_bodies, store.upkeep.erase_messages):
        if await attempt(partial(erase, NOW + 1)):
            told("A")
            told("B")
        else:
            return
    if await attempt(lambda: store.upkeep.erase_keys(NOW + 1)):
        # However little there is of it.
        await attempt(partial(store.upkeep.give_back, worth=0))


async def _first_version(path: Path) -> None:
    connection = old_file(path)
    add(connection, "A", "hub@example.org")
    add(connection, "B", "hub@localhost", "deferred")
    connection.close()


async def _accept_one(store: Store, attempt: Attempt, told: Told) -> None:
    if await attempt(lambda: _accepted(store, _parcel("N"))):
        told("N")


NEW = (ABSENT, "queued")
WITHHELD = ("queued", "suppressed")
ERASED = ("sent", "sent, erased", ABSENT)
AS_OLD = {"A": ("queued",), "B": ("deferred",)}
_ALL = (
    Deed("new file", _nothing, _accept_one, {"N": NEW}, opening=True),
    Deed("intake", _empty, _accept, dict.fromkeys("ABCD", NEW)),
    Deed("claim", _three_queued, _claim, dict.fromkeys("ABC", ("queued", "sending"))),
    Deed("verdict", _three_sending, _record, {id: ("sending", end.to.value) for id, end in ENDS.items()}),
    Deed("retry", _three_ended, _retry, {"A": ("failed", "queued"), "B": ("deferred", "queued"), "C": ("sent",)}),
    Deed(
        "suppression",
        _three_queued,
        _suppress,
        {"A": WITHHELD, "B": WITHHELD, "C": ("queued",)},
        kept=LIST,
        look=_list,
    ),
    Deed("retention", _old, _erase, {"A": ERASED, "B": ERASED, "WAITS": ("deferred",)}),
    Deed("migration", _first_version, _accept_one, AS_OLD | {"N": NEW}, opening=True),
    Deed("users", beside.an_admin, beside.people_come_and_go, {}, kept=beside.PEOPLE, look=beside.the_people),
    Deed(
        "API keys",
        beside.a_key,
        beside.keys_change,
        dict.fromkeys((beside.FIRST_MAIL, beside.SECOND_MAIL), NEW),
        kept=beside.KEYS,
        look=beside.the_keys,
    ),
    Deed(
        "bulk jobs",
        beside.four_queued,
        beside.jobs_run,
        {**dict.fromkeys("ABC", ("queued", "canceled")), "D": ("queued",)},
        kept=beside.JOBS,
        look=beside.the_jobs,
    ),
    Deed(
        "dead letters",
        beside.three_letters,
        beside.letters_are_decided,
        dict.fromkeys(("L1", "L3"), NEW),
        kept=beside.LETTERS,
        look=beside.the_letters,
        left=beside.letters_left,
    ),
    Deed("templates", _empty, beside.templates_change, {}, kept=beside.TEMPLATES, look=beside.the_templates),
)
DEEDS = {deed.name: deed for deed in _ALL}
TOGETHER = {"intake": ("C", "D"), "suppression": ("A", "B"), "bulk jobs": ("A", "B")}
"""Messages that change in one commit: all of them or none."""


async def check(deed: Deed, path: Path, told: Counter[str]) -> None:
    """The file at `path` opens, is whole, keeps what was `told` (how often, by id), and its mail can be delivered."""
    async with opened(path) as store:
        assert await store.rows("PRAGMA integrity_check") == [("ok",)]
        assert await store.rows("PRAGMA foreign_key_check") == []
        states = await _states(store)
        assert set(states) <= set(deed.steps), states
        found = states | await deed.look(store)
        for id, steps in {**deed.steps, **deed.kept}.items():
            # The step after the last that was told may have been committed before the end came.
            allowed = steps[told[id] : told[id] + 2]
            assert found.get(id, ABSENT) in allowed, f"{id} is {found.get(id, ABSENT)}, not {allowed}"
        together = TOGETHER.get(deed.name, ())
        assert len({states.get(id, ABSENT) for id in together}) <= 1, f"{states}: half of a commit"
        await _agrees(store, states)
        await _delivers(store)
        await deed.left(store)


async def _states(store: Store) -> dict[str, str]:
    rows = await store.rows(
        "SELECT m.id, r.state, EXISTS (SELECT 1 FROM body b WHERE b.seq = m.seq AND length(b.content) > 0) "
        "FROM message m LEFT JOIN recipient r ON r.seq = m.seq"
    )
    assert len(rows) == len({id for id, _, _ in rows})
    return {id: str(state) if body else f"{state}, erased" for id, state, body in rows}


async def _agrees(store: Store, states: dict[str, str]) -> None:
    """What is derived from the states says the same as they do."""
    found = Counter(state.removesuffix(", erased") for state in states.values())
    totals = (await store.history.totals()).by_state
    assert {state.value: count for state, count in totals.items() if count} == found
    shown = await store.rows("SELECT id, state FROM message")
    assert dict(shown) == {id: state.removesuffix(", erased") for id, state in states.items()}
    assert await store.rows("SELECT count(*) FROM attempt WHERE finished_at IS NULL") == [(found["sending"],)]
    letters = [letter.message for letter in await store.upkeep.pending_letters(10)]
    failed = [id for id, state in states.items() if state == "failed"]
    assert set(failed) <= set(letters), f"{failed} failed, dead letters of {letters}"


async def _delivers(store: Store) -> None:
    """Every message that waits can still be sent, and new mail is taken."""
    for job, _ in await store.outbox.open_jobs():
        assert await store.finish(job, deferred(NOW))
    await _accepted(store, _parcel("LAST"))
    for job in await store.claim(NOW + 100):
        assert await store.finish(job, SENT)
    assert not (await store.history.totals()).waiting
    assert await store.states("LAST") == [State.SENT]
