"""How long each stage of a conversation with a relay took lately."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from emailhub.core.records import AttemptRecord
from emailhub.core.verdict import STAGES
from emailhub.web.pages import talk

RECENT = 100
"""So many of a relay's latest attempts are measured."""
_ORDER = [stage.value for stage in STAGES]


class Pace(Struct, frozen=True):
    """A stage over `count` attempts: its median and 95th percentile in words, and that as per cent of the slowest."""

    stage: str
    count: int
    p50: str
    p95: str
    width: float


def of(attempts: Sequence[AttemptRecord]) -> tuple[Pace, ...]:
    """The stages in the order of a conversation; those of opening are there as often as a connection was opened."""
    took: defaultdict[str, list[float]] = defaultdict(list)
    for attempt in attempts:
        for stage, milliseconds in attempt.session.stages:
            took[stage].append(milliseconds)
    slowest = max((_rank(found, 0.95) for found in took.values()), default=0.0)
    return tuple(_pace(stage, took[stage], slowest) for stage in sorted(took, key=_turn))


def _turn(stage: str) -> tuple[int, str]:
    return (_ORDER.index(stage) if stage in _ORDER else len(_ORDER), stage)


def _pace(stage: str, found: Sequence[float], slowest: float) -> Pace:
    p50, p95 = _rank(found, 0.5), _rank(found, 0.95)
    width = round(100 * p95 / slowest, 2) if slowest else 0.0
    return Pace(stage, len(found), talk.took(p50), talk.took(p95), width)


def _rank(found: Sequence[float], share: float) -> float:
    """The smallest that `share` of them do not exceed."""
    return sorted(found)[math.ceil(share * len(found)) - 1]
