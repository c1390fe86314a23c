"""What is to be said of a relay: the sentences that tell whether its mail flows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from emailhub.core.breaker import Mode, Phase
from emailhub.core.limits import PACED, words
from emailhub.core.status import ClockStatus, Flow, LimitStatus, RelayStatus, Suspension
from emailhub.core.template import Broken

MOST_WAITING = 10_000
"""So many waiting messages of one relay are counted; counting a million would take longer than a sentence is worth."""

NOTABLE, NOTABLE_SHARE = 10, 0.05
"""So many failed recipients of the last hour, and such a part of all, are worth a sentence."""
_LOGIN = re.compile(r"rejected our login|login (?:was )?refused", re.IGNORECASE)
_AWAY = re.compile(r"could not (?:connect|be resolved)|connection refused", re.IGNORECASE)


def is_well(relay: RelayStatus) -> bool:
    """Whether nothing is to be said of how the relay carries its mail."""
    breaker = relay.breaker
    return breaker.phase is Phase.CLOSED and not (breaker.failures or relay.covered_by or _reached(relay))


def relay_flows(relay: RelayStatus, waits: int, now: float, *, many: bool) -> Iterator[Flow]:
    """Everything to be said of a relay, nothing when it is well; `waits` of its messages wait.

    `many`: there are several that send.
    """
    action = _open(relay)
    if relay.covered_by:
        yield _covered(relay, now)
    else:
        trouble = relay_flow(relay, waits, now, many=many)
        if trouble is not None:
            yield trouble
        if reached := _reached(relay):
            yield _limited(relay, max(reached, key=lambda one: one.free_at or 0.0), waits, now, action)
    for one in relay.suspended:
        yield _suspended(relay, one, now, action)


def _reached(relay: RelayStatus) -> list[LimitStatus]:
    return [one for one in relay.limits if one.free_at is not None and one.seconds > PACED]


def _open(relay: RelayStatus) -> tuple[str, str]:
    return (f"Open relay {relay.name}", f"/relays/{relay.name}")


def _again(relay: RelayStatus) -> tuple[tuple[str, str], dict[str, str]]:
    """The button that ends a pause or a wait, with what it posts; one that leads to the relay while a probe is out."""
    if relay.breaker.phase is not Phase.OPEN:
        return _open(relay), {}
    label = f"Try relay {relay.name} now"
    if relay.breaker.mode is Mode.OPEN:
        label = f"Resume relay {relay.name}"
    elif _LOGIN.search(relay.breaker.cause):
        label = "Try the login now"
    return (label, f"/relays/{relay.name}/breaker"), {"state": "auto"}


def _covered(relay: RelayStatus, now: float) -> Flow:
    since = _at(relay.covered_since or now, now)
    headline = f"Mail of relay {relay.name} is carried by {' and '.join(relay.covered_by)} since {since}."
    again = (
        f"Relay {relay.name} is tried again in {_duration(max(relay.next_probe - now, 0))}." if relay.next_probe else ""
    )
    sentence = " ".join(filter(None, (sentence_of(relay.covered_why), again)))
    action, fields = _again(relay)
    return Flow(level="warn", headline=headline, sentence=sentence, action=action, fields=fields)


def _limited(relay: RelayStatus, limit: LimitStatus, waits: int, now: float, action: tuple[str, str]) -> Flow:
    more = f"More may go at {_at(limit.free_at or now, now)}."
    return Flow(
        level="warn" if waits else "info",
        headline=f"Relay {relay.name} has used its {words(limit)}.",
        sentence=f"{waiting(waits)} {more}",
        action=action,
    )


def _suspended(relay: RelayStatus, one: Suspension, now: float, action: tuple[str, str]) -> Flow:
    next_try = (
        f"One message asks again at {_at(one.next_try, now)}." if one.next_try > now else "One message asks again."
    )
    return Flow(
        level="warn",
        headline=f"Relay {relay.name} does not let {one.domain} send.",
        sentence=f"{sentence_of(one.reply)} Its mail waits or goes over another relay. {next_try}",
        action=action,
    )


def _at(at: float, now: float) -> str:
    moment = datetime.fromtimestamp(at, UTC)
    return f"{moment:%H:%M} UTC{'' if abs(now - at) < 72_000 else f' on {moment.day} {moment:%b}'}"


def relay_flow(relay: RelayStatus, waits: int, now: float, *, many: bool) -> Flow | None:
    """What is to be said of a relay, None when it is well; `waits` of its messages wait."""
    breaker = relay.breaker
    name = f"Relay {relay.name}" if many else "The relay"
    action, fields = _again(relay)
    if breaker.mode is Mode.OPEN:
        because = f": {breaker.note}" if breaker.note else ""
        headline = f"Mail is stopped by {breaker.actor or 'an operator'}{because}."
        return Flow(level="warn", headline=headline, sentence=waiting(waits), action=action, fields=fields)
    if breaker.mode is Mode.CLOSED and breaker.failures:
        sentence = f"{sentence_of(breaker.cause)} It is forced closed, so emailhub keeps trying."
        return Flow(level="warn", headline=f"{name} is in trouble.", sentence=sentence, action=action)
    if breaker.phase is Phase.CLOSED:
        return _stumbling(relay, name, waits, action) if breaker.failures and waits else None
    next_try = (
        "It answers again; the next message shows if it takes mail." if breaker.ready else "One probe is under way."
    )
    if relay.next_probe is not None:
        next_try = f"Next try in {_duration(max(relay.next_probe - now, 0))}."
    return Flow(
        level="bad" if waits else "warn",
        headline=f"Mail is waiting: {_lower(name)} {_ails(relay, now)}." if waits else f"{name} {_ails(relay, now)}.",
        sentence=" ".join(filter(None, (sentence_of(breaker.cause), _last_sent(relay, now), waiting(waits), next_try))),
        action=action,
        fields=fields,
    )


def _ails(relay: RelayStatus, now: float) -> str:
    """What the relay does, and since when, as far as that is known."""
    cause, since = relay.breaker.cause, relay.breaker.trouble_since
    does = (
        "refuses the login" if _LOGIN.search(cause) else "cannot be reached" if _AWAY.search(cause) else "takes no mail"
    )
    return f"{does} since {_at(since, now)}" if since else does


def _stumbling(relay: RelayStatus, name: str, waits: int, action: tuple[str, str]) -> Flow:
    """The breaker is still closed, but the latest tries failed: mail that waits on them does not flow."""
    failed = "The last try" if relay.breaker.failures == 1 else f"The last {relay.breaker.failures:,} tries"
    sentence = f"{sentence_of(relay.breaker.cause)} {failed} failed. {waiting(waits)}"
    return Flow(level="warn", headline=f"{name} is in trouble.", sentence=sentence.strip(), action=action)


def _last_sent(relay: RelayStatus, now: float) -> str:
    if relay.last_sent_at is None:
        return ""
    at = datetime.fromtimestamp(relay.last_sent_at, UTC)
    return f"It last took mail at {at:%H:%M} UTC{'' if now - relay.last_sent_at < 72_000 else f' on {at.day} {at:%b}'}."


def failing_flow(sent: int, failed: int) -> list[Flow]:
    """What is to be told when a notable part of the recipients of the last hour failed for good."""
    if failed < NOTABLE or failed < NOTABLE_SHARE * (sent + failed):
        return []
    headline = f"{counted(failed, 'recipient')} failed in the last hour."
    sentence = f"That is {100 * failed / (sent + failed):.0f} % of all. The reasons are below; each can be sent again."
    action = ("Look at what failed", "/messages?state=failed")
    return [Flow(level="info", headline=headline, sentence=sentence, action=action)]


def template_flows(broken: Sequence[Broken]) -> list[Flow]:
    """What is to be told of templates that cannot be used as they stand, in one finding."""
    if not broken:
        return []
    named = ", ".join(one.label for one in broken[:3])
    more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
    unusable = [one for one in broken if not one.kept]
    effect = "The last good version is used." if not unusable else "Messages that need it are refused."
    headline = "A template is broken." if len(broken) == 1 else f"{len(broken)} templates are broken."
    sentence = f"{sentence_of(f'{named}{more}: {broken[0].reason}')} {effect}"
    return [Flow(level="warn" if unusable else "info", headline=headline, sentence=sentence)]


def clock_flows(clock: ClockStatus) -> list[Flow]:
    """What is to be told of a clock that is not believed."""
    if not clock.ahead:
        return []
    return [Flow(level="warn", headline=clock_trouble(clock), sentence="Is it right? If not, set it: no mail is lost.")]


def clock_trouble(clock: ClockStatus) -> str:
    """One sentence about a clock that jumped ahead."""
    return f"The clock jumped ahead by {span(clock.ahead)}: nothing expires for the next {span(clock.believed_in)}."


def span(seconds: float) -> str:
    """A length of time in its largest unit: `3 days`, `15 minutes`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}s"
    return counted(round(seconds), "second")


def waiting(count: int) -> str:
    """How many messages wait, in words; MOST_WAITING of one relay: that many or more."""
    if not count:
        return "Nothing waits."
    return f"{counted(count, 'message')} {'waits' if count == 1 else 'wait'}, none is lost."


def counted(count: int, noun: str) -> str:
    """`3 messages`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def sentence_of(text: str) -> str:
    """`text` with a capital letter and a full stop."""
    text = text.strip()
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else f"{text}."


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}"
