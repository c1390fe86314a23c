"""Servers that mean harm: they cost a connection and its deadline, no memory, and nobody else's mail."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from emailhub.adapters.smtp import SmtpOptions, SmtpRelay
from emailhub.core.verdict import Kind, Report, Stage
from tests.support.network_clock import NetworkLoop, over_the_network
from tests.support.smtp_relays import kinds, send
from tests.support.smtp_server import SmtpServer

PIECE = 64 * 1024
FLOOD = 10 * 1024 * 1024
MOST = 1024 * 1024
"""Bytes that a conversation may cost at most, whatever it is answered: buffers of both ends and a reply cut short."""
ATTEMPTS = 8
"""At once, to each hostile server."""
REPLIES = {
    "greeting": b"220 hi\r\n",
    "EHLO": b"250-x\r\n250 PIPELINING\r\n",
    "MAIL": b"250 ok\r\n",
    "RCPT": b"250 ok\r\n",
}


class Flood(NamedTuple):
    """`piece` over and over, ten megabytes of it, instead of the reply to `at`."""

    at: str
    piece: bytes

    @property
    def kind(self) -> Kind:
        """One success too many after the content is a success all the same; anything else there leaves it unknown."""
        if self.at != "DOT":
            return Kind.RELAY
        return Kind.ACCEPTED if self.piece.startswith(b"250 ok") else Kind.UNKNOWN


class Hostile:
    """A server that answers each step as usual until `at`, and then only as `answer` does."""

    def __init__(self, at: str, answer: Callable[[asyncio.StreamWriter], object]) -> None:
        self.at = at
        self.answer = answer
        self.sent = 0
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._talks.add(task)
        # Ended by `end`: what called this would take a cancellation that comes out of here for a fault.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self.talk(reader, writer)
        writer.close()
        self._talks.discard(task)

    async def end(self) -> None:
        """Hang up on everybody."""
        for task in (talks := list(self._talks)):
            task.cancel()
        await asyncio.gather(*talks)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        step = "greeting"
        while step != self.at:
            writer.write(REPLIES.get(step, b"354 go\r\n"))
            line = await reader.readline()
            step = line.split()[0].decode().upper() if line else self.at
            if step == "DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                step = "DOT"
        await self.answer(writer)  # type: ignore[misc]

    async def flood(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        for _ in range(FLOOD // len(piece)):
            writer.write(piece)
            await writer.drain()
            self.sent += len(piece)


@asynccontextmanager
async def listening(hostile: Hostile) -> AsyncIterator[int]:
    running = await asyncio.start_server(hostile.serve, "127.0.0.1", 0)
    try:
        yield running.sockets[0].getsockname()[1]
    finally:
        running.close()
        await hostile.end()


def relay(port: int) -> SmtpRelay:
    options = SmtpOptions(host="127.0.0.1", port=port, connections=ATTEMPTS)
    return SmtpRelay(options, clock=asyncio.get_running_loop().time)


async def both(hostile: SmtpRelay, good: SmtpRelay) -> tuple[list[Report], list[float]]:
    """What the attempts at the hostile server came to, and when, meanwhile, the others' mail was accepted."""
    loop = asyncio.get_running_loop()
    harmed = [asyncio.create_task(send(hostile)) for _ in range(ATTEMPTS)]
    served = []
    for _ in range(20):
        assert kinds(await send(good)) == [Kind.ACCEPTED]
        served.append(loop.time())
    return await asyncio.gather(*harmed), served


FLOODS = (
    *(Flood(at, b"250-" + b"x" * PIECE) for at in ("greeting", "EHLO", "MAIL", "DOT")),
    *(Flood(at, b"250-more\r\n" * (PIECE // 10)) for at in ("greeting", "EHLO", "MAIL", "DOT")),
    *(Flood(at, b"250 ok\r\n" * (PIECE // 8)) for at in ("MAIL", "DOT")),
    *(Flood(at, b"\r\n" * (PIECE // 2)) for at in ("greeting", "MAIL", "DOT")),
)


@pytest.mark.parametrize("flood", FLOODS, ids=lambda flood: f"{flood.at}-{flood.piece[:8]!r}")
@over_the_network
async def test_ten_megabytes_of_reply_take_no_memory_and_nobody_elses_time(flood: Flood) -> None:
    server = Hostile(flood.at, lambda writer: server.flood(writer, flood.piece))
    async with SmtpServer(keep=False) as good_server, listening(server) as port:
        hostile, good = relay(port), relay(good_server.port)
        await send(good)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            reports, _ = await both(hostile, good)
            peak = tracemalloc.get_traced_memory()[1] - before
        finally:
            tracemalloc.stop()
            await hostile.close()
            await good.close()
        assert peak < ATTEMPTS * MOST
        assert server.sent < ATTEMPTS * FLOOD
        for report in reports:
            assert len(report.transcript) < 50
            assert sum(len(line.text) for line in report.transcript) < 20_000
            assert report.verdicts[0].kind is flood.kind, report.verdicts


async def forever(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def drop_by_drop(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(59.0)


@pytest.mark.parametrize("answer", (forever, drop_by_drop))
@pytest.mark.parametrize(
    ("at", "stage", "deadline"),
    (
        ("greeting", Stage.GREETING, 60.0),
        ("EHLO", Stage.EHLO, 60.0),
        ("MAIL", Stage.MAIL, 60.0),
        ("RCPT", Stage.RCPT, 60.0),
        ("DOT", Stage.FINAL, 600.0),
    ),
)
@over_the_network
async def test_a_server_that_never_answers_costs_one_deadline_and_nobody_else_waits(
    answer: Callable[[asyncio.StreamWriter], object], at: str, stage: Stage, deadline: float
) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, NetworkLoop)
    server = Hostile(at, answer)
    async with SmtpServer(keep=False) as good_server, listening(server) as port:
        hostile, good = relay(port), relay(good_server.port)
        began = loop.time()
        reports, served = await both(hostile, good)
        assert served[-1] - began < 5.0
        assert {report.verdicts[0].stage for report in reports} == {stage}
        assert {report.verdicts[0].kind for report in reports} == {Kind.UNKNOWN if at == "DOT" else Kind.RELAY}
        # Connections are opened one, two, four at a time; those who wait for one share the one failure.
        assert loop.time() - began <= deadline + 60.0
        await hostile.close()
        await good.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
