"""The breaker in every order of permits, results, releases, decisions and restarts."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emailhub.core.breaker import Breaker, Mode, Permit, Phase, Rules, Signal, Snapshot


class AnyOrder(RuleBasedStateMachine):
    """Every order of permits, results, releases and operator's decisions keeps the promises."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker(Rules(failures=3), Snapshot())
        self.now = 1000.0
        self.out: list[Permit] = []

    @rule(seconds=st.floats(0, 700))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def ask(self) -> None:
        would, state = self.breaker.would_permit(self.now), self.breaker.state(self.now)
        got = self.breaker.permit(self.now)
        assert (got is not None) == would
        assert (got is not None and got.probe) == (would and state.phase is not Phase.CLOSED)
        assert (got is not None and got.message) == state.ready
        if got is not None:
            self.out.append(got)

    @precondition(lambda self: self.out)
    @rule(data=st.data(), signal=st.sampled_from(tuple(Signal)), jitter=st.floats(-1, 1), at_mail=st.booleans())
    def result(self, data: st.DataObject, signal: Signal, jitter: float, at_mail: bool) -> None:
        def record(permit: Permit) -> bool:
            # An attempt with a message that is well has come to MAIL.
            far = at_mail or (permit.message and signal is Signal.WELL)
            return self.breaker.record(permit, signal, cause="c", now=self.now, jitter=jitter, at_mail=far)

        self.end(data, record)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def gives_up(self, data: st.DataObject) -> None:
        self.end(data, lambda p: self.breaker.release(p, self.now))

    def end(self, data: st.DataObject, how: Callable[[Permit], bool]) -> None:
        one = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.breaker.tick(self.now)
        before = self.breaker.snapshot
        changed = how(one)
        assert changed == (self.breaker.snapshot is not before)
        if one.epoch != before.epoch:
            assert not changed

    @rule(mode=st.sampled_from(tuple(Mode)), until=st.none() | st.floats(0, 500))
    def force(self, mode: Mode, until: float | None) -> None:
        end = None if until is None else self.now + until
        self.breaker.force(mode, actor="ann", note="why", until=end, now=self.now)

    @rule()
    def restart(self) -> None:
        self.breaker = Breaker(Rules(failures=3), self.breaker.snapshot)
        self.out.clear()

    @invariant()
    def half_open_means_one_probe_is_out_or_the_next_message_is_it(self) -> None:
        state = self.breaker.snapshot
        probes = [p for p in self.out if p.probe and p.epoch == state.epoch]
        if state.phase is Phase.HALF_OPEN:
            assert len(probes) == (0 if state.ready else 1)
        assert not state.ready or (state.phase is Phase.HALF_OPEN and state.at_mail and state.cause)
        if state.phase is Phase.OPEN:
            assert not probes

    @invariant()
    def open_is_never_without_a_way_out_unless_an_operator_wants_it(self) -> None:
        state = self.breaker.state(self.now)
        if state.phase is Phase.OPEN and state.mode is Mode.AUTO:
            assert state.probe_at is not None
            assert state.probe_at <= self.now + 720.0

    @invariant()
    def a_forced_mode_is_obeyed(self) -> None:
        state = self.breaker.state(self.now)
        if state.mode is not Mode.AUTO:
            assert self.breaker.would_permit(self.now) == (state.mode is Mode.CLOSED)


TestAnyOrder = AnyOrder.TestCase
