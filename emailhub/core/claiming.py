"""On what terms a courier takes mail out of the outbox, and what it got."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from emailhub.core.records import Job
from emailhub.core.turns import Turn, Wait


class Stay(Struct, frozen=True):
    """What happens to mail from a domain the relay does not let send.

    It belongs to relay `to` from now on, or (None) waits until `until`; `text` says so in one plain line. `probe`: one
    message goes, to see if it is over.
    """

    until: float
    text: str
    to: str | None = None
    probe: bool = False


class Position(Struct, frozen=True):
    """A place in the line of what is due."""

    priority: int
    due_at: float
    seq: int


class Terms(Struct, frozen=True, kw_only=True):
    """What may be claimed.

    `budget`: so many recipients in all (None: no limit); the first message may have `largest` all the same. `home`:
    mail of that relay instead of the courier's own, for the reason `why`; only what no unknown outcome pins to its
    relay, from domains that satisfy `fits` (None: all), what has been due for `late` seconds, and what comes after
    `after` in the line. `stays` by sender's domain, `turns` by pattern of the recipients' domain. A probe takes nothing
    that met trouble `troubles` times.
    """

    budget: int | None = None
    largest: int = 0
    home: str | None = None
    why: str = ""
    fits: Callable[[str], bool] | None = None
    late: float = 0.0
    after: Position | None = None
    stays: Mapping[str, Stay] = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    troubles: int | None = None


ANY = Terms()
"""No limit, nothing suspended, the courier's own mail."""


class Claimed(Struct, kw_only=True):
    """The jobs of one claim, and what stood in the way of more.

    `wanted`: recipients of the first message that did not fit the budget (0: none). `after`: where to go on, when the
    line was not looked through to its end. `moved`: relays that got mail; `waits`: recipients put off to their turn.
    """

    jobs: list[Job] = field(default_factory=list)
    wanted: int = 0
    after: Position | None = None
    moved: set[str] = field(default_factory=set)
    waits: list[Wait] = field(default_factory=list)
