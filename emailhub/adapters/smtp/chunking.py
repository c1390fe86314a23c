"""Whether a relay is to be trusted with CHUNKING: some offer it and do not do it."""

from __future__ import annotations

from emailhub import logs
from emailhub.core.reply import Reply

_NOT_DONE = frozenset({500, 502, 503, 504, 555})
"""Codes of a server that does not know what BDAT is, or loses the thread over it."""
_BREAKS = 2

log = logs.get("smtp")


class Chunking:
    """Remembers for one relay how it takes BDAT; once `usable` is False it stays so."""

    def __init__(self, relay: str, *, wanted: bool) -> None:
        self._relay = relay
        self.usable = wanted
        self._worked = False
        self._breaks = 0

    def worked(self) -> None:
        """A chunk was answered as it should be, with whatever verdict."""
        self._worked = True

    def refused(self, reply: Reply) -> bool:
        """True when `reply`, to a chunk for accepted recipients, shows that BDAT does not work here."""
        if reply.code not in _NOT_DONE:
            return False
        self._give_up(f"it answered BDAT with {reply}")
        return True

    def broke(self, why: str) -> None:
        """The conversation broke at a chunk. Twice without one that ever worked is taken for BDAT's fault."""
        self._breaks += 1
        if not self._worked and self._breaks >= _BREAKS:
            self._give_up(why)

    def _give_up(self, why: str) -> None:
        if self.usable:
            self.usable = False
            log.warning("chunking given up", relay=self._relay, why=why, instead="DATA from now on")
