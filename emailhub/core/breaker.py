"""The circuit breaker of one relay: a pure state machine, time and randomness as arguments.

closed -> open after `failures` relay-level failures in a row (a rejected login opens at once); open -> half-open when
`probe_at` is reached; half-open -> closed when the one probe meets a message- or recipient-level verdict, -> open again
(twice as long, up to `open_max`) when it meets relay trouble or an unknown outcome. An operator may force it `open` (until
a time, or for good) or `closed` (failures are ignored) and set it back to `auto`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Phase(StrEnum):
    """What the breaker lets through: everything, nothing, or one probe."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Mode(StrEnum):
    """Who decides: the breaker itself, or an operator."""

    AUTO = "auto"
    OPEN = "open"
    CLOSED = "closed"


class Signal(StrEnum):
    """What an attempt says about the relay's health (recipient verdicts say it is well)."""

    WELL = "well"
    TROUBLE = "trouble"
    LOGIN_REJECTED = "login rejected"
    UNKNOWN = "unknown"


class Rules(Struct, frozen=True):
    """`failures` in a row that open; seconds of the first opening (after a rejected login), doubling to `open_max`."""

    failures: int = 5
    open_for: float = 30.0
    open_for_login: float = 60.0
    open_max: float = 600.0


class Permit(Struct, frozen=True):
    """The right to make one attempt; `epoch` ties it to the opening it was given before, `probe` marks the one probe."""

    epoch: int
    probe: bool = False


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything the breaker knows, to be stored and shown.

    `since` is when the phase or mode last changed; `cause` the plain text of the last failure; `openings` counts openings in
    a row (sets the doubling); `actor`, `note`, `until` belong to a forced mode.
    """

    phase: Phase = Phase.CLOSED
    mode: Mode = Mode.AUTO
    epoch: int = 0
    failures: int = 0
    openings: int = 0
    since: float = 0.0
    cause: str = ""
    probe_at: float | None = None
    actor: str = ""
    note: str = ""
    until: float | None = None


class Breaker:
    """See the module's docstring. Every method takes `now` (unix seconds) and none reads a clock."""

    def __init__(self, rules: Rules, snapshot: Snapshot) -> None:
        self._rules = rules
        self._now = snapshot
        self._probe_out = False

    @property
    def snapshot(self) -> Snapshot:
        """The state as last computed."""
        return self._now
