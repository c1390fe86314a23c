"""An SMTP server that takes everything and knows what it took and when.

`python -m bench.sink [LATENCY] [--no-chunking]` listens on a free port of 127.0.0.1, prints it, and answers every turn
of a client LATENCY seconds later; commands that came together are answered together. Two commands are its own: XRESET
forgets, XREPORT answers one line of JSON: `count` of messages, `first` and `last` arrival (unix seconds), and with
XREPORT ALL `arrivals`, the times by recipient. A message costs it about 25 µs, nearly all of that system calls.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from typing import Any

import uvloop

_EHLO = (
    b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-ENHANCEDSTATUSCODES\r\n%s250 SIZE 52428800\r\n"
)
_REPLIES = {
    b"MAIL": b"250 2.1.0 Ok\r\n",
    b"RCPT": b"250 2.1.5 Ok\r\n",
    b"DATA": b"354 Go on\r\n",
    b"RSET": b"250 2.0.0 Ok\r\n",
    b"NOOP": b"250 2.0.0 Ok\r\n",
    b"QUIT": b"221 2.0.0 Bye\r\n",
}
_END = b"\r\n.\r\n"


class Taken:
    """What came since the last reset: arrival times by recipient."""

    def __init__(self) -> None:
        self.arrivals: dict[str, list[float]] = {}
        self.count = 0
        self.first = self.last = 0.0

    def add(self, recipient: bytes) -> bytes:
        """Count one message; its reply, which names it as a real server's would."""
        self.last = time.time()
        self.first = self.first or self.last
        self.count += 1
        self.arrivals.setdefault(recipient.decode(), []).append(self.last)
        return b"250 2.0.0 Ok: queued as %012X\r\n" % self.count

    def report(self, *, whole: bool) -> bytes:
        told: dict[str, Any] = {"count": self.count, "first": self.first, "last": self.last}
        if whole:
            told["arrivals"] = self.arrivals
        return json.dumps(told).encode() + b"\r\n"


class Session(asyncio.Protocol):
    """One client."""

    def __init__(self, latency: float, ehlo: bytes, taken: Taken) -> None:
        self._latency = latency
        self._replies = _REPLIES | {b"EHLO": ehlo}
        self._taken = taken
        self._buffer = b""
        self._in_body = False
        self._chunk: int | None = None
        self._last = False
        self._recipient = b""
        self._open = True
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer = self._buffer + data if self._buffer else data
        out = []
        while (reply := self._turn()) is not None:
            out.append(reply)
        if out and self._latency:
            asyncio.get_running_loop().call_later(self._latency, self._say, b"".join(out))
        elif out:
            self._say(b"".join(out))

    def _say(self, out: bytes) -> None:
        if self._open:
            self._transport.write(out)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._open = False

    def _turn(self) -> bytes | None:
        """The reply to the next command, chunk or body in the buffer; None when it is not complete."""
        if self._chunk is not None:
            return self._chunk_taken(self._chunk)
        mark = _END if self._in_body else b"\r\n"
        end = self._buffer.find(mark)
        if end < 0:
            return None
        line = self._buffer[:end]
        self._buffer = self._buffer[end + len(mark) :]
        if self._in_body:
            self._in_body = False
            return self._taken.add(self._recipient)
        return self._reply(line)

    def _chunk_taken(self, size: int) -> bytes | None:
        if len(self._buffer) < size:
            return None
        self._buffer = self._buffer[size:]
        self._chunk = None
        return self._taken.add(self._recipient) if self._last else b"250 2.0.0 Ok\r\n"

    def _reply(self, line: bytes) -> bytes | None:
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._recipient = line[line.find(b"<") + 1 : line.find(b">")]
        elif verb == b"BDAT":
            self._chunk, self._last = int(line.split()[1]), line.upper().endswith(b"LAST")
            return self._turn()
        elif verb == b"DATA":
            self._in_body = True
        elif verb == b"XRES":
            self._taken.__init__()  # type: ignore[misc]
            return b"250 2.0.0 Ok\r\n"
        elif verb == b"XREP":
            return self._taken.report(whole=line.endswith(b"ALL"))
        return self._replies.get(verb, b"502 5.5.2 Not known\r\n")


async def _serve(latency: float, *, chunking: bool) -> None:
    taken = Taken()
    ehlo = _EHLO % (b"250-CHUNKING\r\n" if chunking else b"")
    server = await asyncio.get_running_loop().create_server(
        lambda: Session(latency, ehlo, taken), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("latency", type=float, nargs="?", default=0.0)
    parser.add_argument("--no-chunking", action="store_true")
    options = parser.parse_args()
    uvloop.run(_serve(options.latency, chunking=not options.no_chunking))
