"""What a row of the fault matrix is: a fault as a claim, how to make it, and what has to follow in every cell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from emailhub.core.delivery import Reason, State
from tests.support.mail_line import MailLine
from tests.support.smtp_relays import Authority

ANN, BOB, CAT = "ann@x.test", "bob@x.test", "cat@x.test"

OUTCOMES = {
    "sent": (State.SENT, Reason.ACCEPTED, 1),
    "refused": (State.FAILED, Reason.REFUSED, 1),
    "transient": (State.DEFERRED, Reason.TRANSIENT, 1),
    "greylisted": (State.DEFERRED, Reason.TRANSIENT, 1),
    "unknown": (State.DEFERRED, Reason.UNKNOWN, 1),
    "held": (State.HELD, Reason.UNKNOWN, 1),
    "failed": (State.FAILED, Reason.UNKNOWN, 1),
    "trouble": (State.DEFERRED, Reason.RELAY_TROUBLE, 0),
    "sender": (State.DEFERRED, Reason.SENDER_TROUBLE, 0),
}
"""State, reason and attempts used of a recipient."""
WAITS = {"transient": 60.0, "greylisted": 60.0, "unknown": 300.0, "trouble": 30.0}
"""Seconds, at least, until it is tried again."""


class Cell(NamedTuple):
    """One way a fault is met: by one recipient or three, on a new connection or a kept one, with DATA or BDAT."""

    many: bool
    pooled: bool
    chunked: bool

    def __str__(self) -> str:
        return (
            f"{'3' if self.many else '1'}, {'pooled' if self.pooled else 'fresh'}, {'BDAT' if self.chunked else 'DATA'}"
        )

    @property
    def recipients(self) -> tuple[str, ...]:
        return (ANN, BOB, CAT) if self.many else (ANN,)

    @property
    def n(self) -> int:
        return len(self.recipients)


CELLS = tuple(
    Cell(many, pooled, chunked) for many in (False, True) for pooled in (False, True) for chunked in (False, True)
)


class Scene(NamedTuple):
    """Where a fault is made."""

    line: MailLine
    cell: Cell
    patch: pytest.MonkeyPatch
    authority: Authority


class Expect(NamedTuple):
    """What follows the first attempt.

    `outcomes` (see OUTCOMES) of the recipients; `breaker` as in MailLine; `kept`: the connection is; `taken`: the
    recipients of each message the server took; `rcpts`: the RCPT commands it saw.
    """

    outcomes: tuple[str, ...]
    breaker: str
    kept: bool
    taken: tuple[tuple[str, ...], ...]
    rcpts: int


def nothing(_: Scene) -> None:
    """No fault."""


@dataclass(frozen=True)
class Row:
    """`claim` names the fault. `opening`: it is met while a session opens, so that a kept connection has to go first.

    `server`, `options` and `message` are what differs from the usual; `heal` undoes what `MailLine.heal` does not.
    `slow`: all its cells are for the night.
    """

    claim: str
    fault: Callable[[Scene], Awaitable[None] | None]
    expect: Callable[[Cell], Expect]
    opening: bool = False
    server: Callable[[Authority], dict[str, Any]] = lambda _: {}
    options: Callable[[Authority], dict[str, Any]] = lambda _: {}
    message: dict[str, Any] = field(default_factory=dict)
    heal: Callable[[Scene], None] = nothing
    check: Callable[[Scene], None] = nothing
    slow: bool = False


def trouble(cell: Cell) -> Expect:
    """The relay is in trouble before anything was said about a message."""
    return Expect(("trouble",) * cell.n, "failure", kept=False, taken=(), rcpts=0)


def sent(cell: Cell, *, rcpts: int | None = None, kept: bool = True) -> Expect:
    """As if nothing had happened."""
    return Expect(("sent",) * cell.n, "well", kept, (cell.recipients,), cell.n if rcpts is None else rcpts)


def all_of(
    outcome: str, breaker: str = "well", *, kept: bool = True, taken: bool = False, rcpts: int = 1
) -> Callable[[Cell], Expect]:
    """The same outcome for everybody; each was named `rcpts` times."""
    return lambda cell: Expect((outcome,) * cell.n, breaker, kept, (cell.recipients,) if taken else (), rcpts * cell.n)


def first(outcome: str, breaker: str = "well") -> Callable[[Cell], Expect]:
    """`outcome` for the first recipient; the others, if any, get the message."""

    def expect(cell: Cell) -> Expect:
        others = cell.recipients[1:]
        return Expect(
            (outcome, *("sent" for _ in others)), breaker, kept=True, taken=(others,) if others else (), rcpts=cell.n
        )

    return expect


def depends(
    *, fresh_data: Callable[[Cell], Expect], pooled_data: Callable[[Cell], Expect], chunked: Callable[[Cell], Expect]
) -> Callable[[Cell], Expect]:
    """What differs by the way the message goes."""

    def expect(cell: Cell) -> Expect:
        way = chunked if cell.chunked else pooled_data if cell.pooled else fresh_data
        return way(cell)

    return expect
