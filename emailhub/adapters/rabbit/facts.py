"""What is known about the connection, for status, log and whoever listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from emailhub import logs
from emailhub.core.status import Link

_log = logs.get("rabbit")


class Facts:
    """How the link stands, told to `changed` whenever that changes.

    `quiet` is set while nothing is taken from the request queue; `connections` counts how often both were made.
    """

    def __init__(self, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self._now = now
        self._changed = changed
        self.link = Link.CONNECTING
        self.detail = ""
        self.since = now()
        self.note = ""
        self.ready: int | None = None
        self.consumers: int | None = None
        self.foreign = 0
        self.connections = 0
        self.quiet = asyncio.Event()
        self.quiet.set()

    @property
    def recoveries(self) -> int:
        """How often RabbitMQ was found again after it had been lost."""
        return max(0, self.connections - 1)

    def say(self, link: Link, detail: str) -> None:
        """The link stands at `link`; `detail` is one plain line without secrets."""
        if (link, detail) == (self.link, self.detail):
            return
        if link is not self.link:
            self.since = self._now()
        self.link, self.detail = link, detail
        self._write()
        self._changed()

    def connected(self, note: str) -> None:
        """Both connections are there, with this `note` about queues and bindings."""
        self.connections += 1
        if note and note != self.note:
            _log.warning("note", detail=note)
        self.note = note

    def lost(self) -> None:
        """What was seen through the connection is no longer known."""
        self.ready = self.consumers = None
        self.foreign = 0
        self.quiet.set()

    def survey(self, *, ready: int, consumers: int, foreign: int) -> None:
        """The queue as just seen: messages ready in it, consumers on it, and how many of those are not ours."""
        if foreign and not self.foreign:
            _log.warning("foreign consumer", detail="somebody else takes requests from our queue", consumers=foreign)
        changed = foreign != self.foreign
        self.ready, self.consumers, self.foreign = ready, consumers, foreign
        if changed:
            self._changed()

    def _write(self) -> None:
        if self.link is Link.REFUSED:
            _log.error("refused", detail=self.detail)
        elif self.link in {Link.CONSUMING, Link.PAUSED}:
            _log.info(str(self.link), detail=self.detail)
        else:
            _log.warning(str(self.link), detail=self.detail)
