"""Claiming on terms: a budget, another relay's mail, suspended senders, turns; and all of it by index."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from emailhub.adapters.sqlite import many
from emailhub.adapters.sqlite.database import READERS
from emailhub.adapters.sqlite.picking import LOOKED
from emailhub.adapters.sqlite.relays import BATCH, SqliteRelays
from emailhub.core.claiming import Claimed, Position, Stay, Terms
from emailhub.core.delivery import Outcome, Reason, State
from emailhub.core.query import parse
from emailhub.core.records import Filter, Job, Result
from emailhub.core.turns import Turn
from emailhub.core.verdict import Kind, Report, Stage
from tests.support.factories import NOW, SENT, Store, deferred, opened, parcel

LATER = NOW + 600.0
SCANS = tuple(f"SCAN {table}" for table in ("message", "recipient", "attempt", "body", "event", "a", "m", "r"))


def numbered(count: int, prefix: str = "M", **given: Any) -> list[Any]:
    return [parcel(f"{prefix}{number:04}", **given) for number in range(count)]


async def claimed(
    store: Store, relay: str = "default", *, limit: int = 100, now: float = NOW, probe: bool = False, **terms: Any
) -> Claimed:
    return await store.outbox.claim(relay, limit=limit, now=now, probe=probe, terms=Terms(**terms))


def ids(jobs: Sequence[Job]) -> list[str]:
    return [job.id for job in jobs]


async def ended(store: Store, job: Job, kind: Kind, outcome: Outcome) -> None:
    """Record the verdict `kind` for every recipient of `job`."""
    found = [Result(r.id, outcome, kind.value, Stage.FINAL, kind.value) for r in job.recipients]
    await store.outbox.record(job, found, Report(()), NOW)


async def test_a_budget_counts_recipients_and_the_first_that_does_not_fit_is_not_overtaken(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        many = ("a@x.test", "b@x.test", "c@x.test")
        await store.outbox.add([parcel("A"), parcel("B", to=many), parcel("C")])
        first = await claimed(store, budget=3)
        assert (ids(first.jobs), first.wanted) == (["A"], 3)
        small = await claimed(store, budget=2)
        assert (small.jobs, small.wanted) == ([], 3)
        alone = await claimed(store, budget=0, largest=3)
        assert (ids(alone.jobs), alone.wanted) == (["B"], 1)
        assert ids((await claimed(store, budget=1)).jobs) == ["C"]


async def test_a_budget_counts_only_the_recipients_that_are_due(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test", "c@x.test"))])
        (job,) = (await claimed(store)).jobs
        outcomes = (SENT, SENT, deferred(NOW + 1))
        found = [Result(r.id, o, "accepted", Stage.FINAL, "") for r, o in zip(job.recipients, outcomes, strict=True)]
        await store.outbox.record(job, found, Report(()), NOW)
        assert ids((await claimed(store, now=NOW + 1, budget=1)).jobs) == ["A"]


async def test_mail_of_another_relay_is_carried_with_a_reason_and_stays_that_relay_s(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        why = "relay default is not sending since 03:12: login refused"
        (job,) = (await claimed(store, "spare", home="default", why=why)).jobs
        assert (job.relay, job.why, job.domain) == ("spare", why, "example.org")
        await ended(store, job, Kind.TRANSIENT, deferred(LATER))
        (attempt,) = await store.history.attempts("A")
        assert (attempt.relay, attempt.why) == ("spare", why)
        assert (await store.history.find("A")).summary.relay == "default"
        assert ids((await claimed(store, now=LATER)).jobs) == ["A"]


async def test_after_an_unknown_outcome_no_other_relay_carries_the_message(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B")])
        own, other = (await claimed(store, limit=1)).jobs + (await claimed(store, "spare", home="default")).jobs
        for job in (own, other):
            await ended(store, job, Kind.UNKNOWN, deferred(LATER, Reason.UNKNOWN))
        assert (await claimed(store, "third", now=LATER, home="default")).jobs == []
        assert (await claimed(store, "third", now=LATER, home="spare")).jobs == []
        assert ids((await claimed(store, now=LATER)).jobs) == ["A"]
        assert ids((await claimed(store, "spare", now=LATER)).jobs) == ["B"], "it is the relay's that had it"


async def test_a_crash_leaves_the_attempt_with_the_relay_that_made_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        await claimed(store, "spare", home="default", why="because")
        ((job, may_be_out),) = await store.outbox.open_jobs()
        assert (job.relay, job.why, may_be_out) == ("spare", "because", True)


async def test_only_domains_that_fit_are_carried_and_a_long_line_is_looked_through_in_steps(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(LOOKED + 50, "A", sender="hub@other.org"))
        await store.outbox.add([parcel("Z", accepted_at=NOW)])
        fits = "example.org".__eq__
        first = await claimed(store, "spare", limit=50, home="default", fits=fits)
        assert first.jobs == []
        assert first.after is not None
        second = await claimed(store, "spare", limit=50, home="default", fits=fits, after=first.after)
        assert (ids(second.jobs), second.after) == (["Z"], None)
        behind = Position(2, NOW, 0)
        assert (await claimed(store, "spare", home="default", after=behind)).jobs == []


async def test_a_suspended_sender_s_mail_waits_without_using_an_attempt_and_is_let_go_together(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        await store.outbox.add([*numbered(BATCH + 5, "S"), parcel("GOOD", sender="a@good.test")])
        stays = {"example.org": Stay(LATER, "relay default does not let example.org send")}
        found = await claimed(store, limit=20, stays=stays)
        assert ids(found.jobs) == ["GOOD"]
        detail = await store.history.find("S0000")
        assert (detail.summary.state, detail.summary.reason) == (State.QUEUED, Reason.SENDER_TROUBLE)
        assert detail.summary.due_at == detail.recipients[0].due_at == LATER
        assert "does not let example.org send" in detail.summary.last
        assert detail.recipients[0].attempts == 0
        assert (await claimed(store, stays=stays)).jobs == [], "nobody is looked at twice"
        await relays.resume("default", "example.org", NOW + 1, {"actor": "ann"})
        assert len(await store.claim(NOW + 1, limit=1000)) == BATCH + 5
        (event,) = [one for one in store.events if one.kind == "sender_resumed"]
        assert (event.relay, event.data) == ("default", {"domain": "example.org", "actor": "ann"})


async def test_one_message_of_a_suspended_sender_may_go_as_a_probe(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(4))
        stays = {"example.org": Stay(LATER, "no", probe=True)}
        assert ids((await claimed(store, stays=stays)).jobs) == ["M0000"]
        assert await store.rows("SELECT count(*) FROM message WHERE due_at = ?", LATER) == [(3,)]


async def test_a_suspended_sender_s_mail_goes_to_another_relay_that_may_carry_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("PINNED", pinned=True)])
        found = await claimed(store, stays={"example.org": Stay(LATER, "gmail carries it", to="gmail")})
        assert (found.jobs, found.moved) == ([], {"gmail"})
        assert ids((await claimed(store, "gmail")).jobs) == ["A"]
        assert (await store.history.find("PINNED")).summary.due_at == LATER
        told = [event.data["text"] for event in await store.history.events("A") if event.kind == "queued"]
        assert told == ["gmail carries it"]


async def test_a_probe_of_the_relay_leaves_suspended_senders_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B", sender="x@good.test"), parcel("C", sender="x@good.test")])
        found = await claimed(store, probe=True, stays={"example.org": Stay(LATER, "no")})
        assert ids(found.jobs) == ["B"]


def turn(free: int, domain: str = "big.test", line: frozenset[int] = frozenset()) -> Turn:
    return Turn(domain, 9, free, NOW, 2.0, line, f"waits for its turn: mail to {domain} is slowed down")


async def test_recipients_of_a_slow_domain_are_put_off_to_their_turns_and_the_others_go(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@big.test", "b@big.test", "c@small.test")), parcel("B")])
        given = turn(1)
        found = await claimed(store, turns=[given])
        assert [[r.address for r in job.recipients] for job in found.jobs] == [
            ["a@big.test", "c@small.test"],
            ["b@example.com"],
        ]
        assert [wait.until for wait in found.waits] == [NOW + 2]
        assert given.free == 1, "a claim that is run twice starts with the same turns"
        await ended(store, found.jobs[0], Kind.ACCEPTED, SENT)
        detail = await store.history.find("A")
        assert detail.summary.due_at == NOW + 2
        assert [r.state for r in detail.recipients] == [State.SENT, State.QUEUED, State.SENT]
        assert "slowed down" in detail.recipients[1].last


async def test_a_backlog_for_a_slow_domain_gets_one_turn_after_the_other_each_row_written_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(6, to=("a@big.test",)))
        found = await claimed(store, turns=[turn(2)])
        assert ids(found.jobs) == ["M0000", "M0001"]
        due = await store.rows("SELECT due_at FROM message WHERE due_at IS NOT NULL ORDER BY seq")
        assert [at - NOW for (at,) in due] == [2.0, 4.0, 6.0, 8.0]
        line = frozenset(wait.recipient for wait in found.waits)
        second = await claimed(store, now=NOW + 2, turns=[turn(1, line=line)])
        assert (ids(second.jobs), second.waits) == (["M0002"], [])


async def test_a_handed_off_message_keeps_to_its_turns_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@big.test", "b@small.test"), due_at=NOW + 5)])
        terms = Terms(turns=[turn(0)])
        found = await store.outbox.claim("default", limit=9, now=NOW, ids=["A"], terms=terms)
        assert [[r.address for r in job.recipients] for job in found.jobs] == [["b@small.test"]]


async def test_a_relay_that_stands_in_can_be_made_to_leave_what_has_only_just_come(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("OLD", due_at=NOW - 1.0), parcel("NEW", due_at=NOW - 0.9)])
        assert ids((await claimed(store, "spare", home="default", why="away", late=1.0)).jobs) == ["OLD"]
        assert ids((await claimed(store, "default", probe=True)).jobs) == ["NEW"]


@pytest.mark.parametrize(
    ("what", "terms"),
    (
        ("own", Terms()),
        ("covering", Terms(home="other", why="x", fits=lambda _: True, after=Position(0, NOW, 3))),
        ("stays", Terms(stays={"example.org": Stay(LATER, "no")})),
        ("turns", Terms(budget=5, turns=[turn(1)])),
    ),
)
@pytest.mark.parametrize("probe", (False, True))
async def test_no_claim_reads_a_whole_table(tmp_path: Path, what: str, terms: Terms, probe: bool) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relay = "spare" if what == "covering" else "default"
        await store.outbox.add([*numbered(20), *numbered(20, "O", relay="other"), parcel("BIG", to=("a@big.test",))])
        plans = await _plans(store, lambda: store.outbox.claim(relay, limit=9, now=NOW, probe=probe, terms=terms))
        assert plans
        assert not [plan for plan in plans if plan.startswith(SCANS)]


async def test_a_hand_off_is_claimed_by_one_look_at_its_ids_and_none_at_the_line(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(20, due_at=LATER))
        handed = [f"M{number:04}" for number in (7, 3, 11)]
        jobs: list[Job] = []

        async def claim() -> None:
            jobs.extend((await store.outbox.claim("default", limit=3, now=NOW, ids=handed)).jobs)

        seen = await _statements(store, claim)
        looks = [one for one in seen if one.startswith("SELECT") and "FROM message WHERE" in one]
        assert ids(jobs) == handed
        assert len(looks) == 1
        plans = await store.database.write(lambda tx: _explained(tx, looks))
        assert plans == ["SEARCH message USING INDEX sqlite_autoindex_message_1 (id=?)"]


@pytest.mark.parametrize("count", (1, 2, 3, 23, 64, 65, 130))
async def test_a_statement_for_many_rows_reaches_exactly_those_however_many(tmp_path: Path, count: int) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(140))
        wanted = [f"M{number:04}" for number in range(5, 5 + count)]

        def change(tx: Any) -> tuple[list[Any], list[Any]]:
            found = many.among(tx, "SELECT id FROM message WHERE relay = ?1 AND id", wanted, given=("default",))
            many.update(tx, "UPDATE message SET last = v.column2", [(id, "x") for id in wanted], "id = v.column1")
            return found, tx.execute("SELECT id FROM message WHERE last = 'x' ORDER BY id").fetchall()

        found, changed = await store.database.write(change)
        assert sorted(found) == changed == [(id,) for id in wanted]


async def test_what_waits_what_was_refused_and_what_a_relay_did_are_read_from_indexes_of_nothing_else(
    tmp_path: Path,
) -> None:
    refused = Filter(terms=parse("code:559", NOW).terms)
    async with opened(tmp_path / "hub.db") as store:
        plans = await _reading(store, store.history.waiting_at("default", 100))
        assert "SEARCH message USING COVERING INDEX message_waiting (relay=? AND waiting_since>?)" in plans
        plans = await _reading(store, store.history.totals())
        assert "SEARCH m USING COVERING INDEX message_waiting (relay>?)" in plans
        assert not [plan for plan in plans if plan.startswith(SCANS)]
        plans = await _reading(store, store.history.relay_attempts("default", 5))
        assert "SEARCH a USING INDEX attempt_relay (relay=?)" in plans
        plans = await _reading(store, store.history.causes(NOW, 5))
        assert "SEARCH message USING INDEX message_failed (final_at>?)" in plans
        plans = await _reading(store, store.history.page(refused, before=None, after=None, limit=5))
        assert [plan for plan in plans if plan.startswith(SCANS)] == ["SCAN message USING INDEX message_said"]


async def _reading(store: Store, answer: Awaitable[object]) -> list[str]:
    """How SQLite goes about every statement that is run for `answer`."""
    seen: list[str] = []
    for _ in range(READERS):
        await store.database.read(lambda c: c.set_trace_callback(seen.append))
    await answer
    for _ in range(READERS):
        await store.database.read(lambda c: c.set_trace_callback(None))
    return await store.database.write(lambda tx: _explained(tx, set(seen)))


async def test_finding_mail_another_home_and_letting_it_go_read_no_whole_table(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        await store.outbox.add(numbered(20, relay="gone"))
        plans = await _plans(store, lambda: relays.rehome({"default"}, lambda _: "default", NOW))
        plans += await _plans(store, lambda: relays.resume("default", "example.org", NOW, {}))
        plans += await _plans(store, lambda: relays.recall("default", "spare", None, "away", NOW))
        assert not [plan for plan in plans if plan.startswith(SCANS)]


@pytest.mark.parametrize(
    "filter",
    (
        Filter(state=State.QUEUED),
        Filter(relay="default"),
        Filter(request_id="r-1"),
        Filter(correlation_id="c-1"),
    ),
)
async def test_no_filtered_list_and_no_look_at_what_is_due_reads_a_whole_table(tmp_path: Path, filter: Filter) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(numbered(20))
        seen: list[str] = []
        for _ in range(READERS):
            await store.database.read(lambda c: c.set_trace_callback(seen.append))
        for before in (None, "M0010"):
            await store.history.page(filter, before=before, after=None, limit=5)
        await store.outbox.next_due("default")
        await store.history.waiting_at("default", 100)
        await store.verbs.next_expiry()
        for _ in range(READERS):
            await store.database.read(lambda c: c.set_trace_callback(None))
        plans = await store.database.write(lambda tx: _explained(tx, set(seen)))
        assert len(seen) >= 6
        assert not [plan for plan in plans if plan.startswith(SCANS)]


async def _statements(store: Store, work: Any) -> list[str]:
    """What `work` runs on the writing connection."""
    seen: list[str] = []
    await store.database.write(lambda tx: _trace(tx, seen.append))
    await work()
    await store.database.write(lambda tx: _trace(tx, None))
    return seen


async def _plans(store: Store, work: Any) -> list[str]:
    """How SQLite goes about every statement that `work` runs on the tables of mail."""
    seen = await _statements(store, work)
    statements = {one for one in seen if one.split(None, 1)[0] in ("SELECT", "UPDATE", "WITH")}
    return await store.database.write(lambda tx: _explained(tx, statements))


def _explained(tx: Any, statements: Iterable[str]) -> list[str]:
    return [row[3] for one in statements for row in tx.execute(f"EXPLAIN QUERY PLAN {one}").fetchall()]


def _trace(tx: Any, to: Any) -> None:
    tx.execute.__self__.set_trace_callback(to)
