"""Trouble on purpose: which of it befalls an attempt, and what a relay in that trouble would say.

For demonstrations and tests: every outcome goes through the same judgement as a real server's, so that what is seen of
it on screen, in the log and in the metrics is what production would show.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from emailhub.core.errors import Problem
from emailhub.core.status import ChaosStatus
from emailhub.core.verdict import Stage

MOST_DELAY = 600.0
"""Seconds a slow attempt may stand at most: the time SMTP gives a server for its final reply (RFC 5321 §4.5.3.2.6)."""
_SHARES = ("transient", "permanent", "drop", "slow")


class Fate(StrEnum):
    """What becomes of an attempt.

    WELL      taken.
    PUT_OFF   a 4xx.
    REFUSED   a 5xx.
    CUT       the connection is lost before the whole body went: certainly not delivered.
    SWALLOWED the connection is lost after it: nobody knows.
    """

    WELL = "well"
    PUT_OFF = "put off"
    REFUSED = "refused"
    CUT = "cut"
    SWALLOWED = "swallowed"


def problems(status: ChaosStatus) -> tuple[Problem, ...]:
    """What is wrong with `status`: shares outside 0 to 1, more than 1 in all, a delay nobody would wait for."""
    found = [
        Problem(name, f"must be between 0 and 1 (0% and 100%), not {value:g}")
        for name in _SHARES
        if not 0.0 <= (value := getattr(status, name)) <= 1.0
    ]
    total = status.transient + status.permanent + status.drop
    if not found and total > 1.0 + 1e-9:
        found.append(
            Problem("transient", f"transient, permanent and drop are {total:.0%} together, which cannot be over 100%")
        )
    if not 0.0 <= status.delay <= MOST_DELAY:
        found.append(Problem("delay", f"must be between 0 and {MOST_DELAY:g} seconds, not {status.delay:g}"))
    return tuple(found)


def fate(status: ChaosStatus, draw: float, half: float) -> Fate:
    """What `draw` in [0, 1) means under `status`; `half` in [0, 1) decides which of the two lost connections it is."""
    if draw < status.transient:
        return Fate.PUT_OFF
    if draw < status.transient + status.permanent:
        return Fate.REFUSED
    if draw < status.transient + status.permanent + status.drop:
        return Fate.CUT if half < 0.5 else Fate.SWALLOWED
    return Fate.WELL


class Saying(Struct, frozen=True):
    """A reply as a real server words it, and the `stage` at which it comes."""

    stage: Stage
    code: int
    text: str


PUTTING_OFF: tuple[Saying, ...] = (
    Saying(Stage.RCPT, 450, "4.2.0 <{to}>: Recipient address rejected: Greylisted, try again in 60 seconds"),
    Saying(Stage.RCPT, 450, "4.2.1 The user you are trying to contact is receiving mail too quickly"),
    Saying(Stage.RCPT, 452, "4.2.2 The recipient's inbox is out of storage space"),
    Saying(Stage.FINAL, 451, "4.3.0 Temporary system problem, try again later"),
    Saying(Stage.FINAL, 451, "4.7.1 Message could not be scanned, try again later"),
)
REFUSING: tuple[Saying, ...] = (
    Saying(Stage.RCPT, 550, "5.1.1 <{to}>: Recipient address rejected: User unknown in virtual mailbox table"),
    Saying(Stage.RCPT, 552, "5.2.2 The recipient's mailbox is full and inactive"),
    Saying(Stage.RCPT, 550, "5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"),
    Saying(Stage.FINAL, 552, "5.3.4 Message size exceeds fixed maximum message size"),
    Saying(Stage.FINAL, 554, "5.6.0 Message contains invalid header"),
)


def words(status: ChaosStatus) -> str:
    """The behaviour in one line: `10% put off, 5% refused, 2% dropped, 5% slow by 3 s`, or `no trouble`."""
    named = (("put off", status.transient), ("refused", status.permanent), ("dropped", status.drop))
    parts = [f"{share * 100:g}% {name}" for name, share in named if share]
    if status.slow:
        parts.append(f"{status.slow * 100:g}% slow by {status.delay:g} s")
    return ", ".join(parts) or "no trouble"


def facts(status: ChaosStatus) -> dict[str, float]:
    """The behaviour as short facts for an event."""
    return {name: getattr(status, name) for name in (*_SHARES, "delay")}
