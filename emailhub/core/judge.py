"""What a reply, or the lack of one, means: total over every reply and every stage. The policy itself is in `rules`."""

from __future__ import annotations

import re

from emailhub.core.reply import Reply
from emailhub.core.rule import Rule
from emailhub.core.rules import RULES, TOO_MANY_RECIPIENTS
from emailhub.core.verdict import STAGES, Kind, Stage, Verdict

__all__ = ("LONGEST_WAIT", "TOO_MANY_RECIPIENTS", "judge", "judge_failure", "named_wait", "shortened")

LONGEST_WAIT = 3600.0
"""Seconds; a reply cannot put a message off for longer than this, whatever delay it names."""
_LONGEST_TEXT = 400
_AT: dict[Stage, tuple[Rule, ...]] = {stage: tuple(r for r in RULES if stage in r.stages) for stage in STAGES}


def judge(stage: Stage, reply: Reply) -> Verdict:
    """What `reply` means when it came at `stage`. Total: any code (-1: no reply at all), any text.

    Called for the final reply, and at the other stages for what was not the success hoped for.
    """
    if stage is Stage.FINAL and 200 <= reply.code < 300:
        # The way of every mail that goes well: no rule needs to be looked at, and none says anything else.
        return Verdict(Kind.ACCEPTED, stage, "accepted", reply)
    rule = next((r for r in _AT[stage] if r.matches(stage, reply)), None)
    if rule is None:  # a code of other than three digits
        return judge(stage, Reply(-1, "", str(reply)))
    said = str(reply) if reply.code > 0 else reply.text
    wait = None if rule.kind is Kind.PERMANENT else named_wait(reply.text)
    return Verdict(rule.kind, stage, shortened(f"{rule.says}: {said}"), reply, wait, rule.greylisted)


def judge_failure(stage: Stage, text: str, *, body_sent: bool) -> Verdict:
    """What a failure without a reply means: a refused or lost connection, DNS, TLS, a deadline that passed.

    Unknown exactly when the last byte of the body was handed over; anything earlier cannot have delivered.
    """
    if body_sent:
        return Verdict(Kind.UNKNOWN, stage, shortened(f"{text}; the message may or may not have been taken"))
    return Verdict(Kind.RELAY, stage, shortened(text))


_CUE = r"(?:try|retry|again|come back|resend|wait|delay(?:ed)?|after|defer(?:red)?|enabled)"
_CLOCK = re.compile(_CUE + r"\D{0,40}?\b(\d{1,2}):(\d\d)(?::(\d\d))?\b", re.IGNORECASE)
_AMOUNT = re.compile(
    _CUE + r"\D{0,40}?\b(\d{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b", re.IGNORECASE
)
_MORE = re.compile(r"\s*+(?:and|,)?\s*+(\d{1,4})\s*(s|secs?|seconds?|m|mins?|minutes?)\b", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def named_wait(text: str) -> float | None:
    """Seconds of "try again in 5 minutes", "retry after 300 s", "come back in 00:04:30"; None when none is named."""
    if found := _CLOCK.search(text):
        first, second, third = found.groups()
        seconds = int(first) * 60 + int(second) if third is None else _hms(int(first), int(second), int(third))
        return min(float(seconds), LONGEST_WAIT)
    if not (found := _AMOUNT.search(text)):
        return None
    seconds = _amount(found.group(1), found.group(2))
    if more := _MORE.match(text, found.end()):
        seconds += _amount(more.group(1), more.group(2))
    return min(float(seconds), LONGEST_WAIT)


def shortened(text: str) -> str:
    """One line of at most 400 characters."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _hms(hours: int, minutes: int, seconds: int) -> int:
    return hours * 3600 + minutes * 60 + seconds


def _amount(number: str, unit: str) -> int:
    return int(number) * _SECONDS[unit[0].lower()]
