"""Bad input over real HTTP: a 4xx that names the field, never a 5xx, nothing stored, and the hub none the worse."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing

import httpx
import pytest

from emailhub.web.server import CONNECTIONS
from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer
from tests.web.test_bad_input import BAD_QUERIES, TABLE, send

MAIL = {"to": "ada@example.org", "subject": "Hello", "text": "Hi."}
NOT_HTTP = {
    "no http at all": b"hello\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n",
    "smtp": b"EHLO me.example\r\nMAIL FROM:<a@example.org>\r\n\r\n",
    "version that does not exist": b"POST /emails HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
    "length that is no number": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n",
    "negative length": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "length and chunks": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunk size that is no number": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "header without a name": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\n: x\r\n\r\n",
    "space before the colon": b"POST /emails HTTP/1.1\r\nHost : 127.0.0.1\r\nContent-Length: 0\r\n\r\n",
    "null in a header": b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: a\x00b\r\n\r\n",
}


async def answer_to(port: int, raw: bytes) -> bytes:
    """The first line of what the hub says to `raw`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(raw)
        async with asyncio.timeout(10):
            return await reader.readline()
    finally:
        writer.close()


@pytest.mark.timeout(120)
async def test_bad_input_is_named_and_leaves_nothing_behind(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None)
    await hub.start()
    wrong = []
    for bad in TABLE:
        answer = await send(hub.client, bad)
        document = answer.json()
        named = bad.field is None or bad.field in [problem["field"] for problem in document["errors"]]
        if answer.status_code != bad.status or not named:
            wrong.append(f"{bad.name}: {answer.status_code} {json.dumps(document)[:300]}")
    for query, field in BAD_QUERIES.items():
        answer = await hub.client.get(f"/emails?{query}")
        if answer.status_code != 422 or field not in [problem["field"] for problem in answer.json()["errors"]]:
            wrong.append(f"?{query}: {answer.status_code} {answer.text[:300]}")
    for name, raw in NOT_HTTP.items():
        line = await answer_to(hub.port, raw)
        if not line.startswith(b"HTTP/1.1 400"):
            wrong.append(f"{name}: {line!r}")
    assert not wrong, "\n".join(wrong)
    assert len(TABLE) + len(BAD_QUERIES) + len(NOT_HTTP) >= 60

    assert await hub.counts() == {}
    with closing(sqlite3.connect(f"file:{hub.database}?mode=ro", uri=True)) as database:
        assert database.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert not [line for line in hub.log() if line["level"] == "error"]
    assert "Traceback" not in hub.output()
    await hub.send()
    await hub.settled(1, final=("sent",))


@pytest.mark.parametrize("limit", ("ulimit -Sn 1024", "ulimit -n 128"))
async def test_whoever_takes_every_connection_and_says_nothing_stops_no_caller_and_no_mail(
    smtp: SmtpServer, make_hub: Callable[..., Hub], limit: str
) -> None:
    hub = make_hub(smtp)
    hub.under = ("sh", "-c", f'{limit}; exec "$@"', "sh")
    await hub.start()
    with ExitStack() as stack:
        for number in range(CONNECTIONS + 100):
            line = stack.enter_context(closing(socket.socket()))
            line.setblocking(False)
            await asyncio.get_running_loop().sock_connect(line, ("127.0.0.1", hub.port))
            if number % 100 == 0:
                # From the same address, on connections of their own, long before the first of them is cut off.
                async with httpx.AsyncClient(base_url=hub.client.base_url, timeout=3, trust_env=False) as caller:
                    assert (await caller.post("/emails", json=MAIL)).status_code == 200
        await hub.settled(11, final=("sent",))
    assert not [line for line in hub.log() if line["level"] == "error"]


async def test_a_client_that_never_finishes_its_headers_is_cut_off(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None, EMAILHUB_REQUEST_TIMEOUT="1s")
    await hub.start()
    slow = [await asyncio.open_connection("127.0.0.1", hub.port) for _ in range(50)]
    for _, writer in slow:
        writer.write(b"POST /emails HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow:")
    await hub.send()
    async with asyncio.timeout(20):
        said = await asyncio.gather(*(reader.read() for reader, _ in slow))
    assert all(not answer or answer.startswith(b"HTTP/1.1 4") for answer in said)
    for _, writer in slow:
        writer.close()
