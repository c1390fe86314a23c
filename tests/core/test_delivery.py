"""What becomes of a recipient: the decision after an attempt and the table it must keep to."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.backoff import Schedule
from emailhub.core.delivery import (
    CLAIMABLE,
    FINAL,
    TRANSITIONS,
    UNFINISHED,
    OnUnknown,
    Outcome,
    Policy,
    Reason,
    Standing,
    State,
    Verb,
    Wish,
    decide,
    seed_status,
    sources,
    summarize,
)
from emailhub.core.verdict import Kind, Stage, Verdict

NOW = 1_700_000_000.0


def verdict(kind: Kind, *, wait: float | None = None, greylisted: bool = False) -> Verdict:
    return Verdict(kind, Stage.FINAL, "what happened", wait=wait, greylisted=greylisted)


def after(
    kind: Kind,
    *,
    standing: Standing | None = None,
    on_unknown: OnUnknown = OnUnknown.RETRY,
    policy: Policy | None = None,
    jitter: float = 0.0,
    probe_at: float | None = None,
    captured: bool = False,
    wait: float | None = None,
    greylisted: bool = False,
) -> Outcome:
    return decide(
        standing or Standing(),
        verdict(kind, wait=wait, greylisted=greylisted),
        on_unknown=on_unknown,
        policy=policy or Policy(),
        now=NOW,
        jitter=jitter,
        probe_at=probe_at,
        captured=captured,
    )


def test_accepted_is_sent_and_costs_an_attempt() -> None:
    assert after(Kind.ACCEPTED) == Outcome(Verb.SENT, State.SENT, Reason.ACCEPTED)
    assert after(Kind.ACCEPTED, captured=True) == Outcome(Verb.SENT, State.SENT, Reason.CAPTURED)


def test_a_permanent_refusal_fails_at_once() -> None:
    assert after(Kind.PERMANENT) == Outcome(Verb.FAIL, State.FAILED, Reason.REFUSED)


def test_a_transient_reply_waits_by_the_schedule_and_costs_an_attempt() -> None:
    got = after(Kind.TRANSIENT, standing=Standing(attempts=2))
    assert got == Outcome(Verb.DEFER, State.DEFERRED, Reason.TRANSIENT, NOW + 8.0)


def test_a_transient_reply_to_the_last_attempt_fails() -> None:
    limited = Policy(schedule=Schedule(limit=3))
    assert after(Kind.TRANSIENT, standing=Standing(attempts=1), policy=limited).to is State.DEFERRED
    got = after(Kind.TRANSIENT, standing=Standing(attempts=2), policy=limited)
    assert got == Outcome(Verb.FAIL, State.FAILED, Reason.ATTEMPTS_USED_UP)


def test_greylisting_and_named_delays_reach_the_schedule() -> None:
    assert after(Kind.TRANSIENT, greylisted=True).due_at == NOW + 60.0
    assert after(Kind.TRANSIENT, wait=777.0).due_at == NOW + 777.0


@pytest.mark.parametrize("kind", (Kind.RELAY, Kind.SENDER))
def test_relay_and_sender_trouble_cost_no_attempt_and_wait_longer_each_time(kind: Kind) -> None:
    waits = [after(kind, standing=Standing(troubles=k)).due_at for k in range(7)]
    assert waits == [NOW + s for s in (30.0, 60.0, 120.0, 240.0, 480.0, 600.0, 600.0)]
    assert not after(kind).costs


def test_relay_trouble_waits_for_the_later_of_the_probe_its_own_wait_and_the_named_delay() -> None:
    assert after(Kind.RELAY, probe_at=NOW + 500.0).due_at == NOW + 500.0
    assert after(Kind.RELAY, probe_at=NOW + 1.0).due_at == NOW + 30.0
    assert after(Kind.RELAY, wait=900.0).due_at == NOW + 900.0


def test_relay_trouble_never_uses_up_a_message_however_often_it_comes() -> None:
    got = after(Kind.RELAY, standing=Standing(attempts=2, troubles=100_000), policy=Policy(schedule=Schedule(limit=3)))
    assert (got.to, got.costs) == (State.DEFERRED, False)


def test_an_unknown_outcome_follows_the_senders_choice() -> None:
    assert after(Kind.UNKNOWN) == Outcome(Verb.DEFER, State.DEFERRED, Reason.UNKNOWN, NOW + 300.0)
    held = Outcome(Verb.HOLD, State.HELD, Reason.UNKNOWN)
    assert after(Kind.UNKNOWN, on_unknown=OnUnknown.HOLD) == held
    assert after(Kind.UNKNOWN, on_unknown=OnUnknown.FAIL) == Outcome(Verb.FAIL, State.FAILED, Reason.UNKNOWN)


def test_the_third_unknown_in_a_row_is_held_for_a_human() -> None:
    assert after(Kind.UNKNOWN, standing=Standing(unknowns=1)).to is State.DEFERRED
    assert after(Kind.UNKNOWN, standing=Standing(unknowns=2)).to is State.HELD


def test_an_unknown_outcome_of_the_last_attempt_fails() -> None:
    got = after(Kind.UNKNOWN, policy=Policy(schedule=Schedule(limit=1)))
    assert got == Outcome(Verb.FAIL, State.FAILED, Reason.ATTEMPTS_USED_UP)


@pytest.mark.parametrize(
    ("wish", "to"), ((Wish.CANCEL, State.CANCELED), (Wish.HOLD, State.HELD), (Wish.EXPIRE, State.FAILED))
)
@pytest.mark.parametrize("kind", tuple(kind for kind in Kind if kind is not Kind.ACCEPTED))
def test_a_wish_is_granted_when_the_attempt_ended_in_anything_but_sent(kind: Kind, wish: Wish, to: State) -> None:
    assert after(kind, standing=Standing(wish=wish)).to is to


@pytest.mark.parametrize("wish", tuple(Wish))
def test_sent_always_wins_over_a_wish(wish: Wish) -> None:
    assert after(Kind.ACCEPTED, standing=Standing(wish=wish)).to is State.SENT


outcomes = st.builds(
    lambda kind, standing, on_unknown, limit, first, jitter, probe_at, captured, wait, greylisted: after(
        kind,
        standing=standing,
        on_unknown=on_unknown,
        policy=Policy(schedule=Schedule(limit=limit, first=first)),
        jitter=jitter,
        probe_at=probe_at,
        captured=captured,
        wait=wait,
        greylisted=greylisted,
    ),
    st.sampled_from(Kind),
    st.builds(
        Standing,
        attempts=st.integers(0, 5000),
        troubles=st.integers(0, 5000),
        unknowns=st.integers(0, 10),
        wish=st.none() | st.sampled_from(Wish),
    ),
    st.sampled_from(OnUnknown),
    st.none() | st.integers(1, 10),
    st.floats(0, 1e5),
    st.floats(-1, 1),
    st.none() | st.floats(NOW - 1000, NOW + 1000),
    st.booleans(),
    st.none() | st.floats(0, 3600),
    st.booleans(),
)


@given(outcomes)
def test_every_decision_is_a_transition_of_the_table(outcome: Outcome) -> None:
    ways = [t for t in TRANSITIONS if t.verb is outcome.verb and State.SENDING in t.sources and outcome.to in t.targets]
    assert ways
    assert all(way.costs is None or way.costs == outcome.costs for way in ways)


@given(outcomes)
def test_a_time_is_set_exactly_for_what_waits_by_itself_and_lies_ahead(outcome: Outcome) -> None:
    assert (outcome.due_at is not None) == (outcome.to is State.DEFERRED)
    assert outcome.due_at is None or outcome.due_at >= NOW


@given(outcomes)
def test_only_trouble_that_is_not_the_messages_is_free(outcome: Outcome) -> None:
    granted = {Reason.OPERATOR, Reason.EXPIRED}
    assert outcome.costs or outcome.reason in {Reason.RELAY_TROUBLE, Reason.SENDER_TROUBLE} | granted


@pytest.mark.parametrize("wish", tuple(Wish))
def test_a_wish_granted_after_relay_trouble_uses_no_attempt(wish: Wish) -> None:
    assert not after(Kind.RELAY, standing=Standing(wish=wish)).costs
    assert after(Kind.TRANSIENT, standing=Standing(wish=wish)).costs


def test_every_state_is_reached_by_some_transition_and_only_sent_is_left_by_none() -> None:
    reached = frozenset[State]().union(*(t.targets for t in TRANSITIONS))
    left = frozenset[State]().union(*(t.sources for t in TRANSITIONS))
    assert reached == set(State)
    assert set(State) - left == {State.SENT}


def test_states_are_either_final_or_unfinished_and_what_is_claimable_is_unfinished() -> None:
    assert set(State) == FINAL | UNFINISHED
    assert not FINAL & UNFINISHED
    assert CLAIMABLE < UNFINISHED


def test_sources_tells_where_a_verb_may_start_and_narrows_by_target() -> None:
    assert sources(Verb.CLAIM) == CLAIMABLE
    assert sources(Verb.SENT) == {State.SENDING}
    assert sources(Verb.HOLD) == CLAIMABLE | {State.SENDING}
    assert sources(Verb.ACCEPT) == frozenset()
    assert sources(Verb.RESCUE, State.HELD) == {State.SENDING}
    assert sources(Verb.RESCUE, State.SENT) == frozenset()


@pytest.mark.parametrize(
    ("states", "shown"),
    (
        ((State.SENT, State.SENT), State.SENT),
        ((State.SENT, State.FAILED), State.FAILED),
        ((State.SENT, State.SUPPRESSED, State.CANCELED), State.SENT),
        ((State.CANCELED, State.SUPPRESSED), State.CANCELED),
        ((State.SUPPRESSED,), State.SUPPRESSED),
        ((State.FAILED, State.DEFERRED), State.DEFERRED),
        ((State.SENDING, State.FAILED, State.HELD), State.SENDING),
        ((State.HELD, State.QUEUED), State.HELD),
        ((State.QUEUED, State.SENT), State.QUEUED),
        ((State.SCHEDULED,), State.SCHEDULED),
    ),
)
def test_a_message_shows_its_most_active_state_then_its_worst(states: tuple[State, ...], shown: State) -> None:
    assert summarize(states) is shown


def test_a_message_is_unfinished_exactly_while_a_recipient_is() -> None:
    for size in range(1, 4):
        for states in combinations(State, size):
            shown = summarize(states)
            assert shown in states
            assert (shown in UNFINISHED) == bool(set(states) & UNFINISHED)
            assert (seed_status(states) == "pending") == (shown in UNFINISHED)


@pytest.mark.parametrize(
    ("states", "word"),
    (
        ((State.QUEUED,), "pending"),
        ((State.SENT, State.HELD), "pending"),
        ((State.SENT, State.SENT), "delivered"),
        ((State.SENT, State.FAILED), "failed"),
        ((State.SENT, State.CANCELED), "failed"),
        ((State.SUPPRESSED,), "failed"),
    ),
)
def test_the_three_words_of_status(states: tuple[State, ...], word: str) -> None:
    assert seed_status(states) == word
