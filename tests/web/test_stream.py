"""Server-Sent Events as a browser gets them: over a socket, with replay, and ended by the hub."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio

from emailhub.engine.gate import Access
from emailhub.web.faces import WebOptions
from emailhub.web.gathering import gathered
from emailhub.web.listening import bind
from emailhub.web.server import Server
from tests.support.web_hub import WebHub, web_hub

WAIT = 10.0


class Told:
    """One event of the stream."""

    def __init__(self, block: str) -> None:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        self.id = int(fields["id"]) if "id" in fields else None
        self.kind = fields.get("event", "message")
        self.data: Any = json.loads(fields["data"]) if "data" in fields else None


class Browser:
    """Reads a stream event by event."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._chunks = response.aiter_text()
        self._rest = ""

    async def block(self) -> str:
        async with asyncio.timeout(WAIT):
            while "\n\n" not in self._rest:
                self._rest += await anext(self._chunks)
        found, _, self._rest = self._rest.partition("\n\n")
        return found

    async def event(self, *kinds: str) -> Told:
        """The next event of one of `kinds`."""
        while True:
            told = Told(await self.block())
            if told.data is not None and told.kind in kinds:
                return told

    async def gathered(self) -> str:
        """The next event `many`, as it is on the wire."""
        while "event: many" not in (block := await self.block()):
            pass
        return block

    async def ended(self) -> bool:
        async with asyncio.timeout(WAIT):
            async for _ in self._chunks:
                pass
        return True


class Served:
    """A hub on a port."""

    def __init__(self, hub: WebHub, server: Server, port: int) -> None:
        self.hub = hub
        self.server = server
        self.port = port
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WAIT)

    @contextlib.asynccontextmanager
    async def stream(self, query: str = "", **headers: str) -> AsyncIterator[Browser]:
        async with self.client.stream("GET", f"/events{query}", headers=headers) as response:
            yield Browser(response)


@contextlib.asynccontextmanager
async def serve(folder: Path, access: Access | None = None, **kinds: Any) -> AsyncIterator[Served]:
    async with web_hub(folder, access, WebOptions(heartbeat=0.2), **kinds) as hub:
        server = Server(hub.app, write_timeout=0.5, grace=1.0)
        listener = bind("127.0.0.1", 0)
        await server.start(listener)
        served = Served(hub, server, listener.getsockname()[1])
        try:
            yield served
        finally:
            hub.faces.live.close()
            await served.client.aclose()
            await server.stop()


@pytest_asyncio.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serve(tmp_path) as found:
        yield found


async def test_a_message_is_told_as_it_happens_with_the_id_of_its_event(served: Served) -> None:
    async with served.stream() as browser:
        assert browser.response.headers["content-type"].startswith("text/event-stream")
        assert browser.response.headers["x-accel-buffering"] == "no"
        id = await served.hub.send()
        told = await browser.event("message")
        assert (told.data["kind"], told.data["message"]) == ("accepted", id)
        assert told.id == told.data["id"] == await served.hub.faces.history.last_event_id()


async def test_a_page_gets_what_happens_at_once_as_one_event_and_misses_nothing(served: Served) -> None:
    async with served.stream("?gather") as browser:
        first = await served.hub.send()
        block = await browser.gathered()
        assert first in block, "what comes after a pause is told at once"
        sent = [await served.hub.send() for _ in range(20)]
        blocks = [await browser.gathered()]
        while sent[-1] not in blocks[-1]:
            blocks.append(await browser.gathered())
        assert len(blocks) <= 10
        told = "".join(blocks)
        assert [id for id in sent if f'"message":"{id}"' not in told] == []
        last = int(blocks[-1].partition("\n")[0].removeprefix("id: "))
        assert last == await served.hub.faces.history.last_event_id()
    await served.hub.send()
    async with served.stream(f"?gather&after={last}") as browser:
        again = await browser.gathered()
        assert int(again.partition("\n")[0].removeprefix("id: ")) > last
        assert sent[-1] not in again


def test_events_are_gathered_and_how_things_stand_is_left_as_it_is() -> None:
    status = b'event: status\ndata: {"a": 1}\n\n'
    one, two = b'id: 1\ndata: {"x":1}\n\n', b'id: 2\ndata: {"x":2}\n\n'
    assert gathered(one + status + two) == b'id: 2\nevent: many\ndata: {"x":1}\ndata: {"x":2}\n\n' + status
    assert gathered(status) == status


async def test_a_browser_that_was_away_gets_what_it_missed_and_nothing_twice(served: Served) -> None:
    first = await served.hub.send()
    last = await served.hub.faces.history.last_event_id()
    missed = [await served.hub.send() for _ in range(3)]
    for how in (
        {"query": f"?after={last}"},
        {"last-event-id": str(last)},
        {"query": "?after=0", "last-event-id": str(last)},
    ):
        async with served.stream(**how) as browser:
            told = [await browser.event("message") for _ in missed]
            assert [event.data["message"] for event in told] == missed, how
    async with served.stream("?after=0") as browser:
        assert (await browser.event("message")).data["message"] == first


async def test_after_a_restart_the_replay_comes_from_the_outbox(tmp_path: Path) -> None:
    async with serve(tmp_path) as before:
        messages = [await before.hub.send() for _ in range(3)]
    async with serve(tmp_path) as after, after.stream("?after=0") as browser:
        assert [(await browser.event("message")).data["message"] for _ in messages] == messages


async def test_an_id_of_another_database_makes_the_page_load_anew(served: Served) -> None:
    async with served.stream("?after=999999") as browser:
        assert (await browser.event("reset")).data == {}


async def test_a_quiet_stream_is_kept_alive(served: Served) -> None:
    async with served.stream() as browser:
        blocks = [await browser.block() for _ in range(5)]
        assert "event: beat\ndata: {}" in blocks


async def test_how_things_stand_is_told_at_once_and_when_it_changes(served: Served) -> None:
    async with served.stream() as browser:
        first = (await browser.event("status")).data
        assert first["totals"]["queued"] == 0
        assert first["relays"][0]["breaker"]["state"] == "closed"
        assert first["rabbit"]["link"] == "off"
        began = asyncio.get_running_loop().time()
        await served.client.post("/breakers/capture", json={"state": "open", "reason": "test"})
        while (await browser.event("status")).data["relays"][0]["breaker"]["state"] != "open":
            pass
        assert asyncio.get_running_loop().time() - began < 2.5


async def test_a_page_that_comes_later_is_told_how_things_stand_first(served: Served) -> None:
    async with served.stream() as browser:
        await browser.event("status")
        async with served.stream() as later:
            assert (await later.event("status", "message")).kind == "status"


async def test_a_bad_id_is_a_4xx_that_names_it(served: Served) -> None:
    for query, headers, field in (
        ("?after=abc", {}, "after"),
        ("?after=-1", {}, "after"),
        ("", {"last-event-id": "9" * 30}, "Last-Event-ID"),
    ):
        async with served.stream(query, **headers) as browser:
            await browser.response.aread()
            assert browser.response.status_code == 422
            assert browser.response.json()["errors"][0]["field"] == field
    assert served.hub.faces.live.clients == 0


async def test_one_page_too_many_is_told_to_come_back(tmp_path: Path) -> None:
    async with serve(tmp_path, clients=1) as served, served.stream() as browser:
        await browser.block()
        async with served.stream() as refused:
            await refused.response.aread()
            assert refused.response.status_code == 503
            assert refused.response.headers["retry-after"] == "30"
            assert refused.response.json()["name"] == "too_many_streams"


async def test_a_page_that_is_closed_frees_its_place(tmp_path: Path) -> None:
    async with serve(tmp_path, clients=1) as served:
        for _ in range(5):
            async with served.stream() as browser:
                assert browser.response.status_code == 200
                await browser.block()
            async with asyncio.timeout(WAIT):
                while served.hub.faces.live.clients:
                    await served.hub.faces.live.change(0.01)


async def test_stopping_ends_every_stream_at_once(served: Served) -> None:
    async with served.stream() as one, served.stream() as two:
        await one.block()
        await two.block()
        served.hub.faces.live.close()
        assert await one.ended()
        assert await two.ended()
        began = asyncio.get_running_loop().time()
        await served.server.stop()
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_a_page_that_does_not_read_is_dropped_and_the_others_go_on(tmp_path: Path) -> None:
    async with serve(tmp_path, backlog=20) as served, served.stream() as reading:
        await reading.block()
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(deaf, ("127.0.0.1", served.port))
            await loop.sock_sendall(deaf, b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            live = served.hub.faces.live
            async with asyncio.timeout(WAIT):
                while live.clients < 2:
                    await live.change(0.01)
            number = 0
            async with asyncio.timeout(WAIT):
                while not live.dropped:
                    number += 1
                    live.publish_status({"number": number, "padding": "x" * 100_000})
                    while (await reading.event("status")).data.get("number") != number:
                        pass
            assert number > 20
            async with asyncio.timeout(WAIT):
                while live.clients > 1:
                    await live.change(0.01)


async def test_a_log_out_ends_the_stream_of_that_session(tmp_path: Path) -> None:
    access = Access(admin_password="correct horse", api_keys=("key",))
    async with serve(tmp_path, access) as served:
        origin = {"origin": f"http://127.0.0.1:{served.port}"}
        await served.client.post("/login", data={"password": "correct horse"}, headers=origin)
        async with served.stream() as browser:
            assert browser.response.status_code == 200
            await served.client.post("/logout", headers=origin)
            assert await browser.ended()
