"""What was asked for and refused, in the audit log: who tried what from where, and never so much that it fills up."""

from __future__ import annotations

from collections import OrderedDict

from emailhub import logs
from emailhub.core.audit import REFUSED
from emailhub.core.errors import OutboxError
from emailhub.engine.audit import AuditLog
from emailhub.engine.desk import Actor

BURST = 20
"""Refusals told one by one; the next entry tells how many more there were."""
EVERY = 60.0
"""Seconds after which one more is told."""
REFUSED_ACTION = "action.refuse"
UNKNOWN = "unknown"
"""Who tried it, when that is not known."""
_PEOPLE = 1024
_LONGEST = 200

log = logs.get("audit")


class Bucket:
    """Lets `burst` be told at once and one more every `seconds`, and counts the others. Holds unix seconds."""

    __slots__ = ("_burst", "_left", "_seconds", "_since", "_untold")

    def __init__(self, burst: int = BURST, seconds: float = EVERY) -> None:
        self._burst = burst
        self._seconds = seconds
        self._left = float(burst)
        self._since = 0.0
        self._untold = 0

    def take(self, now: float) -> int | None:
        """None: not to be told. Otherwise how many were not told since the last one."""
        # A clock that was set back gives nothing and takes nothing.
        self._left = min(float(self._burst), self._left + max(0.0, now - self._since) / self._seconds)
        self._since = now
        if self._left < 1.0:
            self._untold += 1
            return None
        self._left -= 1.0
        untold, self._untold = self._untold, 0
        return untold


class Refusals:
    """Keeps what is refused in `audit`; each of those who are known, and all strangers together, have a `Bucket`."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._strangers = Bucket()
        self._known: OrderedDict[str, Bucket] = OrderedDict()

    async def note(self, actor: Actor, tried: str, why: str, now: float) -> None:
        """`actor`, with an empty name when nobody knows who it is, `tried` something that was refused."""
        log.info("refused", actor=actor.name or UNKNOWN, client=actor.peer, tried=tried[:_LONGEST], text=why)
        untold = self._bucket(actor.name).take(now)
        if untold is None:
            return
        who = Actor(actor.name or UNKNOWN, actor.face, actor.peer)
        detail = why + told_more(untold)
        try:
            await self._audit.record(who, REFUSED_ACTION, tried[:_LONGEST], result=REFUSED, detail=detail)
        except OutboxError as error:
            # It is refused all the same.
            log.error("audit log not written", error=str(error))

    def _bucket(self, name: str) -> Bucket:
        if not name:
            return self._strangers
        found = self._known.setdefault(name, Bucket())
        self._known.move_to_end(name)
        if len(self._known) > _PEOPLE:
            self._known.popitem(last=False)
        return found


def told_more(untold: int) -> str:
    """What an entry says of those before it that have none."""
    return f", and {untold} more before" if untold else ""
