"""Reading the outbox: pages, search, timelines, counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.core.delivery import Reason, State
from emailhub.core.errors import NotFound
from emailhub.core.records import Filter, Origin, Summary
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results


async def ids(store: Store, filter: Filter | None = None) -> list[str]:
    """The ids of the first page, newest first."""
    page = await store.history.page(filter or Filter(), before=None, after=None, limit=50)
    return [item.id for item in page.items]


async def test_pages_run_from_new_to_old_and_back_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(f"M{number}") for number in range(7)])
        page = await store.history.page(Filter(), before=None, after=None, limit=3)
        assert ([i.id for i in page.items], page.newer, page.older) == (["M6", "M5", "M4"], None, "M4")
        page = await store.history.page(Filter(), before="M4", after=None, limit=3)
        assert ([i.id for i in page.items], page.newer, page.older) == (["M3", "M2", "M1"], "M3", "M1")
        page = await store.history.page(Filter(), before="M1", after=None, limit=3)
        assert ([i.id for i in page.items], page.newer, page.older) == (["M0"], "M0", None)
        page = await store.history.page(Filter(), before=None, after="M0", limit=3)
        assert ([i.id for i in page.items], page.newer, page.older) == (["M3", "M2", "M1"], "M3", "M1")
        page = await store.history.page(Filter(), before=None, after="M3", limit=3)
        assert ([i.id for i in page.items], page.newer, page.older) == (["M6", "M5", "M4"], None, "M4")
        with pytest.raises(NotFound):
            await store.history.page(Filter(), before="X", after=None, limit=3)


async def test_lists_can_be_narrowed_by_state_relay_and_ids(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add(
            [
                parcel("A", request_id="r1", origin=Origin("http", "c1")),
                parcel("B", relay="capture"),
                parcel("C", request_id="r1"),
            ]
        )
        await store.verbs.hold("C", now=NOW, actor="op", note="")
        assert await ids(store, Filter(state=State.HELD)) == ["C"]
        assert await ids(store, Filter(relay="capture")) == ["B"]
        assert await ids(store, Filter(request_id="r1")) == ["C", "A"]
        assert await ids(store, Filter(correlation_id="c1")) == ["A"]
        assert await ids(store, Filter(state=State.QUEUED, request_id="r1")) == ["A"]


async def test_the_timeline_of_a_message_tells_every_attempt_with_its_replies(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test"))])
        (job,) = await store.claim()
        await store.outbox.mark_body(job, NOW + 1)
        await store.outbox.record(job, results(job, SENT, deferred(NOW + 60), text="451 4.3.0 later"), REPORT, NOW + 2)
        (job,) = await store.claim(NOW + 60)
        first, running = await store.history.attempts("A")
        assert (first.number, first.started_at, first.body_at, first.finished_at) == (1, NOW, NOW + 1, NOW + 2)
        assert (first.counted, first.transcript, first.session) == (True, REPORT.transcript, REPORT.session)
        assert [(one.address, one.state, one.text) for one in first.results] == [
            ("a@x.test", State.SENT, "451 4.3.0 later"),
            ("b@x.test", State.DEFERRED, "451 4.3.0 later"),
        ]
        assert (running.number, running.finished_at, running.results) == (2, None, ())
        kinds = [event.kind for event in await store.history.events("A")]
        assert kinds == ["accepted", "sending", "sent", "deferred", "sending"]


async def test_the_latest_attempts_of_a_relay_are_told_newest_first_without_running_ones(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B"), parcel("C"), parcel("X", relay="other")])
        jobs = await store.claim(limit=2)
        for job in jobs:
            await store.outbox.record(job, results(job, SENT), REPORT, NOW + 2)
        await store.claim(NOW + 3)
        (other,) = (await store.outbox.claim("other", limit=1, now=NOW)).jobs
        await store.outbox.record(other, results(other, SENT), REPORT, NOW + 4)
        # As if others had made thousands since.
        await store.database.write(lambda tx: tx.execute("UPDATE attempt SET id = 9999 WHERE relay = 'other'").rowcount)
        assert [one.message for one in await store.history.relay_attempts("default", 9)] == ["B", "A"]
        (newest,) = await store.history.relay_attempts("default", 1)
        assert (newest.message, newest.transcript, newest.session) == ("B", REPORT.transcript, REPORT.session)
        assert await store.history.relay_attempts("nobody", 9) == ()


async def test_events_can_be_followed_from_any_one_on(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        assert await store.history.last_event_id() == 0
        await store.outbox.add([parcel(f"M{number}") for number in range(5)])
        assert await store.history.last_event_id() == 5
        assert [event.id for event in await store.history.events_since(2, 2)] == [3, 4]
        assert await store.history.events_since(0, 99) == tuple(store.events)


async def test_the_newest_message_of_a_request_answers_for_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", request_id="r"), parcel("B", request_id="r", to=("x@x.test", "y@x.test"))])
        assert await store.history.states_of_request("r") == (State.QUEUED, State.QUEUED)
        assert await store.history.states_of_request("unknown") is None


async def test_nothing_is_found_that_is_not_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for ask in (store.history.find, store.history.content, store.history.attempts, store.history.events):
            with pytest.raises(NotFound):
                await ask("X")


async def test_minutes_count_what_happened_and_leave_no_gap(tmp_path: Path) -> None:
    minute = NOW // 60 * 60
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B", to=("a@x.test", "b@x.test"))])
        for job in await store.claim():
            await store.finish(job, SENT if job.id == "A" else deferred(NOW + 200), NOW + 61)
        (job,) = await store.claim(NOW + 200)
        await store.finish(job, REFUSED, NOW + 200)
        found = await store.history.minutes(minute, minute + 240, 60)
        assert [one.at - minute for one in found] == [0, 60, 120, 180]
        assert [(one.accepted, one.sent, one.deferred, one.failed) for one in found] == [
            (2, 0, 0, 0),
            (0, 1, 2, 0),
            (0, 0, 0, 0),
            (0, 0, 0, 2),
        ]
        (wide,) = await store.history.minutes(minute // 300 * 300, minute // 300 * 300 + 300, 300)
        assert (wide.accepted, wide.sent) == (2, 1)


@pytest.mark.parametrize("part", (0.0, 0.4, 59.9))
async def test_the_minute_under_way_is_counted_from_its_first_moment(tmp_path: Path, part: float) -> None:
    minute = NOW // 60 * 60
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", accepted_at=minute)])
        found = await store.history.minutes(minute - 60, minute + part + 0.05, 60)
        assert sum(one.accepted for one in found) == 1


async def test_latency_ranks_the_time_from_when_a_message_could_go(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        assert (await store.history.latency(0)).p50 is None
        await store.outbox.add([parcel(f"M{number:02}") for number in range(20)])
        await store.outbox.add([parcel("LATER", scheduled_at=NOW + DAY)])
        for seconds, job in enumerate(await store.claim()):
            await store.finish(job, SENT, NOW + seconds)
        (job,) = await store.claim(NOW + DAY)
        await store.finish(job, SENT, NOW + DAY + 3)
        found = await store.history.latency(NOW)
        assert (found.count, found.p50, found.p95) == (21, 9.0, 18.0)
        assert (await store.history.latency(NOW + DAY)).count == 1


async def test_the_wait_of_a_message_scheduled_in_the_past_begins_with_its_acceptance(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("PAST", scheduled_at=NOW - 9 * DAY, expires_at=NOW + DAY)])
        (job,) = await store.claim()
        assert (await store.history.totals()).oldest_waiting == NOW
        await store.finish(job, SENT, NOW + 2)
        assert (await store.history.latency(NOW)).p95 == 2.0


async def test_causes_are_grouped_by_what_was_said(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id) for id in "ABC"])
        for job in await store.claim():
            await store.finish(job, REFUSED, text="550 no such user" if job.id != "C" else "552 too large")
        assert await store.history.causes(NOW - 1, 5) == (("550 no such user", 2), ("552 too large", 1))
        assert await store.history.causes(NOW + 1, 5) == ()


async def test_the_causes_of_several_recipients_of_a_message_each_count(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test", "c@x.test")), parcel("B")])
        several, one = await store.claim()
        said = [results(several, REFUSED, text=text) for text in ("550 no", "552 large", "553 bad")]
        mixed = [said[0][0], said[1][1], results(several, SENT)[2]]
        await store.outbox.record(several, mixed, REPORT, NOW)
        await store.finish(one, REFUSED, text="550 no")
        assert await store.history.causes(NOW - 1, 5) == (("550 no", 2), ("552 large", 1))
        assert await store.history.causes(NOW - 1, 1) == (("550 no", 2),)


async def test_the_oldest_waiting_is_told_by_how_long_it_could_have_gone(tmp_path: Path) -> None:
    """Not by its acceptance: mail scheduled last week for now, or retried now, does not wait since last week."""
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("SCHEDULED", scheduled_at=NOW + 7 * DAY, expires_at=NOW + 9 * DAY)])
        assert (await store.history.totals()).oldest_waiting is None
        (job,) = await store.claim(NOW + 7 * DAY)
        await store.finish(job, deferred(NOW + 7 * DAY + 60))
        assert (await store.history.totals()).oldest_waiting == NOW + 7 * DAY
        await store.outbox.add([parcel("FRESH", accepted_at=NOW + 6 * DAY)])
        assert (await store.history.totals()).oldest_waiting == NOW + 6 * DAY
        await store.verbs.cancel("FRESH", now=NOW, actor="op", note="")
        assert (await store.history.totals()).oldest_waiting == NOW + 7 * DAY
        later = NOW + 8 * DAY
        await store.verbs.retry("FRESH", relays=["default"], now=later, expires_at=later, actor="op", note="")
        await store.verbs.hold("SCHEDULED", now=later, actor="op", note="")
        assert (await store.history.totals()).oldest_waiting == later


async def test_totals_count_waiting_scheduled_and_final_apart(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A"), parcel("B"), parcel("C"), parcel("S", scheduled_at=NOW + 60)])
        for job in await store.claim(limit=2):
            await store.finish(job, SENT if job.id == "A" else deferred(NOW + 60, Reason.RELAY_TROUBLE))
        totals = await store.history.totals()
        assert (totals.waiting, totals.scheduled, totals.by_state[State.SENT]) == (2, 1, 1)


async def test_what_waits_at_a_relay_is_its_own_mail_alone_without_what_is_scheduled_under_way_or_final(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id, relay="ses") for id in "ABCD"])
        await store.outbox.add([parcel("S", relay="ses", scheduled_at=NOW + 60), parcel("X", relay="gmail")])
        await store.outbox.claim("ses", limit=1, now=NOW)
        assert await store.history.waiting_at("ses", 100) == 3
        assert await store.history.waiting_at("ses", 2) == 2
        assert (await store.history.waiting_at("gmail", 100), await store.history.waiting_at("other", 100)) == (1, 0)


async def test_the_oldest_that_waits_is_found_whatever_its_relay(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        assert (await store.history.totals()).oldest_waiting is None
        for number, relay in enumerate("bcad"):
            at = NOW + (number - 2) ** 2
            await store.outbox.add([parcel(f"M{number}", relay=relay, accepted_at=at)])
        assert (await store.history.totals()).oldest_waiting == NOW
        await store.verbs.cancel("M2", now=NOW, actor="op", note="")
        assert (await store.history.totals()).oldest_waiting == NOW + 1


async def test_a_list_item_tells_what_lists_show(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test"), to_header="a@x.test", request_id="r")])
        (item,) = (await store.history.page(Filter(), before=None, after=None, limit=5)).items
        assert isinstance(item, Summary)
        assert (item.to_header, item.recipients, item.subject, item.face) == ("a@x.test", 2, "Subject A", "http")
        assert (item.state, item.reason, item.due_at, item.final_at) == (State.QUEUED, Reason.ACCEPTED, NOW, None)
