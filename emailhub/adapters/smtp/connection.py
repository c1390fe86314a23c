"""An open session as the pool keeps it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from emailhub.adapters.smtp.wire import Wire

_numbers = itertools.count(1)


class Connection:
    """What the server at `peer` offers, and how much the session was used.

    `id` is its name among all connections of this process; `answered_at` when the server last answered.
    """

    __slots__ = ("answered_at", "extensions", "id", "idle_since", "opened_at", "peer", "tls", "uses", "wire")

    def __init__(self, wire: Wire, extensions: Mapping[str, str], peer: str, tls: str, opened_at: float) -> None:
        self.id = f"c{next(_numbers)}"
        self.wire = wire
        self.extensions = extensions
        self.peer = peer
        self.tls = tls
        self.opened_at = opened_at
        self.idle_since = opened_at
        self.answered_at = opened_at
        self.uses = 0
