"""The suppression list: nothing is sent to who is on it, whatever comes first, and everything adds up."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from emailhub.adapters.sqlite import withholding
from emailhub.core.delivery import Outcome, Reason, State, Verb
from emailhub.core.errors import NotFound, WrongState
from emailhub.core.records import Job, Receipt, Result
from emailhub.core.reply import Reply
from emailhub.core.suppression import Listing, Suppression, SuppressionFilter, SuppressionOrigin
from emailhub.core.verdict import Stage
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, deferred, opened, parcel, results

ADA = "ada@example.org"
BOB = "bob@example.org"
BY = {"now": NOW, "face": "http", "actor": "key 1 from ::1"}


async def suppress(store: Store, *addresses: str, now: float = NOW, note: str = "asked") -> int:
    """Put them on the list; how many recipients stopped waiting."""
    listings = [Listing(address, note=note) for address in addresses]
    return (await store.suppressions.add(listings, now=now, face="http", actor="key 1"))[1]


async def lift(store: Store, *keys: str) -> list[str]:
    return [one.address for one in await store.suppressions.lift(keys, **BY, note="back")]  # type: ignore[arg-type]


async def retry(store: Store, id: str, now: float = NOW) -> None:
    await store.verbs.retry(id, relays=("default",), now=now, expires_at=now + DAY, actor="op", note="again")


async def adds_up(store: Store) -> None:
    """The tally is the count, and every message shows what its recipients are."""
    tally = dict(await store.rows("SELECT state, messages FROM tally WHERE messages > 0"))
    assert tally == dict(await store.rows("SELECT state, count(*) FROM message GROUP BY state"))
    over = (
        "SELECT id FROM message m WHERE (final_at IS NULL) = NOT EXISTS (SELECT 1 FROM recipient r "
        "WHERE r.seq = m.seq AND r.state NOT IN ('sent', 'failed', 'canceled', 'suppressed'))"
    )
    assert await store.rows(over) == []


def told(store: Store, kind: str) -> list[dict[str, object]]:
    return [dict(event.data) for event in store.events if event.kind == kind]


async def test_a_message_whose_recipients_are_all_suppressed_is_final_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA, BOB)
        (receipt,) = await store.outbox.add([parcel("A", to=(ADA,), cc=(BOB,), accepted_at=NOW + 1)])
        assert receipt == Receipt("A", suppressed=2)
        summary = (await store.history.find("A")).summary
        assert (summary.state, summary.reason, summary.final_at) == (State.SUPPRESSED, Reason.SUPPRESSED, NOW + 1)
        assert summary.last == "on the suppression list (by hand): asked"
        assert await store.claim(NOW + DAY - 1) == []
        assert await store.rows("SELECT count(*) FROM attempt") == [(0,)]
        assert await store.verbs.next_expiry() is None
        assert [event.kind for event in await store.history.events("A")] == ["accepted", "suppressed"]
        await adds_up(store)


async def test_the_others_get_theirs(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA)
        await store.outbox.add([parcel("A", to=(ADA,), bcc=(BOB,))])
        assert await store.states("A") == [State.SUPPRESSED, State.QUEUED]
        (job,) = await store.claim()
        assert [one.address for one in job.recipients] == [BOB]
        await store.finish(job, SENT)
        assert (await store.history.find("A")).summary.state is State.SENT
        await adds_up(store)


async def test_what_sets_out_at_once_goes_only_to_the_others_and_not_at_all_when_there_are_none(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA)
        gone: list[Job] = []
        both = parcel("BOTH", to=(ADA, BOB), go=gone.append)
        none = parcel("NONE", to=(ADA,), go=gone.append)
        await store.outbox.add([both, none, parcel("FREE", to=(BOB,), go=gone.append)])
        assert [(job.id, [one.address for one in job.recipients]) for job in gone] == [("BOTH", [BOB]), ("FREE", [BOB])]
        assert await store.states("BOTH") == [State.SUPPRESSED, State.SENDING]
        assert await store.states("NONE") == [State.SUPPRESSED]
        for job in gone:
            await store.finish(job, SENT)
        assert await store.states("BOTH") == [State.SUPPRESSED, State.SENT]
        await adds_up(store)


@pytest.mark.parametrize(
    ("on_list", "given"), (("ada@example.org", "Ada@example.org"), ("ADA@Example.ORG", "ada@example.org"))
)
async def test_upper_and_lower_case_make_no_difference(tmp_path: Path, on_list: str, given: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("BEFORE", to=(given,), scheduled_at=NOW + 60)])
        assert await suppress(store, on_list) == 1
        await store.outbox.add([parcel("AFTER", to=(given,))])
        assert await store.states("BEFORE") == await store.states("AFTER") == [State.SUPPRESSED]
        assert await store.suppressions.listed([given, BOB]) == {given}


@pytest.mark.parametrize("state", (State.QUEUED, State.SCHEDULED, State.DEFERRED, State.HELD))
async def test_what_waits_when_its_address_is_suppressed_stops_in_the_same_commit(tmp_path: Path, state: State) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA, BOB), scheduled_at=NOW if state is State.SCHEDULED else None)])
        if state is State.DEFERRED:
            (job,) = await store.claim()
            await store.finish(job, deferred(NOW + 60))
        if state is State.HELD:
            await store.verbs.hold("A", now=NOW, actor="op", note="")
        assert await store.states("A") == [state, state]
        assert await suppress(store, ADA, now=NOW + 5) == 1
        assert await store.states("A") == [State.SUPPRESSED, state]
        assert (await store.history.find("A")).summary.state is state
        assert await suppress(store, BOB, now=NOW + 6) == 1
        found = (await store.history.find("A")).summary
        assert (found.state, found.final_at) == (State.SUPPRESSED, NOW + 6)
        await adds_up(store)


async def test_what_is_over_stays_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("SENT", to=(ADA,)), parcel("FAILED", to=(ADA,))])
        for job in await store.claim():
            await store.finish(job, SENT if job.id == "SENT" else REFUSED)
        assert await suppress(store, ADA) == 0
        assert [*await store.states("SENT"), *await store.states("FAILED")] == [State.SENT, State.FAILED]


@pytest.mark.parametrize(
    ("outcome", "state"),
    (
        (SENT, State.SENT),
        (REFUSED, State.FAILED),
        (deferred(NOW + 60), State.SUPPRESSED),
        (deferred(NOW + 60, Reason.RELAY_TROUBLE), State.SUPPRESSED),
        (Outcome(Verb.HOLD, State.HELD, Reason.UNKNOWN), State.SUPPRESSED),
    ),
)
async def test_an_attempt_under_way_ends_as_it_ends_and_is_never_followed_by_another(
    tmp_path: Path, outcome: Outcome, state: State
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA, BOB))])
        (job,) = await store.claim()
        assert await suppress(store, ADA) == 0
        applied = await store.outbox.record(job, results(job, outcome, SENT), REPORT, NOW + 1)
        assert [result.outcome.to for result in applied] == [state, State.SENT]
        assert await store.states("A") == [state, State.SENT]
        assert (await store.rows("SELECT attempts FROM recipient"))[0] == (int(outcome.costs),)
        await adds_up(store)


async def test_a_message_given_back_to_the_queue_does_not_get_there_when_it_is_suppressed(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA,))])
        (job,) = await store.claim()
        await suppress(store, ADA)
        await store.verbs.hold("A", now=NOW, actor="op", note="")
        await store.outbox.release(job, Reason.STOPPED, NOW + 1)
        assert await store.states("A") == [State.SUPPRESSED]
        assert (await store.history.find("A")).recipients[0].wish is None


@pytest.mark.parametrize("outcome", (REFUSED, deferred(NOW + 60)))
async def test_whoever_asked_to_hold_holds_nothing_back_for_an_address_that_is_on_the_list_by_then(
    tmp_path: Path, outcome: Outcome
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA,))])
        job = (await store.outbox.claim("default", limit=1, now=NOW)).jobs[0]
        await suppress(store, ADA)
        await store.verbs.hold("A", now=NOW, actor="op", note="")
        await store.outbox.record(job, results(job, outcome), REPORT, NOW)
        assert (await store.history.find("A")).summary.state is State.SUPPRESSED
        await adds_up(store)


async def test_whoever_asked_to_cancel_gets_that_first(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA,))])
        (job,) = await store.claim()
        await suppress(store, ADA)
        await store.verbs.cancel("A", now=NOW, actor="op", note="")
        await store.finish(job, deferred(NOW + 60))
        assert await store.states("A") == [State.CANCELED]


async def test_a_retry_needs_the_address_lifted_first_and_then_sends(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA)
        await store.outbox.add([parcel("A", to=("Ada@example.org",))])
        with pytest.raises(
            WrongState, match=re.escape("for Ada@example.org, on the suppression list; lift that first")
        ):
            await retry(store, "A", NOW + DAY)
        assert await lift(store, ADA) == [ADA]
        assert await store.states("A") == [State.SUPPRESSED]
        await retry(store, "A", NOW + 2 * DAY)
        (job,) = await store.claim(NOW + 2 * DAY)
        await store.finish(job, SENT, NOW + 2 * DAY)
        assert await store.states("A") == [State.SENT]
        await adds_up(store)


async def test_a_retry_of_several_leaves_out_who_is_on_the_list(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA, BOB))])
        (job,) = await store.claim()
        await store.finish(job, REFUSED)
        await suppress(store, ADA)
        await retry(store, "A")
        assert await store.states("A") == [State.FAILED, State.QUEUED]


async def test_time_is_only_added_for_those_who_are_sent_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA, BOB))])
        (job,) = await store.claim()
        await store.outbox.record(job, results(job, REFUSED, deferred(NOW + 60)), REPORT, NOW)
        await suppress(store, ADA)
        await retry(store, "A", NOW + 100)
        assert (await store.history.find("A")).summary.expires_at == NOW + DAY


async def test_a_body_that_is_not_to_be_stored_is_erased_when_nobody_gets_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("LATER", to=(ADA,), store_body=False, scheduled_at=NOW + 60)])
        await suppress(store, ADA)
        await store.outbox.add([parcel("NOW", to=(ADA,), store_body=False)])
        assert await store.rows("SELECT DISTINCT length(content) FROM body") == [(0,)]
        await lift(store, ADA)
        with pytest.raises(WrongState, match="erased"):
            await retry(store, "NOW")


async def test_a_copy_goes_to_nobody_on_the_list(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", relay="capture", to=(ADA, BOB))])
        (job,) = (await store.outbox.claim("capture", limit=1, now=NOW)).jobs
        await store.finish(job, SENT)
        await suppress(store, ADA)
        await store.verbs.copy("A", new_id="B", relay="default", now=NOW, expires_at=NOW + DAY, actor="op")
        assert await store.states("B") == [State.SUPPRESSED, State.QUEUED]
        await adds_up(store)


async def test_a_message_kept_back_apart_is_suppressed_too_and_counted_with_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA, BOB)
        kept = parcel("KEPT", relay="capture", to=(BOB,))
        (receipt,) = await store.outbox.add([parcel("A", to=(ADA,), companion=kept)])
        assert receipt == Receipt("A", suppressed=2)
        assert await store.states("A") == await store.states("KEPT") == [State.SUPPRESSED]


@pytest.mark.parametrize("first", ("accept", "suppress"))
async def test_whichever_of_accepting_and_suppressing_comes_first_nothing_is_sent(tmp_path: Path, first: str) -> None:
    async with opened(tmp_path / "hub.db") as store:
        work = [store.outbox.add([parcel(f"M{n}", to=(ADA,), due_at=NOW) for n in range(40)]), suppress(store, ADA)]
        await asyncio.gather(*(work if first == "accept" else reversed(work)))
        assert await store.claim() == []
        assert await store.rows("SELECT DISTINCT state FROM message") == [("suppressed",)]
        await adds_up(store)


async def test_many_of_both_at_a_time_leave_nobody_on_the_list_with_mail_on_its_way(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        people = [f"p{n}@example.org" for n in range(60)]
        accepts = [store.outbox.add([parcel(f"{r}-{n}", to=(who,))]) for n, who in enumerate(people) for r in "AB"]
        adds = [suppress(store, who) for who in people[::2]]
        turns = zip(accepts[::4], adds, *(accepts[n::4] for n in (1, 2, 3)), strict=True)
        mixed = [work for turn in turns for work in turn]
        await asyncio.gather(*mixed)
        assert {one.address for job in await store.claim() for one in job.recipients} == set(people[1::2])
        await adds_up(store)


async def test_an_address_stays_on_the_list_as_it_came_there(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        given = [Listing("Ada@example.org", SuppressionOrigin.COMPLAINT, "first"), Listing(ADA, note="same request")]
        (added,), _ = await store.suppressions.add(given, **BY)  # type: ignore[arg-type]
        (again,), _ = await store.suppressions.add([Listing(ADA, note="later")], now=NOW + 9, face="x", actor="y")
        assert added == again == await store.suppressions.find(ADA) == await store.suppressions.find(str(added.id))
        assert added == Suppression(
            id=added.id,
            address=ADA,
            origin=SuppressionOrigin.COMPLAINT,
            note="first",
            face="http",
            actor="key 1 from ::1",
            message=None,
            since=NOW,
        )
        (event,) = told(store, "suppression_added")
        assert event == {
            "address": ADA, "origin": "complaint", "note": "first", "actor": "key 1 from ::1", "face": "http",
        }  # fmt: skip


async def test_lifting_tells_who_and_why_and_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, ADA, BOB)
        id = (await store.suppressions.find(BOB)).id
        assert await lift(store, "ADA@example.org", str(id), "nobody@example.org", "999") == [ADA, BOB]
        assert await lift(store, ADA) == []
        assert [(one["address"], one["note"]) for one in told(store, "suppression_lifted")] == [
            (ADA, "back"),
            (BOB, "back"),
        ]
        for key in (ADA, str(id), "9" * 30, ""):
            with pytest.raises(NotFound, match="suppression"):
                await store.suppressions.find(key)
        await suppress(store, ADA)
        assert (await store.suppressions.find(ADA)).id > id


async def test_the_list_is_paged_both_ways_and_narrowed(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await suppress(store, *(f"p{n}@example.org" for n in range(5)))
        await store.suppressions.add([Listing("x@other.test", SuppressionOrigin.UNSUBSCRIBE)], **BY)  # type: ignore[arg-type]
        page, every = store.suppressions.page, SuppressionFilter()
        first = await page(every, before=None, after=None, limit=2)
        assert ([one.address for one in first.items], first.newer) == (["x@other.test", "p4@example.org"], None)
        second = await page(every, before=first.older, after=None, limit=2)
        assert [one.address for one in second.items] == ["p3@example.org", "p2@example.org"]
        back = await page(every, before=None, after=second.newer, limit=2)
        assert (back.items, back.newer) == (first.items, None)
        last = await page(every, before=second.older, after=None, limit=2)
        assert ([one.address for one in last.items], last.older) == (["p1@example.org", "p0@example.org"], None)
        found = await page(SuppressionFilter(search="P3@"), before=None, after=None, limit=9)
        assert [one.address for one in found.items] == ["p3@example.org"]
        found = await page(SuppressionFilter(SuppressionOrigin.UNSUBSCRIBE), before=None, after=None, limit=9)
        assert [one.address for one in found.items] == ["x@other.test"]


def refused(job: Job, *texts: str, stage: Stage = Stage.RCPT) -> list[Result]:
    """Every recipient refused for good, each with its own words."""
    return [
        Result(one.id, REFUSED, "permanent", stage, f"550 {text}", Reply.of(550, text))
        for one, text in zip(job.recipients, texts, strict=True)
    ]


async def test_a_refusal_of_the_address_lists_it_with_the_message_in_the_same_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db", suppress_refused=True) as store:
        await store.outbox.add([parcel("A", to=("Ada@example.org", BOB)), parcel("LATER", to=(ADA,), due_at=NOW + 60)])
        (job,) = await store.claim()
        await store.outbox.record(job, refused(job, "5.1.1 User unknown", "5.7.1 Blocked"), REPORT, NOW + 1)
        found = await store.suppressions.find(ADA)
        assert (found.origin, found.note, found.message, found.face, found.actor, found.since) == (
            SuppressionOrigin.BOUNCE, "550 5.1.1 User unknown", "A", "automatic", "", NOW + 1,
        )  # fmt: skip
        assert await store.suppressions.listed([ADA, BOB]) == {ADA}
        assert await store.states("A") == [State.FAILED, State.FAILED]
        assert await store.states("LATER") == [State.SUPPRESSED]
        assert store.withheld == [1]
        assert "listed" in [event.kind for event in await store.history.events("A")]
        await adds_up(store)


async def test_nothing_is_listed_by_itself_unless_that_is_set(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=(ADA,))])
        (job,) = await store.claim()
        await store.outbox.record(job, refused(job, "5.1.1 User unknown"), REPORT, NOW)
        assert await store.suppressions.listed([ADA]) == frozenset()


async def test_a_final_reply_lists_nobody_when_it_was_for_several(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db", suppress_refused=True) as store:
        await store.outbox.add([parcel("TWO", to=(ADA, BOB)), parcel("ONE", to=("eve@example.org",))])
        for job in await store.claim():
            texts = ["5.1.1 User unknown"] * len(job.recipients)
            await store.outbox.record(job, refused(job, *texts, stage=Stage.FINAL), REPORT, NOW)
        assert await store.suppressions.listed([ADA, BOB, "eve@example.org"]) == {"eve@example.org"}


async def test_a_refusal_found_out_late_for_a_closed_attempt_lists_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db", suppress_refused=True) as store:
        await store.outbox.add([parcel("A", to=(ADA,))])
        (job,) = await store.claim()
        await store.finish(job, SENT)
        assert await store.outbox.record(job, refused(job, "5.1.1 User unknown"), REPORT, NOW) == ()
        assert await store.suppressions.listed([ADA]) == frozenset()


async def test_what_waits_for_an_address_is_found_without_looking_at_all_mail(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        plan = await store.rows(f"EXPLAIN QUERY PLAN {withholding.WAITING_FOR}", ADA)
        assert "USING INDEX recipient_address (address=?)" in plan[0][3]
