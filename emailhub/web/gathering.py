"""Events of the stream gathered for a page: what happens within a quarter of a second comes as one.

A browser takes longer to hand out an event than to read it. At 500 messages a second that is 1,500 events, and cost a
page a tenth of a core before anything was drawn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

PACE: Final = 0.25
"""Seconds; the first event after a pause of so long comes at once."""


class Gatherer:
    """Reads from `read`, which answers as `Subscription.read` does, at most once per `PACE`."""

    def __init__(self, read: Callable[[float], Awaitable[bytes | None]]) -> None:
        self._read = read
        self._next = 0.0

    async def read(self, timeout: float) -> bytes | None:
        """Bytes for the client, b"" when nothing happened for `timeout` seconds, None at the end."""
        clock = asyncio.get_running_loop().time
        found = await self._read(timeout)
        if not found:
            return found
        parts = [found]
        while (left := self._next - clock()) > 0:
            more = await self._read(left)
            if more is None:
                break
            parts.append(more)
        self._next = clock() + PACE
        return gathered(b"".join(parts))


def gathered(chunk: bytes) -> bytes:
    """The events of `chunk` as one event `many`, with a line of data for each and the last id; the rest as it is."""
    lines, rest, last = [], [], b""
    for frame in filter(None, chunk.split(b"\n\n")):
        if frame.startswith(b"id: "):
            last, _, data = frame.partition(b"\n")
            lines.append(data)
        else:
            rest.append(frame + b"\n\n")
    many = [b"%b\nevent: many\n%b\n\n" % (last, b"\n".join(lines))] if lines else []
    return b"".join([*many, *rest])
