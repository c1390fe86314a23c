"""The circuit breaker of one relay: a pure state machine, time and randomness as arguments.

closed -> open after `failures` relay-level failures in a row (a rejected login opens at once); open -> half-open when
`probe_at` is reached; half-open -> closed when the one probe meets a message- or recipient-level verdict, -> open again
(twice as long, up to `open_max`) when it meets relay trouble or an unknown outcome. Where the trouble came at MAIL or
later, a probe without a message proves nothing by being let in: it makes the breaker `ready`, half-open until the next
message, which is the probe that counts. An operator may force it `open` (until a time, or for good) or `closed`
(failures are ignored) and set it back to `auto`.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

JITTER = 0.2


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
    """The right to make one attempt; `epoch` ties it to what the breaker was then, `probe` marks the one probe.

    `message`: only for an attempt with a message.
    """

    epoch: int
    probe: bool = False
    message: bool = False


class Snapshot(Struct, frozen=True, kw_only=True):
    """Everything the breaker knows, to be stored and shown.

    `since` is when the phase or mode last changed; `cause` the plain text of the last failure, "" when the relay is
    well; `openings` counts openings in a row (sets the doubling); `actor`, `note`, `until` belong to a forced mode.
    `at_mail`: the last failure came at MAIL or later; `ready`: no probe is out, the next message is it;
    `trouble_since` is when the first of the failures in a row came, 0.0 when the relay is well.
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
    at_mail: bool = False
    ready: bool = False
    trouble_since: float = 0.0


class Breaker:
    """See the module's docstring. Every method takes `now` (unix seconds) and none reads a clock.

    Half-open means that one probe is out, or that the next message is it (`ready`). A new value of `snapshot` is made
    at every change, so `is` tells whether anything has to be stored.
    """

    def __init__(self, rules: Rules, snapshot: Snapshot) -> None:
        self._rules = rules
        self._snapshot = _restored(snapshot)

    @property
    def snapshot(self) -> Snapshot:
        """The state as last computed."""
        return self._snapshot

    def permit(self, now: float) -> Permit | None:
        """The right to make one attempt, or None: nothing may go now.

        Open with the probe due becomes half-open here; the one probe's permit ends with `record` or `release`.
        """
        self.tick(now)
        if self._snapshot.phase is Phase.CLOSED:
            return Permit(self._snapshot.epoch)
        if self._snapshot.ready:
            self._snapshot = replace(self._snapshot, ready=False)
            return Permit(self._snapshot.epoch, probe=True, message=True)
        if not self._probe_due(self._snapshot, now):
            return None
        self._snapshot = replace(self._snapshot, phase=Phase.HALF_OPEN, since=now)
        return Permit(self._snapshot.epoch, probe=True)

    def record(
        self, permit: Permit, signal: Signal, *, cause: str, now: float, jitter: float, at_mail: bool = False
    ) -> bool:
        """Take in what the attempt found out, and whether `at_mail` or later; True when the snapshot changed.

        Results of attempts permitted before the last opening or forcing change nothing. `jitter` in [-1, 1] moves the
        next probe by up to 20 %, but after a rejected login never to sooner than `open_for_login`.
        """
        before = self._snapshot
        self.tick(now)
        if permit.epoch == self._snapshot.epoch and self._snapshot.phase is not Phase.OPEN:
            if signal is Signal.WELL:
                self._well(now, at_mail)
            else:
                self._failed(signal, cause, now, jitter, at_mail)
        return self._snapshot is not before

    def release(self, permit: Permit, now: float) -> bool:
        """The attempt ended without a result: a probe may be made again at once. True when the snapshot changed."""
        if not permit.probe or permit.epoch != self._snapshot.epoch or self._snapshot.phase is not Phase.HALF_OPEN:
            return False
        if permit.message:
            self._snapshot = replace(self._snapshot, ready=True)
        else:
            self._snapshot = replace(self._snapshot, phase=Phase.OPEN, since=now, probe_at=now)
        return True

    def force(self, mode: Mode, *, actor: str, note: str, until: float | None, now: float) -> Snapshot:
        """An operator's decision, ended by `until` if given. `auto` makes the probe of an open breaker due at once."""
        if mode is Mode.AUTO:
            self._snapshot = _automatic(self._snapshot, now)
            return self._snapshot
        opened = mode is Mode.OPEN
        self._snapshot = replace(
            self._snapshot,
            phase=Phase.OPEN if opened else Phase.CLOSED,
            mode=mode,
            epoch=self._snapshot.epoch + 1,
            failures=0,
            openings=0,
            since=now,
            probe_at=None,
            actor=actor,
            note=note,
            until=until,
            at_mail=opened and self._snapshot.at_mail,
            ready=False,
            trouble_since=0.0,
        )
        return self._snapshot

    def tick(self, now: float) -> bool:
        """Let a forced mode end when its `until` has passed; True when it did."""
        before = self._snapshot
        self._snapshot = self.state(now)
        return self._snapshot is not before

    def state(self, now: float) -> Snapshot:
        """The snapshot as it is at `now`, for screens; changes nothing."""
        over = self._snapshot.until is not None and now >= self._snapshot.until
        return _automatic(self._snapshot, now) if over else self._snapshot

    def would_permit(self, now: float) -> bool:
        """Whether `permit` would give one; changes nothing."""
        state = self.state(now)
        return state.phase is Phase.CLOSED or state.ready or self._probe_due(state, now)

    def next_probe(self, now: float) -> float | None:
        """When time alone lets something go again; None when it may go now, a probe is out, or only a human decides."""
        state = self.state(now)
        if state.phase is not Phase.OPEN:
            return None
        return state.until if state.mode is Mode.OPEN else state.probe_at

    def _probe_due(self, state: Snapshot, now: float) -> bool:
        if state.phase is not Phase.OPEN or state.mode is not Mode.AUTO or state.probe_at is None:
            return False
        # A clock set back by hours must not keep the mail waiting for hours.
        return now >= state.probe_at or now < state.since - self._rules.open_max

    def _well(self, now: float, at_mail: bool) -> None:
        if self._snapshot.phase is not Phase.HALF_OPEN:
            if self._snapshot.failures:
                self._snapshot = replace(self._snapshot, failures=0, cause="", at_mail=False, trouble_since=0.0)
        elif self._snapshot.at_mail and not at_mail:
            self._snapshot = replace(self._snapshot, ready=True, since=now, probe_at=None)
        else:
            self._snapshot = replace(
                self._snapshot,
                phase=Phase.CLOSED,
                failures=0,
                openings=0,
                since=now,
                cause="",
                probe_at=None,
                at_mail=False,
                trouble_since=0.0,
            )

    def _failed(self, signal: Signal, cause: str, now: float, jitter: float, at_mail: bool) -> None:
        failures, since = self._snapshot.failures + 1, self._snapshot.trouble_since or now
        self._snapshot = replace(self._snapshot, failures=failures, cause=cause, at_mail=at_mail, trouble_since=since)
        if self._snapshot.mode is Mode.CLOSED:
            return
        at_once = self._snapshot.phase is Phase.HALF_OPEN or signal is Signal.LOGIN_REJECTED
        if at_once or self._snapshot.failures >= self._rules.failures:
            self._open(signal, now, jitter)

    def _open(self, signal: Signal, now: float, jitter: float) -> None:
        self._snapshot = replace(
            self._snapshot,
            phase=Phase.OPEN,
            epoch=self._snapshot.epoch + 1,
            openings=self._snapshot.openings + 1,
            since=now,
            probe_at=now + self._opening(signal, jitter),
        )

    def _opening(self, signal: Signal, jitter: float) -> float:
        login = signal is Signal.LOGIN_REJECTED
        first = self._rules.open_for_login if login else self._rules.open_for
        # The exponent is bounded: a relay away for weeks would overflow the float.
        wait = min(first * 2.0 ** min(self._snapshot.openings, 32), self._rules.open_max) * (1 + JITTER * jitter)
        return max(wait, self._rules.open_for_login) if login else wait


def _automatic(state: Snapshot, now: float) -> Snapshot:
    closed = state.phase is Phase.CLOSED
    return replace(
        state,
        phase=Phase.CLOSED if closed else Phase.OPEN,
        mode=Mode.AUTO,
        epoch=state.epoch + 1,
        failures=0,
        since=now,
        probe_at=None if closed else now,
        cause="" if closed else state.cause,
        actor="",
        note="",
        until=None,
        at_mail=not closed and state.at_mail,
        ready=False,
        trouble_since=0.0 if closed else state.trouble_since,
    )


def _restored(state: Snapshot) -> Snapshot:
    """A probe that was out when the process ended is gone: the next one is due at once."""
    if state.phase is Phase.CLOSED or state.mode is not Mode.AUTO:
        return state
    if state.phase is Phase.OPEN and state.probe_at is not None:
        return state
    return replace(state, phase=Phase.OPEN, probe_at=state.since, ready=False)
