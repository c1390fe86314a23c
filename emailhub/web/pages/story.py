"""What happened to a message, or to a relay's breaker, as steps in plain words: made of events and attempts only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from emailhub.core.delivery import State
from emailhub.core.records import AttemptRecord, Detail, Event
from emailhub.engine.again import COPY_OF
from emailhub.engine.letters import OF_LETTER
from emailhub.web.pages import talk, words

FACES = {
    "http": "HTTP",
    "contract": "HTTP",
    "amqp": "RabbitMQ",
    "dashboard": "the dashboard",
    "cli": "the command line",
}
_ORIGINALS = ((COPY_OF, "copied from", "/messages/"), (OF_LETTER, "made of dead letter", "/dead-letters/"))
"""How the origin of a message that was made of something begins, what is said then, and where that is shown."""
_NAMED = 3
"""Up to so many addresses are named in a sentence; more are counted, and listed below it."""
_TONES = {State.SENT: "ok", State.FAILED: "bad", State.DEFERRED: "warn", State.HELD: "info"}
_TITLES = {
    "queued": ("…", "neutral", "Given back"),
    "deferred": ("◷", "warn", "Deferred"),
    "failed": ("✕", "bad", "Failed"),
    "scheduled": ("○", "neutral", "Rescheduled"),
    "held": ("?", "info", "Held"),
    "canceled": ("–", "neutral", "Canceled"),
    "suppressed": ("–", "neutral", "Suppressed"),
    "listed": ("‖", "warn", "Put on the suppression list"),
    "copied": ("➤", "info", "Sent for real"),
    "resent": ("➤", "info", "Sent again"),
    "wish": ("!", "info", "Asked for"),
    "dead_letter": ("✕", "bad", "Dead letter"),
    "breaker_opened": ("●", "bad", "Breaker opened"),
    "breaker_probing": ("◐", "warn", "Probing"),
    "breaker_closed": ("✓", "ok", "Breaker closed"),
    "breaker_auto": ("↻", "info", "Back to automatic"),
    "relay_covered": ("⇄", "warn", "Carried by another relay"),
    "relay_returned": ("✓", "ok", "Carries its own mail again"),
    "sender_suspended": ("‖", "warn", "Sender suspended"),
    "sender_resumed": ("✓", "ok", "Sender may send again"),
    "clock_set_back": ("↻", "warn", "The clock was set back"),
    "chaos_set": ("!", "info", "Told how to behave"),
}
_RETRIED = ("↻", "info", "Retried")
_GIVEN = ("⇄", "warn", "Given to another relay")
_CALM = frozenset({"breaker_probing", "breaker_closed", "breaker_auto"})
"""These carry the text of the trouble that is over, or being looked at."""
_OF_ATTEMPTS = frozenset({"sending", "sent"})


class Step(Struct, frozen=True, kw_only=True):
    """One entry of the timeline. An attempt has its conversation, its meaning in `texts`, and `why` its relay had it.

    The last attempt is `open`. `link` is the id of another message that has to do with it, or of a dead letter: of
    what is shown under `to`.
    """

    key: str
    at: float
    glyph: str
    tone: str
    title: str
    outcome: str = ""
    facts: str = ""
    text: str = ""
    attempt: AttemptRecord | None = None
    why: str = ""
    texts: tuple[str, ...] = ()
    lines: tuple[talk.Talk, ...] = ()
    stages: tuple[talk.Stretch, ...] = ()
    answers: tuple[talk.Answer, ...] = ()
    open: bool = False
    link: str = ""
    to: str = "/messages/"


def tell(detail: Detail, attempts: Sequence[AttemptRecord], events: Sequence[Event], now: float) -> tuple[Step, ...]:
    """The whole story of a message, oldest first."""
    last = max((attempt.number for attempt in attempts), default=0)
    steps = [_accepted(detail)]
    steps += [tell_attempt(attempt, now, open=attempt.number == last) for attempt in attempts]
    steps += [step for event in events if (step := _event(event)) is not None]
    return tuple(sorted(steps, key=lambda step: step.at))


def tell_relay(events: Sequence[Event]) -> tuple[Step, ...]:
    """What happened to a relay, in the order given."""
    return tuple(step for event in events if (step := _event(event)) is not None)


def touched(events: Sequence[Event]) -> tuple[str, ...]:
    """Who acted on a message, each once, in order."""
    return tuple(dict.fromkeys(actor for event in events if (actor := _said(event, "actor"))))


def _accepted(detail: Detail) -> Step:
    summary = detail.summary
    where = FACES.get(summary.face, summary.face)
    how, to, original = _made_of(detail.detail)
    facts = [f"over {where}", detail.detail] if detail.detail and not original else [f"over {where}"]
    people = words.counted(summary.recipients, "recipient")
    return Step(
        key="accepted",
        at=summary.accepted_at,
        glyph="↓",
        tone="info",
        title="Accepted",
        facts=" · ".join(facts),
        text=f"{people}, {words.size(summary.size)}, {how}",
        link=original,
        to=to,
    )


def _made_of(origin: str) -> tuple[str, str, str]:
    """How it came to be here, and of what it was made: where that is shown, and its id."""
    for begins, how, to in _ORIGINALS:
        if origin.startswith(begins):
            return how, to, origin.removeprefix(begins)
    return "on disk before the sender was told", "", ""


def tell_attempt(attempt: AttemptRecord, now: float, *, open: bool) -> Step:
    """One attempt, with its conversation; `open` shows that at once."""
    running = attempt.finished_at is None
    return Step(
        key=f"attempt-{attempt.number}",
        at=attempt.started_at,
        glyph=str(attempt.number)[-2:],
        tone="info" if running else _tone(attempt),
        title=f"Attempt {attempt.number} over {attempt.relay}",
        outcome=f"running for {words.coarse(now - attempt.started_at)}" if running else _outcome(attempt),
        facts=" · ".join(_session(attempt)),
        attempt=attempt,
        why=attempt.why,
        texts=_meanings(attempt),
        lines=talk.lines(attempt),
        stages=talk.stretches(attempt),
        answers=talk.answers(attempt) if len(attempt.results) > 1 else (),
        open=open,
    )


def _tone(attempt: AttemptRecord) -> str:
    states = [result.state for result in attempt.results]
    worst = next((state for state in (State.FAILED, State.HELD, State.DEFERRED, State.SENT) if state in states), None)
    return _TONES.get(worst, "neutral") if worst else "neutral"


def _outcome(attempt: AttemptRecord) -> str:
    counts = Counter(talk.said(result) for result in attempt.results)
    if len(attempt.results) == 1:
        return next(iter(counts))
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def _session(attempt: AttemptRecord) -> list[str]:
    session, facts = attempt.session, []
    if attempt.finished_at is not None:
        facts.append(words.duration(attempt.finished_at - attempt.started_at))
    if session.tls:
        facts.append(session.tls.replace("TLSv", "TLS "))
    if session.peer:
        facts.append(session.peer)
    return [*facts, used] if (used := talk.connection(attempt)) else facts


def _meanings(attempt: AttemptRecord) -> tuple[str, ...]:
    """What the attempt meant, once per distinct meaning, with the addresses when they differ."""
    groups: dict[tuple[str, str], list[str]] = {}
    for result in attempt.results:
        groups.setdefault((result.text, result.kind), []).append(result.address)
    several = len(groups) > 1
    lines = []
    for (text, kind), addresses in groups.items():
        who = f"{_people(addresses)}: " if several else ""
        lines.append(f"{who}{talk.meaning(text, kind)}")
    return tuple(lines)


def _people(addresses: Sequence[str]) -> str:
    return ", ".join(addresses) if len(addresses) <= _NAMED else words.counted(len(addresses), "recipient")


def _event(event: Event) -> Step | None:
    # What an attempt led to is told by the attempt itself, with its conversation; that it is the last is not in there.
    if event.kind in _OF_ATTEMPTS or ("number" in event.data and event.kind != "suppressed"):
        return None
    if event.kind == "breaker_forced":
        return _forced(event)
    if event.kind not in _TITLES:
        return None
    actor, who = _said(event, "actor"), _whom(event)
    glyph, tone, title = _look(event, actor)
    return Step(
        key=f"event-{event.id}",
        at=event.at,
        glyph=glyph,
        tone=tone,
        title=_titled(event) or title,
        outcome=f"for {who}" if who else "",
        facts=f"by {actor}" if actor else "",
        text=_told(event),
        link=_said(event, "copy"),
    )


def _look(event: Event, actor: str) -> tuple[str, str, str]:
    """Glyph, tone and title of a kind of event; what is queued anew was so for one of three reasons."""
    if event.kind == "queued" and (actor or _said(event, "over")):
        return _RETRIED if actor else _GIVEN
    return _TITLES[event.kind]


def _titled(event: Event) -> str:
    """The title of an event that names somebody in it."""
    if event.kind == "wish":
        return f"{_said(event, 'wish').capitalize() or 'Something'} asked for"
    if event.kind == "relay_covered" and _said(event, "by"):
        return f"Carried by {_said(event, 'by')}"
    if event.kind == "queued" and _said(event, "over"):
        return f"Given to {_said(event, 'over')}"
    return ""


def _whom(event: Event) -> str:
    """Whom it concerns: a recipient, several, or the senders of a domain."""
    if domain := _said(event, "domain"):
        return domain
    return _said(event, "recipient") if event.data.get("recipients", 1) == 1 else _many(event)


def _told(event: Event) -> str:
    if event.kind == "dead_letter":
        return f"published to the dead-letter queue and confirmed: {_said(event, 'reason')}"
    if event.kind == "copied":
        return f"over {_said(event, 'over')}, as a message of its own"
    if event.kind == "resent":
        why = f", because {_said(event, 'note')}" if _said(event, "note") else ""
        return f"to {_said(event, 'people')}{why}, as a message of its own"
    return _said(event, "note") or ("" if event.kind in _CALM else _said(event, "text"))


def _forced(event: Event) -> Step:
    opened = event.data.get("mode") == "open"
    facts = [f"by {_said(event, 'actor')}"] if _said(event, "actor") else []
    until = event.data.get("until")
    if isinstance(until, int | float):
        facts.append(f"until {words.clock(until, 'full')} UTC")
    return Step(
        key=f"event-{event.id}",
        at=event.at,
        glyph="‖" if opened else "!",
        tone="warn" if opened else "info",
        title="Paused" if opened else "Forced closed",
        facts=" · ".join(facts),
        text=_said(event, "note"),
    )


def _many(event: Event) -> str:
    count = event.data.get("recipients")
    return words.counted(count, "recipient") if isinstance(count, int) and count > 1 else ""


def _said(event: Event, name: str) -> str:
    value = event.data.get(name)
    return value if isinstance(value, str) else ""
