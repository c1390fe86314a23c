"""The server on a real socket: slow clients, too many, too much, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.response import Stream

from emailhub.web.listening import CannotListen, bind
from emailhub.web.server import CONNECTIONS, Server
from tests.support.web_hub import GOOD, SEED, WebHub

ASK = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
ANSWER = 10.0
"""Seconds any answer may take before a test fails."""


@contextlib.asynccontextmanager
async def serving(app: Litestar, **limits: Any) -> AsyncIterator[tuple[Server, int]]:
    """`app` on a free port of 127.0.0.1."""
    server = Server(app, **limits)
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    await server.start(listener)
    try:
        yield server, port
    finally:
        await server.stop()


class Wire:
    """A client that sends bytes when told and reads until the server closes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def rest(self) -> bytes:
        async with asyncio.timeout(ANSWER):
            return await self.reader.read()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of an answer after which the server closes."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        return self._read(head, body)

    async def next(self) -> tuple[int, dict[str, str], Any]:
        """The same of an answer after which the server goes on."""
        async with asyncio.timeout(ANSWER):
            head = (await self.reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            return self._read(head, await self.reader.readexactly(int(length)))

    @staticmethod
    def _read(head: bytes, body: bytes) -> tuple[int, dict[str, str], Any]:
        status, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return int(status.split()[1]), headers, json.loads(body)


@contextlib.asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_it_answers_and_names_no_software(hub: WebHub) -> None:
    async with serving(hub.app) as (_, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        response = await client.post("/emails", json=GOOD)
        assert response.status_code == 200
        assert "server" not in response.headers
        head = await client.head("/emails")
        assert (head.status_code, head.content) == (200, b"")


async def test_a_client_that_does_not_finish_its_header_is_sent_away(hub: WebHub) -> None:
    async with serving(hub.app, header_timeout=0.2) as (_, port), wire(port) as slow:
        await slow.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        status, headers, document = await slow.answer()
        assert (status, document["name"], headers["connection"]) == (408, "request_timeout", "close")
        assert headers["content-security-policy"]


async def test_a_client_that_drips_its_header_is_sent_away_all_the_same(hub: WebHub) -> None:
    async with serving(hub.app, header_timeout=0.3) as (_, port), wire(port) as slow:
        ended = asyncio.create_task(slow.rest())
        await slow.send(b"GET /health HTTP/1.1\r\n")
        drips = 0
        while not ended.done():
            with contextlib.suppress(ConnectionError):
                await slow.send(b"X: y\r\n")
            await asyncio.wait({ended}, timeout=0.02)
            drips += 1
            assert drips < 500
        assert ended.result().startswith(b"HTTP/1.1 408")


async def test_a_client_that_says_nothing_at_all_is_sent_away(hub: WebHub) -> None:
    async with serving(hub.app, header_timeout=0.2) as (_, port), wire(port) as silent:
        assert (await silent.answer())[0] == 408


async def test_a_slow_client_holds_up_nobody(hub: WebHub) -> None:
    async with serving(hub.app, header_timeout=5) as (_, port), contextlib.AsyncExitStack() as stack:
        for _ in range(50):
            slow = await stack.enter_async_context(wire(port))
            await slow.send(b"POST /emails HTTP/1.1\r\nHost: localhost\r\n")
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=ANSWER))
        assert (await client.get("/health")).status_code == 200


async def test_the_second_request_on_a_connection_has_the_same_deadline(hub: WebHub) -> None:
    async with serving(hub.app, header_timeout=0.3) as (_, port), wire(port) as client:
        await client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(ANSWER):
            await client.reader.readuntil(b'"email_service"}')
        await client.send(b"GET /health HT")
        assert (await client.answer())[0] == 408


async def test_a_body_that_never_ends_is_not_waited_for(hub: WebHub) -> None:
    async with serving(hub.app, body_timeout=0.2) as (_, port), wire(port) as slow:
        head = (
            b"POST /emails HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
        )
        await slow.send(head + b'{"to":')
        assert (await slow.answer())[0] == 408
    assert await hub.stored() == 0


async def test_headers_without_end_are_refused(hub: WebHub) -> None:
    async with serving(hub.app) as (_, port), wire(port) as client:
        await client.send(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + b"X-A: " + b"a" * 70_000 + b"\r\n\r\n")
        status, _, document = await client.answer()
        assert (status, document["name"]) == (431, "headers_too_large")


async def test_what_is_not_http_is_a_400_in_the_usual_shape(hub: WebHub) -> None:
    async with serving(hub.app) as (_, port):
        for garbage in (
            b"\x16\x03\x01\x02\x00\x01\x00",
            b"hello\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
        ):
            async with wire(port) as client:
                await client.send(garbage)
                status, headers, document = await client.answer()
                assert (status, document["name"]) == (400, "validation_error"), garbage
                assert headers["x-content-type-options"] == "nosniff"


async def test_two_lengths_are_not_a_request(hub: WebHub) -> None:
    async with serving(hub.app) as (_, port), wire(port) as client:
        lengths = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"
        await client.send(b"POST /emails HTTP/1.1\r\nHost: localhost\r\n" + lengths + b"\r\n0\r\n\r\n")
        assert (await client.answer())[0] == 400


async def test_a_missing_or_repeated_host_is_a_400(hub: WebHub) -> None:
    async with serving(hub.app) as (_, port):
        for hosts in (b"", b"Host: localhost\r\nHost: localhost\r\n"):
            async with wire(port) as client:
                await client.send(b"GET /health HTTP/1.1\r\n" + hosts + b"Connection: close\r\n\r\n")
                assert (await client.answer())[0] == 400, hosts


async def test_above_the_limit_new_connections_are_told_to_come_back_while_all_others_are_answered() -> None:
    inside, go_on = asyncio.Semaphore(0), asyncio.Event()

    @get("/")
    async def slow() -> str:
        inside.release()
        await go_on.wait()
        return "done"

    app = Litestar([slow], openapi_config=None, logging_config=None)
    async with serving(app, connections=3) as (_, port), contextlib.AsyncExitStack() as stack:
        held = [await stack.enter_async_context(wire(port)) for _ in range(3)]
        for one in held:
            await one.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            await asyncio.wait_for(inside.acquire(), ANSWER)
        async with wire(port) as one_more:
            status, headers, document = await one_more.answer()
            assert (status, document["name"], headers["retry-after"]) == (503, "service_unavailable", "5")
        go_on.set()
        for one in held:
            assert (await one.rest()).endswith(b"done")


UNFINISHED = {
    "nothing": b"",
    "half a header": b"GET /health HTTP/1.1\r\nHost: loc",
    "half a body": b"POST /send_email HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 100\r\n\r\n{",
    "one request, and then nothing": ASK,
    "one request, and then an empty line": ASK + b"\r\n",
}


@pytest.mark.parametrize("sent", UNFINISHED)
async def test_whoever_takes_every_connection_and_sends_nothing_whole_keeps_nobody_out(hub: WebHub, sent: str) -> None:
    most = CONNECTIONS if sent == "nothing" else 100
    async with serving(hub.app, connections=most) as (_, port), contextlib.AsyncExitStack() as stack:
        for _ in range(most):
            held = await stack.enter_async_context(wire(port))
            await held.send(UNFINISHED[sent])
            if UNFINISHED[sent].startswith(ASK):
                await held.next()
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=1.0))
        for _ in range(20):
            # Same address, and always more of the others.
            await stack.enter_async_context(wire(port))
            assert (await client.post("/emails", json=GOOD, headers={"connection": "close"})).status_code == 200


@pytest.mark.parametrize("sent", UNFINISHED)
async def test_who_gives_way_is_told_unless_it_would_be_taken_for_another_answer(hub: WebHub, sent: str) -> None:
    async with serving(hub.app, connections=1) as (_, port), wire(port) as first:
        await first.send(UNFINISHED[sent])
        idle = UNFINISHED[sent].startswith(ASK)
        if idle:
            assert (await first.next())[0] == 200
        async with wire(port) as second:
            await second.send(ASK)
            assert (await second.next())[0] == 200
        rest = await first.rest()
        assert rest == b"" if idle else rest.startswith(b"HTTP/1.1 503 ")


async def test_line_ends_between_two_requests_do_not_keep_a_connection(hub: WebHub) -> None:
    async with serving(hub.app, keep_alive=0.2) as (_, port), wire(port) as client:
        await client.send(ASK)
        await client.next()
        await client.send(b"\r\n")
        assert await client.rest() == b""


async def test_a_client_that_takes_nothing_of_its_answer_is_cut() -> None:
    produced = asyncio.Event()
    ended = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                produced.set()
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            ended.set()

    @get("/")
    async def flood() -> Stream:
        return Stream(endless)

    async with serving(Litestar([flood], openapi_config=None, logging_config=None), write_timeout=0.3) as (_, port):
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", port))
            await loop.sock_sendall(deaf, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            async with asyncio.timeout(ANSWER):
                await produced.wait()
                await ended.wait()


async def test_stopping_lets_a_running_request_finish() -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    @get("/")
    async def slow() -> str:
        inside.set()
        await go_on.wait()
        return "done"

    app = Litestar([slow], openapi_config=None, logging_config=None)
    async with serving(app) as (server, port), httpx.AsyncClient(timeout=ANSWER) as client:
        answer = asyncio.create_task(client.get(f"http://127.0.0.1:{port}/"))
        await inside.wait()
        stopping = asyncio.create_task(server.stop())
        go_on.set()
        assert (await answer).text == "done"
        await asyncio.wait_for(stopping, ANSWER)
        await asyncio.wait_for(server.serve(), ANSWER)
        with pytest.raises(httpx.ConnectError):
            await client.get(f"http://127.0.0.1:{port}/")


async def test_a_taken_port_is_told_in_words() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen, match=f"port {port}: another process listens there.*EMAILHUB_PORT"):
            bind("127.0.0.1", port)


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(CannotListen, match="EMAILHUB_HOST"):
        bind("203.0.113.1", 0)
    with pytest.raises(CannotListen, match="EMAILHUB_HOST"):
        bind("no such host.invalid", 0)


async def test_an_application_that_cannot_start_is_told() -> None:
    def fails() -> None:
        raise ValueError("no luck")

    app = Litestar([], on_startup=[fails], openapi_config=None, logging_config=None)
    with bind("127.0.0.1", 0) as listener, pytest.raises(RuntimeError, match="could not be started"):
        await Server(app).start(listener)


async def test_an_answer_in_one_piece_is_a_whole_answer(hub: WebHub) -> None:
    body = json.dumps(SEED).encode()
    head = (
        b"POST /send_email HTTP/1.%d\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    async with serving(hub.app) as (_, port), wire(port) as client:
        for _ in range(2):
            await client.send(head % (1, len(body)) + body)
            status, headers, said = await client.next()
            assert (status, said["success"]) == (200, True)
            assert headers["content-type"] == "application/json"
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["date"].endswith("GMT")
            assert "connection" not in headers
        # Two at once: the second is answered after the first.
        await client.send((head % (1, len(body)) + body) * 2)
        assert [(await client.next())[0] for _ in range(2)] == [200, 200]
        await client.send(head % (0, len(body)) + body)
        rest = await client.rest()
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nconnection: close\r\n" in rest
    assert await hub.stored() == 1
