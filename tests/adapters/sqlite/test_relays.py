"""What is remembered of relays, and how mail is given another home or recalled for whoever stands in."""

from __future__ import annotations

from pathlib import Path

from emailhub.adapters.sqlite.relays import BATCH, SqliteRelays
from emailhub.core.claiming import Terms
from emailhub.core.delivery import Outcome, Reason, State, Verb
from emailhub.core.kept import SuspensionRecord
from emailhub.core.limits import Used
from emailhub.core.records import Job, Origin, Result
from emailhub.core.verdict import Kind, Report, Stage
from tests.support.factories import DAY, NOW, REPORT, SENT, Store, deferred, opened, parcel, results

LATER = NOW + 600.0


async def ended(store: Store, job: Job, kind: Kind, outcome: Outcome) -> None:
    """Record the verdict `kind` for every recipient of `job`."""
    found = [Result(r.id, outcome, kind.value, Stage.FINAL, kind.value) for r in job.recipients]
    await store.outbox.record(job, found, Report(()), NOW)


async def test_mail_of_a_removed_relay_finds_another_home_or_is_held(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        await store.outbox.add(
            [
                *(parcel(f"A{number:04}", relay="gone") for number in range(BATCH)),
                parcel("LOST", relay="gone", sender="x@nobody.test"),
                parcel("PIN", relay="gone"),
                parcel("OWN"),
            ]
        )
        await store.database.write(lambda tx: tx.execute("UPDATE message SET pinned = 1 WHERE id = 'PIN'").rowcount)
        homes = {"example.org": "default"}
        first = await relays.rehome({"default"}, homes.get, NOW)
        second = await relays.rehome({"default"}, homes.get, NOW)
        assert (sum(first), sum(second)) == (BATCH, 2)
        assert await relays.rehome({"default"}, homes.get, NOW) == (0, 0)
        assert len(await store.claim(limit=1000)) == BATCH + 1
        for id, text in (("LOST", "not set up any more"), ("PIN", "may have sent it")):
            detail = await store.history.find(id)
            assert (detail.summary.state, detail.summary.reason) == (State.HELD, Reason.NO_RELAY)
            assert text in detail.summary.last


async def test_what_waits_for_trouble_alone_is_recalled_for_a_relay_that_did_not_meet_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        two = ("a@x.test", "b@x.test")
        await store.outbox.add([parcel("TROUBLE"), parcel("MIXED", to=two), parcel("GREY"), parcel("PIN")])
        await store.outbox.add([parcel("OTHER", relay="other"), parcel("BRAND", sender="x@brand.test")])
        for relay in ("default", "other"):
            for job in (await store.outbox.claim(relay, limit=100, now=NOW)).jobs:
                puts_off = [deferred(LATER, Reason.RELAY_TROUBLE)] * len(job.recipients)
                if job.id in ("MIXED", "GREY"):
                    puts_off[-1] = deferred(LATER, Reason.TRANSIENT)
                await store.outbox.record(job, results(job, *puts_off), REPORT, NOW)
        await store.database.write(lambda tx: tx.execute("UPDATE message SET pinned = 1 WHERE id = 'PIN'").rowcount)
        fits = {"example.org": True, "brand.test": False}.get
        assert await relays.recall("default", "default", fits, "away", NOW) == 0, "it met the trouble itself"
        assert await relays.recall("default", "spare", fits, "away.", NOW) == 2
        assert await relays.recall("default", "spare", fits, "away", NOW) == 0
        found = (await store.outbox.claim("spare", limit=100, now=NOW, terms=Terms(home="default", why="away"))).jobs
        assert [(job.id, [r.address for r in job.recipients]) for job in found] == [
            ("TROUBLE", ["trouble@example.com"]),
            ("MIXED", ["a@x.test"]),
        ]
        queued = [event for event in await store.history.events("TROUBLE") if event.kind == "queued"]
        assert queued[-1].data["text"] == "away; spare carries it"


async def test_what_a_relay_took_or_may_have_taken_is_counted_per_minute_and_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test")), parcel("B"), parcel("C")])
        a, b, c = await store.claim(limit=100)
        await ended(store, a, Kind.ACCEPTED, SENT)
        await ended(store, b, Kind.UNKNOWN, deferred(LATER, Reason.UNKNOWN))
        await ended(store, c, Kind.PERMANENT, Outcome(Verb.FAIL, State.FAILED, Reason.REFUSED))
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        minute = NOW // 60 * 60
        assert await relays.used("default", NOW - DAY) == [Used(minute + 60, 3)]
        assert await relays.used("default", NOW + 3600) == []
        assert await store.rows("SELECT recipients FROM attempt ORDER BY id") == [(2,), (1,), (0,)]


async def test_usage_older_than_two_days_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for day in range(5):
            await store.database.write(lambda tx, day=day: tx.use(NOW + day * DAY, "default", 1))
        assert len(await store.rows("SELECT at FROM usage")) == 3


async def test_suspensions_survive_a_restart(tmp_path: Path) -> None:
    one = SuspensionRecord("example.org", NOW, "550 5.7.60 not allowed", LATER, 2)
    async with opened(tmp_path / "hub.db") as store:
        await SqliteRelays(store.database).suspend("default", one, NOW, "sender_suspended", {"domain": "example.org"})
        assert [event.kind for event in store.events] == ["sender_suspended"]
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        assert await relays.suspensions("default") == [one]
        await relays.resume("default", "example.org", NOW, {})
        assert await relays.suspensions("default") == []


async def test_what_came_in_by_a_door_is_told_minute_by_minute(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        relays = SqliteRelays(store.database)
        assert await relays.accepted("amqp", NOW - DAY) == []
        queue, http = Origin("amqp", "c", "email.queue"), Origin("http", "c", "key one")
        came = [(-DAY - 60, queue), (-7200, queue), (-7200 + 30, queue), (-3600, http), (-60, queue), (-61, queue)]
        await store.outbox.add(
            [parcel(f"A{number}", accepted_at=NOW + at, origin=origin) for number, (at, origin) in enumerate(came)]
        )
        minutes = [Used(NOW - 7200 + 60, 2), Used(NOW - 60, 1), Used(NOW, 1)]
        assert await relays.accepted("amqp", NOW - DAY) == minutes
        assert await relays.accepted("amqp", NOW - 3600) == minutes[1:]
