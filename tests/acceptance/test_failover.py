"""Two relays and one of them dies in the middle; and relays that are held to rates, also over a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

MESSAGES = 2000
BACKLOG = 200


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[tuple[SmtpServer, SmtpServer]]:
    """Two listening SMTP servers."""
    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(SmtpServer()) for _ in range(2)]
        yield first, second


def table(name: str, server: SmtpServer, **more: object) -> str:
    """A relay in the file."""
    given = {"name": f'"{name}"', "host": '"127.0.0.1"', "port": server.port, "tls": '"none"', **more}
    return "\n".join(["[[relay]]", *(f"{key} = {value}" for key, value in given.items()), ""])


def hub_with(make_hub: Callable[..., Hub], *tables: str, **env: str) -> Hub:
    hub = make_hub(None, EMAIL_FROM="hub@example.org", **env)
    (hub.folder / "emailhub.toml").write_text("\n".join(tables))
    return hub


async def send(hub: Hub, count: int, prefix: str = "u") -> list[str]:
    at_once = asyncio.Semaphore(32)

    async def one(number: int) -> str:
        async with at_once:
            return await hub.send(to=f"{prefix}{number}@example.net")

    return await asyncio.gather(*(one(number) for number in range(count)))


async def relay(hub: Hub, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await hub.get(f"/relays/{name}")
    return found


def received(server: SmtpServer) -> Counter[str]:
    return Counter(message.message_id for message in server.messages)


@pytest.mark.timeout(180)
async def test_a_relay_dies_among_2000_messages_and_the_other_carries_on_until_it_returns(
    make_hub: Callable[..., Hub], servers: tuple[SmtpServer, SmtpServer]
) -> None:
    main, spare = servers
    hub = hub_with(
        make_hub,
        table("main", main),
        table("spare", spare, priority=1),
        EMAILHUB_FAILOVER_AFTER="2s",
        EMAILHUB_UNKNOWN_WAIT="2s",
        EMAILHUB_BREAKER_OPEN_FOR="2s",
        EMAILHUB_BREAKER_OPEN_MAX="4s",
    )
    await hub.start()
    sending = asyncio.create_task(send(hub, MESSAGES))
    await main.wait_for(MESSAGES // 3, timeout=60)
    assert not spare.messages
    await main.stop()

    async def carried() -> bool:
        return (await relay(hub, "main"))["covered_by"] == ["spare"]

    await hub.until(carried, "the spare relay carries", 30)
    assert "is carried by spare since" in (await hub.client.get("/")).text
    ids = await sending
    # All but what may have been delivered already, which waits for the relay that had it.
    await spare.wait_until(lambda: main.count + spare.count >= MESSAGES - 40, timeout=60)

    await main.start()

    async def returned() -> bool:
        return (await relay(hub, "main"))["covered_by"] == []

    await hub.until(returned, "the relay carries its own mail again", 30)
    await hub.settled(MESSAGES, 60, final=("sent",))
    mains, spares = received(main), received(spare)
    assert not set(mains) & set(spares), "no message went over both"
    assert len(set(mains) | set(spares)) == MESSAGES, "none is lost"
    assert max(spares.values()) == 1
    twice = [id for id, count in mains.items() if count > 1]
    for id in ids if twice else []:
        attempts = (await hub.get(f"/emails/{id}/attempts"))["data"]
        kinds = [result["kind"] for attempt in attempts for result in attempt["results"]]
        assert kinds.count("accepted") == 1
        assert {attempt["relay"] for attempt in attempts if attempt["why"] == ""} <= {"main"}
    before = spare.count
    await send(hub, 50, "again")
    await hub.settled(MESSAGES + 50, 30, final=("sent",))
    assert spare.count == before, "new mail goes over its own relay again"


@pytest.mark.timeout(90)
async def test_no_second_at_the_server_sees_more_than_50_and_none_of_a_backlog_is_idle(
    make_hub: Callable[..., Hub], servers: tuple[SmtpServer, SmtpServer]
) -> None:
    server, _ = servers
    hub = hub_with(make_hub, table("main", server, rate='"50/s"'))
    await hub.start()
    await hub.post("/breakers/main", {"state": "open", "reason": "to make a backlog"})
    await send(hub, BACKLOG)
    await hub.post("/breakers/main", {"state": "auto", "reason": "go"})
    await server.wait_for(BACKLOG, timeout=40)
    times = [message.at for message in server.messages]
    first = times[0]
    assert max(sum(at <= other < at + 1.0 for other in times) for at in times) <= 50
    assert all(
        any(first + second <= at < first + second + 1 for at in times) for second in range(int(times[-1] - first))
    )
    assert times[-1] - first < BACKLOG / 50 * 1.6


@pytest.mark.timeout(90)
async def test_a_restart_gives_no_day_s_quota_away_a_second_time(
    make_hub: Callable[..., Hub], servers: tuple[SmtpServer, SmtpServer]
) -> None:
    server, _ = servers
    hub = hub_with(make_hub, table("main", server, rate='["1000/s", "20/day"]'))
    await hub.start()
    await send(hub, 30)
    await server.wait_for(20)

    async def told() -> bool:
        return "has used its 20 a day" in (await hub.client.get("/")).text

    await hub.until(told, "the first page says that the day is used up")
    assert await hub.stop() == 0
    await hub.start()
    await send(hub, 1)
    await hub.until(told, "it still says so")
    day = next(limit for limit in (await relay(hub, "main"))["limits"] if limit["limit"] == 20)
    assert day["used"] == 20
    assert server.count == 20
    counts = await hub.counts()
    assert counts == {"sent": 20, "queued": 11}
    assert {email["attempts"] for email in (await hub.get("/emails", limit=100))["data"]} == {0, 1}


@pytest.mark.nightly
@pytest.mark.timeout(90)
async def test_a_rate_is_reached_and_held_while_the_server_takes_its_time_to_answer(
    make_hub: Callable[..., Hub], servers: tuple[SmtpServer, SmtpServer]
) -> None:
    server, _ = servers
    server.on("DOT", delay=4.0)
    hub = hub_with(make_hub, table("main", server, rate='"10/s"', connections=80))
    await hub.start()
    await send(hub, 100)
    await server.wait_for(100, timeout=40)
    # Each is noted when it is answered, all equally long after it came.
    times = sorted(message.at for message in server.messages)
    assert max(sum(at <= other < at + 0.99 for other in times) for at in times) <= 10
    assert times[-1] - times[0] < 11.5


@pytest.mark.nightly
@pytest.mark.timeout(90)
async def test_mail_that_met_the_trouble_goes_over_the_other_relay_and_no_login_is_taken_for_an_end_of_it(
    make_hub: Callable[..., Hub], servers: tuple[SmtpServer, SmtpServer]
) -> None:
    main, spare = servers
    sick = main.on("MAIL", "421 4.3.2 Service not available")
    hub = hub_with(
        make_hub,
        table("main", main),
        table("spare", spare, priority=1),
        EMAILHUB_FAILOVER_AFTER="2s",
        EMAILHUB_BREAKER_OPEN_FOR="3s",
    )
    await hub.start()
    ids = await send(hub, 20)
    # Long before what met the trouble would be tried again by itself.
    await spare.wait_for(20, timeout=10)
    attempts = [[one["relay"] for one in (await hub.get(f"/emails/{id}/attempts"))["data"]] for id in ids]
    assert [tried for tried in attempts if len(tried) > 1][:5] == [["main", "spare"]] * 5

    async def ready() -> bool:
        page = await hub.client.get("/relays/main", headers={"Accept": "text/html"})
        return "the next message is the probe" in page.text.lower()

    await hub.until(ready, "a login alone closes nothing", 20)
    hits = sick.hits
    await send(hub, 1, "proof")
    await spare.wait_for(21, timeout=5)
    assert sick.hits == hits + 1
    main.rules.clear()
    await hub.until(ready, "it is let in again", 20)
    await send(hub, 5, "well")
    await main.wait_for(1, timeout=5)
    await hub.settled(26, 20, final=("sent",))
    assert (await relay(hub, "main"))["covered_by"] == []
