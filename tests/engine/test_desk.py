"""What an operator may do, and what is kept of who did it and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.core.breaker import Mode, Phase, Rules, Snapshot
from emailhub.core.delivery import Outcome, Reason, State, Verb
from emailhub.core.errors import NotFound, WrongState
from emailhub.core.suppression import Listing
from emailhub.engine.desk import Actor, Desk
from emailhub.engine.fuse import Fuse
from tests.support.factories import DAY, NOW, REFUSED, SENT, Store, opened, parcel

OP = Actor("operator", "dashboard", "10.0.0.7")
CAPTURED = Outcome(Verb.SENT, State.SENT, Reason.CAPTURED)


class Office:
    """A desk over an open outbox with the relays `default` and `capture`."""

    def __init__(self, store: Store, relay: str = "default") -> None:
        self.wakes = 0
        self.withheld: list[int] = []
        self.fuses = {
            name: Fuse(name, Rules(), Snapshot(), store.upkeep, now=lambda: NOW, jitter=lambda: 0.0)
            for name in ("default", "capture")
        }
        self.desk = Desk(
            store.verbs,
            store.history,
            self.fuses,
            relay=relay,
            expire_after=DAY,
            wake=self.wake,
            now=lambda: NOW,
            entropy=bytes,
            withheld=self.withheld.append,
        )

    def wake(self) -> None:
        self.wakes += 1


async def done(store: Store, id: str, relay: str, outcome: Outcome) -> None:
    """A message that came to `outcome` over `relay`."""
    await store.outbox.add([parcel(id, relay=relay)])
    (job,) = (await store.outbox.claim(relay, limit=1, now=NOW)).jobs
    await store.finish(job, outcome)


async def test_every_verb_keeps_who_did_it_and_why_and_wakes_the_courier(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        office = Office(store)
        await store.outbox.add([parcel("A")])
        assert (await office.desk.hold("A", OP, "wrong list")).summary.state is State.HELD
        assert (await office.desk.retry("A", OP, "it was right")).summary.state is State.QUEUED
        assert (await office.desk.cancel("A", OP)).summary.state is State.CANCELED
        told = [event.data for event in store.events if event.kind in ("held", "queued", "canceled")]
        assert [(data["actor"], data["note"]) for data in told] == [
            ("operator from 10.0.0.7", "wrong list"),
            ("operator from 10.0.0.7", "it was right"),
            ("operator from 10.0.0.7", ""),
        ]
        assert office.wakes == 3


async def test_a_failed_message_of_a_relay_that_is_gone_is_retried_over_the_one_that_is_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await done(store, "A", "gone", REFUSED)
        assert (await Office(store).desk.retry("A", OP)).summary.relay == "default"


async def test_a_captured_message_can_be_sent_for_real_as_a_linked_copy(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await done(store, "A", "capture", CAPTURED)
        copy = await Office(store).desk.send_for_real("A", OP)
        assert (copy.summary.relay, copy.summary.state, copy.detail) == ("default", State.QUEUED, "copy of A")
        assert copy.summary.id != "A"


async def test_a_copy_for_real_counts_whom_the_suppression_list_keeps_it_from(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await done(store, "A", "capture", CAPTURED)
        (to,) = (await store.history.find("A")).recipients
        await store.suppressions.add([Listing(to.address)], now=NOW, face="http", actor="key 1")
        office = Office(store)
        copy = await office.desk.send_for_real("A", OP)
        assert copy.summary.state is State.SUPPRESSED
        assert office.withheld == [1]


@pytest.mark.parametrize(("relay", "outcome"), (("default", SENT), ("gone", SENT), ("capture", REFUSED)))
async def test_what_was_not_captured_is_never_sent_for_real_again(tmp_path: Path, relay: str, outcome: Outcome) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await done(store, "A", relay, outcome)
        with pytest.raises(WrongState, match="not captured"):
            await Office(store).desk.send_for_real("A", OP)


async def test_a_forced_breaker_is_stored_with_its_reason_before_the_answer(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        office = Office(store)
        snapshot = await office.desk.force("default", Mode.OPEN, actor=OP, note="maintenance", until=NOW + 60)
        assert (snapshot.phase, snapshot.note, snapshot.until) == (Phase.OPEN, "maintenance", NOW + 60)
        assert await store.upkeep.load_breaker("default") == snapshot
        await office.desk.force("default", Mode.AUTO, actor=OP, note="", until=None)
        events = await store.history.relay_events("default", 5)
        assert [(event.kind, event.data["actor"]) for event in events] == [
            ("breaker_auto", "operator from 10.0.0.7"),
            ("breaker_forced", "operator from 10.0.0.7"),
        ]
        with pytest.raises(NotFound):
            await office.desk.force("other", Mode.OPEN, actor=OP, note="", until=None)


async def test_only_a_suspended_sender_of_a_known_relay_can_be_let_send_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        desk = Office(store).desk
        for relay in ("nowhere", "default"):
            with pytest.raises(NotFound):
                await desk.resume_sender(relay, "example.org", OP)


async def test_a_message_of_a_relay_that_is_gone_is_retried_over_the_one_that_may_send_for_its_sender(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        office = Office(store)
        homes = {"example.org": "default"}
        office.desk._home = homes.get
        for id, sender in (("A", "a@example.org"), ("B", "b@nobody.test")):
            await store.outbox.add([parcel(id, relay="gone", sender=sender)])
            await office.desk.hold(id, OP)
        await office.desk.retry("A", OP)
        assert (await store.history.find("A")).summary.relay == "default"
        with pytest.raises(WrongState, match="no relay may send for this sender"):
            await office.desk.retry("B", OP)
