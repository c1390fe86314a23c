"""Doing one thing to many messages: all that a filter wanted at one moment, one after the other, at a pace."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from msgspec import Struct

from emailhub.core.delivery import State, Verb, sources
from emailhub.core.records import Filter

FASTEST: Final = 1000.0
"""Messages a second an order may ask for."""
SLOWEST: Final = 0.01
IDS: Final = 100
"""Messages an order may name one by one."""


class Action(StrEnum):
    """What is done to each. release: send on what is held; retry: that, what is deferred, and what ended unsent."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    CANCEL = "cancel"

    @property
    def states(self) -> frozenset[State]:
        """The states a message must be in."""
        return _STATES[self]


_STATES = {
    Action.RETRY: sources(Verb.RETRY),
    Action.HOLD: sources(Verb.HOLD),
    Action.RELEASE: frozenset({State.HELD}),
    Action.CANCEL: sources(Verb.CANCEL),
}


class Phase(StrEnum):
    """How a job stands: running (or waiting for the one before it), stopped by somebody, done."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


class Order(Struct, frozen=True, kw_only=True):
    """What somebody wants done. `filter` is frozen at message number `upto`: what came later is not touched.

    `query` is the filter as people read it; `pace` is in messages a second, None: as fast as it goes. `actor` signs.
    """

    action: Action
    filter: Filter
    query: str
    upto: int
    pace: float | None = None
    reason: str = ""
    actor: str


class Job(Struct, frozen=True, kw_only=True):
    """An order on its way. Of `total` messages `done` are changed, `skipped` were not to be changed any more.

    `why` is what kept the last of those. `at` is the number of the last message looked at.
    """

    id: str
    order: Order
    phase: Phase
    made_at: float
    total: int
    done: int = 0
    skipped: int = 0
    at: int = 0
    why: str = ""
    ended_at: float | None = None
    ended_by: str = ""

    @property
    def left(self) -> int:
        """How many are still to come."""
        return max(self.total - self.done - self.skipped, 0)


class Candidate(Struct, frozen=True):
    """A message that may be next; `domain` is its sender's."""

    seq: int
    id: str
    domain: str
    relay: str


class Preview(Struct, frozen=True):
    """What a filter wants up to message number `upto`, by state."""

    upto: int
    by_state: Mapping[State, int]

    @property
    def total(self) -> int:
        return sum(self.by_state.values())

    def touched(self, action: Action) -> dict[State, int]:
        """How many `action` applies to, by state."""
        return {state: count for state, count in self.by_state.items() if state in action.states}

    def untouched(self, action: Action) -> dict[State, int]:
        """How many stay as they are, by state."""
        return {state: count for state, count in self.by_state.items() if state not in action.states}
