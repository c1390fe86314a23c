"""What can happen to a recipient: states, reasons, the table of transitions, and the decision after an attempt.

A recipient is in exactly one state. Every change of state is one of the verbs below, written together with the
attempt or the event that caused it, and guarded in SQL by the state it starts from.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from emailhub.core.backoff import Schedule
from emailhub.core.verdict import Kind, Verdict


class State(StrEnum):
    """Where a recipient is.

    QUEUED     may be claimed at once; entered by accept, release and retry; a crash changes nothing.
    SCHEDULED  waits for the time the sender asked for.
    SENDING    an attempt is open; left by its verdict; after a crash the rescuer treats it as unknown.
    DEFERRED   waits until `due_at` after a transient reply, relay trouble or an unknown outcome.
    HELD       waits for a human, however long until it expires; never claimed.
    SENT       final: the relay accepted the message for this recipient.
    FAILED     final: refused, attempts used up, expired, or unknown with the policy `fail`.
    CANCELED   final: an operator or the sender withdrew it in time.
    SUPPRESSED final: the address was on the suppression list; not sent.
    """

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    DEFERRED = "deferred"
    HELD = "held"
    SENT = "sent"
    FAILED = "failed"
    CANCELED = "canceled"
    SUPPRESSED = "suppressed"


class Reason(StrEnum):
    """Why a recipient is where it is; kept with the state, shown on screen."""

    ACCEPTED = "accepted"
    CAPTURED = "captured"
    TRANSIENT = "transient"
    RELAY_TROUBLE = "relay trouble"
    SENDER_TROUBLE = "sender trouble"
    UNKNOWN = "unknown"
    RESCUED = "rescued"
    RESTORED = "restored"
    NO_RELAY = "no relay"
    REFUSED = "refused"
    ATTEMPTS_USED_UP = "attempts used up"
    EXPIRED = "expired"
    STOPPED = "stopped"
    BREAKER_OPENED = "breaker opened"
    OPERATOR = "operator"
    SENDER = "sender"
    SUPPRESSED = "suppression list"


class OnUnknown(StrEnum):
    """What the sender wants when the relay took the whole body and its final reply was never seen."""

    RETRY = "retry"
    HOLD = "hold"
    FAIL = "fail"


class Verb(StrEnum):
    """The names of the transitions."""

    ACCEPT = "accept"
    CLAIM = "claim"
    SENT = "sent"
    DEFER = "defer"
    FAIL = "fail"
    HOLD = "hold"
    RELEASE = "release"
    RESCUE = "rescue"
    CANCEL = "cancel"
    EXPIRE = "expire"
    RETRY = "retry"
    RESCHEDULE = "reschedule"
    SUPPRESS = "suppress"


class Wish(StrEnum):
    """What was asked for while the recipient was SENDING; applied if the attempt ends in anything but sent."""

    CANCEL = "cancel"
    HOLD = "hold"
    EXPIRE = "expire"


class Transition(Struct, frozen=True):
    """`verb` leads from any of `sources` (none: from outside) to one of `targets`; `costs`: if an attempt is used."""

    sources: frozenset[State]
    verb: Verb
    targets: frozenset[State]
    costs: bool | None = None


def _states(*states: State) -> frozenset[State]:
    return frozenset(states)


_S = State
FINAL = _states(_S.SENT, _S.FAILED, _S.CANCELED, _S.SUPPRESSED)
CLAIMABLE = _states(_S.QUEUED, _S.SCHEDULED, _S.DEFERRED)
UNFINISHED = _states(_S.QUEUED, _S.SCHEDULED, _S.SENDING, _S.DEFERRED, _S.HELD)

TRANSITIONS: tuple[Transition, ...] = (
    Transition(_states(), Verb.ACCEPT, _states(_S.QUEUED, _S.SCHEDULED, _S.SUPPRESSED)),
    Transition(CLAIMABLE, Verb.CLAIM, _states(_S.SENDING)),
    Transition(_states(_S.SENDING), Verb.SENT, _states(_S.SENT), costs=True),
    Transition(_states(_S.SENDING), Verb.DEFER, _states(_S.DEFERRED)),
    Transition(_states(_S.SENDING), Verb.FAIL, _states(_S.FAILED), costs=True),
    Transition(_states(_S.SENDING), Verb.HOLD, _states(_S.HELD)),
    Transition(_states(_S.SENDING), Verb.RELEASE, _states(_S.QUEUED), costs=False),
    Transition(_states(_S.SENDING), Verb.RESCUE, _states(_S.DEFERRED, _S.HELD, _S.FAILED, _S.QUEUED)),
    Transition(_states(_S.SENDING), Verb.CANCEL, _states(_S.CANCELED)),
    Transition(_states(_S.SENDING), Verb.EXPIRE, _states(_S.FAILED)),
    Transition(CLAIMABLE | {_S.HELD}, Verb.CANCEL, _states(_S.CANCELED)),
    Transition(CLAIMABLE | {_S.HELD}, Verb.EXPIRE, _states(_S.FAILED)),
    Transition(CLAIMABLE, Verb.HOLD, _states(_S.HELD)),
    Transition(_states(_S.SCHEDULED), Verb.RESCHEDULE, _states(_S.SCHEDULED)),
    Transition(_states(_S.DEFERRED, _S.HELD), Verb.RETRY, _states(_S.QUEUED)),
    Transition(_states(_S.FAILED, _S.CANCELED, _S.SUPPRESSED), Verb.RETRY, _states(_S.QUEUED)),
    Transition(CLAIMABLE | {_S.HELD}, Verb.SUPPRESS, _states(_S.SUPPRESSED)),
    Transition(_states(_S.SENDING), Verb.SUPPRESS, _states(_S.SUPPRESSED)),
)
"""Every allowed change of state. `costs=None`: no attempt is open, or what the attempt met decides."""


def sources(verb: Verb, to: State | None = None) -> frozenset[State]:
    """All states `verb` may start from (only its ways to `to`, when given)."""
    ways = (t for t in TRANSITIONS if t.verb is verb and (to is None or to in t.targets))
    return frozenset[State]().union(*(t.sources for t in ways))


def summarize(states: Iterable[State]) -> State:
    """The one state a message shows: the most active one of its recipients while any is unfinished, else the worst.

    A message is `sent` only when every recipient that was not suppressed or canceled is sent.
    """
    present = set(states)
    order = (
        _S.SENDING,
        _S.HELD,
        _S.DEFERRED,
        _S.QUEUED,
        _S.SCHEDULED,
        _S.FAILED,
        _S.SENT,
        _S.CANCELED,
        _S.SUPPRESSED,
    )
    return next(state for state in order if state in present)


def seed_status(states: Iterable[State]) -> str:
    """The words of `POST /status/`: pending until all are final, delivered when all are sent, otherwise failed."""
    present = set(states)
    if present - FINAL:
        return "pending"
    return "delivered" if present == {_S.SENT} else "failed"


class Standing(Struct, frozen=True):
    """What the decision needs to know of a recipient whose attempt just ended.

    `attempts` counts those used before this one (of the current allowance), `troubles` the relay troubles in a row,
    `unknowns` the unknown outcomes in a row, `wish` what was asked for meanwhile.
    """

    attempts: int = 0
    troubles: int = 0
    unknowns: int = 0
    wish: Wish | None = None


class Outcome(Struct, frozen=True):
    """The transition that follows a verdict: where to, why, when again (unix seconds), and if it used an attempt."""

    verb: Verb
    to: State
    reason: Reason
    due_at: float | None = None
    costs: bool = True


class Policy(Struct, frozen=True):
    """How long to wait, in seconds; after `unknown_limit` unknown outcomes in a row a recipient is held."""

    schedule: Schedule = Schedule()
    unknown_wait: float = 300.0
    trouble_wait: float = 30.0
    trouble_cap: float = 600.0
    unknown_limit: int = 3


_WISHES = {
    Wish.CANCEL: Outcome(Verb.CANCEL, State.CANCELED, Reason.OPERATOR),
    Wish.HOLD: Outcome(Verb.HOLD, State.HELD, Reason.OPERATOR),
    Wish.EXPIRE: Outcome(Verb.EXPIRE, State.FAILED, Reason.EXPIRED),
}


def wished(outcome: Outcome, wish: Wish | None) -> Outcome:
    """The outcome after what was asked for while the attempt ran: a wish wins over everything but sent.

    What used no attempt without the wish uses none with it.
    """
    if wish is None or outcome.to is State.SENT:
        return outcome
    return replace(_WISHES[wish], costs=outcome.costs)


def decide(
    standing: Standing,
    verdict: Verdict,
    *,
    on_unknown: OnUnknown,
    policy: Policy,
    now: float,
    jitter: float,
    probe_at: float | None = None,
    captured: bool = False,
    elsewhere: bool = False,
) -> Outcome:
    """What becomes of a recipient after `verdict`. Total: every verdict has an outcome.

    `jitter` is a random number in [-1, 1]; `probe_at` the time before which trouble waits in any case, such as the
    breaker's next probe. `elsewhere`: another relay may send for this sender, so that its trouble need not wait at all.
    """
    if verdict.kind is Kind.ACCEPTED:
        return Outcome(Verb.SENT, State.SENT, Reason.CAPTURED if captured else Reason.ACCEPTED)
    if elsewhere and verdict.kind is Kind.SENDER:
        return wished(Outcome(Verb.DEFER, State.DEFERRED, Reason.SENDER_TROUBLE, now, costs=False), standing.wish)
    return wished(_undelivered(standing, verdict, on_unknown, policy, now, jitter, probe_at), standing.wish)


def _undelivered(
    standing: Standing,
    verdict: Verdict,
    on_unknown: OnUnknown,
    policy: Policy,
    now: float,
    jitter: float,
    probe_at: float | None,
) -> Outcome:
    if verdict.kind is Kind.PERMANENT:
        return Outcome(Verb.FAIL, State.FAILED, Reason.REFUSED)
    if verdict.kind is Kind.UNKNOWN:
        return _after_unknown(standing, on_unknown, policy, now, jitter)
    if verdict.kind is Kind.TRANSIENT:
        return _after_transient(standing, verdict, policy, now, jitter)
    return _after_trouble(standing, verdict, policy, now, jitter, probe_at)


def _after_transient(standing: Standing, verdict: Verdict, policy: Policy, now: float, jitter: float) -> Outcome:
    wait = policy.schedule.after(standing.attempts + 1, jitter, greylisted=verdict.greylisted, named=verdict.wait)
    if wait is None:
        return Outcome(Verb.FAIL, State.FAILED, Reason.ATTEMPTS_USED_UP)
    return Outcome(Verb.DEFER, State.DEFERRED, Reason.TRANSIENT, now + wait)


def _after_unknown(standing: Standing, on_unknown: OnUnknown, policy: Policy, now: float, jitter: float) -> Outcome:
    if on_unknown is OnUnknown.FAIL:
        return Outcome(Verb.FAIL, State.FAILED, Reason.UNKNOWN)
    if on_unknown is OnUnknown.HOLD or standing.unknowns + 1 >= policy.unknown_limit:
        return Outcome(Verb.HOLD, State.HELD, Reason.UNKNOWN)
    wait = policy.schedule.after(standing.attempts + 1, jitter)
    if wait is None:
        return Outcome(Verb.FAIL, State.FAILED, Reason.ATTEMPTS_USED_UP)
    return Outcome(Verb.DEFER, State.DEFERRED, Reason.UNKNOWN, now + max(wait, policy.unknown_wait))


def _after_trouble(
    standing: Standing, verdict: Verdict, policy: Policy, now: float, jitter: float, probe_at: float | None
) -> Outcome:
    # The exponent is bounded: 2.0 ** 2000 would raise OverflowError in a row that met trouble for weeks.
    wait = min(policy.trouble_wait * 2.0 ** min(standing.troubles, 16), policy.trouble_cap) * (1 + 0.2 * jitter)
    due_at = max(now + max(wait, verdict.wait or 0.0), probe_at or 0.0)
    reason = Reason.SENDER_TROUBLE if verdict.kind is Kind.SENDER else Reason.RELAY_TROUBLE
    return Outcome(Verb.DEFER, State.DEFERRED, reason, due_at, costs=False)
