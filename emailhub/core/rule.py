"""One line of the table of meanings: which reply at which stage means what, beside replies real servers give."""

from __future__ import annotations

import re
from re import Pattern

from msgspec import Struct

from emailhub.core.reply import Reply
from emailhub.core.verdict import Kind, Stage


class Rule(Struct, frozen=True):
    """A reply at one of `stages` whose parts match (code and enhanced whole, text anywhere; None matches all).

    `text` is in lower case and meets a lowered text: several times faster than a pattern that ignores case.
    `says` is how the meaning is told to people; `samples` are replies real servers give; `greylisted` as in Verdict.
    """

    stages: frozenset[Stage]
    kind: Kind
    says: str
    samples: tuple[str, ...]
    code: Pattern[str] | None = None
    enhanced: Pattern[str] | None = None
    text: Pattern[str] | None = None
    greylisted: bool = False

    def matches(self, stage: Stage, reply: Reply) -> bool:
        """Whether the rule speaks of `reply` at `stage`."""
        return (
            stage in self.stages
            and (self.code is None or self.code.fullmatch(str(reply.code)) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(reply.enhanced) is not None)
            and (self.text is None or self.text.search(reply.text.lower()) is not None)
        )


def rule(
    stages: frozenset[Stage],
    kind: Kind,
    says: str,
    *samples: str,
    code: str | None = None,
    enhanced: str | None = None,
    text: str | None = None,
    greylisted: bool = False,
) -> Rule:
    """A Rule, its patterns given as text; that of `text` is in lower case and meets a lowered text."""
    return Rule(
        stages,
        kind,
        says,
        samples,
        re.compile(code) if code else None,
        re.compile(enhanced) if enhanced else None,
        re.compile(text) if text else None,
        greylisted,
    )
