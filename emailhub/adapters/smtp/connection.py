"""An open session as the pool keeps it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

from emailhub.adapters.smtp.wire import Wire

_numbers = itertools.count(1)


class Offers:
    """What matters of the server's answer to EHLO. `limit` is the most bytes it takes, 0 when it does not say."""

    __slots__ = ("chunking", "eight_bit", "limit", "pipelining", "size", "smtputf8")

    def __init__(self, extensions: Mapping[str, str]) -> None:
        limit = extensions.get("size", "")
        self.size = "size" in extensions
        # At most 20 digits (RFC 1870 §3); Python itself reads no number of more than 4,300.
        self.limit = int(limit) if limit.isascii() and limit.isdecimal() and len(limit) <= 20 else 0
        self.pipelining = "pipelining" in extensions
        self.chunking = "chunking" in extensions
        self.smtputf8 = "smtputf8" in extensions
        self.eight_bit = "8bitmime" in extensions


class Connection:
    """A session with the server at `peer`, and how much it was used.

    `id` is its name among all connections of this process; `extensions` are EHLO's keywords in lower case with their
    parameters; `answered_at` is when the server last answered, from when on it is idle if nobody uses it.
    """

    __slots__ = ("answered_at", "extensions", "id", "offers", "opened_at", "peer", "tls", "uses", "wire")

    def __init__(self, wire: Wire, extensions: Mapping[str, str], peer: str, tls: str, opened_at: float) -> None:
        self.id = f"c{next(_numbers)}"
        self.wire = wire
        self.extensions = extensions
        self.offers = Offers(extensions)
        self.peer = peer
        self.tls = tls
        self.opened_at = opened_at
        self.answered_at = opened_at
        self.uses = 0
