"""TCP to a name: every address in turn, one resolution at a time, the last good addresses while DNS is away."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from typing import Any

from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.judge import judge_failure
from emailhub.core.verdict import Stage, Verdict

_KEEP_ADDRESSES = 3600.0
_MOST_ADDRESSES = 8
Address = tuple[int, int, int, Any]
"""family, type, protocol, socket address"""


class Trouble(Exception):
    """No session could be opened; `verdict` says why, for every recipient alike."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict


def trouble(stage: Stage, text: str) -> Trouble:
    """Trouble without a reply, before anything was sent."""
    return Trouble(judge_failure(stage, text, body_sent=False))


class Dialer:
    """Opens TCP connections to `host`:`port`."""

    def __init__(self, host: str, port: int, timeout: float, clock: Callable[[], float]) -> None:
        self._host = host
        self._port = port
        self._timeout = timeout
        self._clock = clock
        self._known: tuple[float, list[Address]] | None = None
        self._lookup: asyncio.Task[list[Address]] | None = None

    async def dial(self, log: Transcript) -> socket.socket:
        """A connected, non-blocking socket. Raises Trouble when no address answers within the connect timeout."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        failures: list[str] = []
        addresses = await self._addresses(log)
        for index, address in enumerate(addresses):
            share = max(deadline - loop.time(), 0.001) / (len(addresses) - index)
            try:
                return await self._connect(address, share)
            except TimeoutError:
                failures.append(f"{address[3][0]} did not answer in time")
            except OSError as error:
                failures.append(f"{address[3][0]} {_reason(error)}")
            log.note(failures[-1])
        raise trouble(Stage.CONNECT, f"could not connect to {self._host}:{self._port}: {'; '.join(failures)}")

    async def close(self) -> None:
        """Give up a resolution under way."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.wait([self._lookup])

    async def _connect(self, address: Address, timeout: float) -> socket.socket:
        family, kind, protocol, where = address
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(sock, where)
        except BaseException:
            sock.close()
            raise
        return sock

    async def _addresses(self, log: Transcript) -> list[Address]:
        try:
            async with asyncio.timeout(self._timeout):
                found = await self._resolved()
        except TimeoutError:
            return self._last_good(log, f"no answer within {self._timeout:g} s")
        except OSError as error:
            return self._last_good(log, _reason(error))
        self._known = (self._clock(), found)
        return found

    async def _resolved(self) -> list[Address]:
        # Shared: a name server that hangs must not occupy a resolver thread for every attempt.
        if self._lookup is None or self._lookup.done():
            self._lookup = asyncio.create_task(self._resolve(), name=f"resolve {self._host}")
            self._lookup.add_done_callback(_seen)
        return await asyncio.shield(self._lookup)

    async def _resolve(self) -> list[Address]:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses: list[Address] = [(family, kind, protocol, where) for family, kind, protocol, _, where in found]
        return addresses[:_MOST_ADDRESSES]

    def _last_good(self, log: Transcript, why: str) -> list[Address]:
        text = f"the name {self._host} could not be resolved: {why}"
        if self._known is None or self._clock() - self._known[0] > _KEEP_ADDRESSES:
            raise trouble(Stage.CONNECT, text)
        log.note(f"{text}; using the addresses known from before")
        return self._known[1]


def _seen(lookup: asyncio.Task[list[Address]]) -> None:
    # Everyone who waited may have been cancelled; asyncio would log an error that was "never retrieved".
    if not lookup.cancelled():
        lookup.exception()


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return str(error.strerror or error).lower()
    return os.strerror(error.errno).lower() if error.errno else str(error)
