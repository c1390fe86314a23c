"""What mail of a relay waits for when it does not go: its breaker, or a limit that is reached."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from emailhub.core import limits
from emailhub.core.breaker import Mode, Phase
from emailhub.core.status import RelayStatus


class Stop(Struct, frozen=True):
    """Why no mail goes (`text`), what it waits for (`until`), and when that comes (unix seconds; None: not known)."""

    text: str
    until: str
    at: float | None = None


class Way(Struct, frozen=True):
    """A relay as its messages see it: who carries its mail meanwhile, and its `stop` while nobody does."""

    name: str
    covered_by: tuple[str, ...] = ()
    stop: Stop | None = None


def ways(relays: Iterable[RelayStatus]) -> dict[str, Way]:
    """All relays by name."""
    return {
        relay.name: Way(relay.name, relay.covered_by, None if relay.covered_by else _stop(relay)) for relay in relays
    }


def _stop(relay: RelayStatus) -> Stop | None:
    if relay.breaker.phase is not Phase.CLOSED:
        return _open(relay)
    reached = [one for one in relay.limits if one.free_at is not None and one.seconds > limits.PACED]
    if not reached:
        return None
    longest = max(reached, key=lambda one: one.free_at or 0.0)
    return Stop(f"relay {relay.name} has used its {limits.words(longest)}", "more may go", longest.free_at)


def _open(relay: RelayStatus) -> Stop:
    text, paused = f"relay {relay.name} takes no mail now", relay.breaker.mode is Mode.OPEN
    if relay.next_probe is not None:
        return Stop(text, "the pause ends" if paused else "next try", relay.next_probe)
    if relay.breaker.ready:
        return Stop(text, "the next message is the probe")
    return Stop(text, "paused until somebody ends it" if paused else "a probe is on its way")
