"""Steady load, then clients that mean no good: what the hub takes stays the same, and so does its pace.

`EMAILHUB_SOAK_SECONDS` says how long in all.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.acceptance.hub import Hub
from tests.soak.attackers import Attackers
from tests.soak.gauges import MIB, Gauges, Sample
from tests.soak.load import Load, percentile
from tests.support.smtp_server import SmtpServer

SECONDS = float(os.environ.get("EMAILHUB_SOAK_SECONDS", "80"))
HTTP_RATE, QUEUE_RATE = 25.0, 15.0
SLOW, DEAF = 200, 50
POOL = min(32, (os.cpu_count() or 1) + 4)
"""Threads Python keeps for work that would hold the loop."""
WARM = 0.25
"""The part of the time after which everything that grows once has grown."""
PER_CLIENT = 128 * 1024
"""Bytes a connection may take, with what waits for one that does not read."""
CALM = 0.35
"""The part of the time that is measured before the attack."""


async def metric(hub: Hub, name: str) -> float:
    text = (await hub.client.get("/metrics")).text
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name} "))


@pytest.mark.nightly
@pytest.mark.timeout(SECONDS + 240)
@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what a process has taken")
async def test_under_load_and_attack_memory_descriptors_and_log_stay_flat_and_mail_is_accepted_as_fast(
    rabbit_vhost: str,
    make_hub: Callable[..., Hub],
    queue_at: Callable[[str], Awaitable[Any]],
    proved: Callable[[str], None],
) -> None:
    async with SmtpServer(keep=False) as smtp:
        hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_LOG_LEVEL="warning")
        await hub.start()
        await hub.consuming()
        assert hub.process is not None
        load = Load(hub.client, await queue_at(rabbit_vhost))
        gauges = Gauges(hub.process.pid, hub.database)
        running = [
            asyncio.create_task(gauges.run()),
            asyncio.create_task(load.run(HTTP_RATE, load.over_http)),
            asyncio.create_task(load.run(QUEUE_RATE, load.over_rabbit)),
        ]
        await asyncio.sleep(WARM * SECONDS)
        warm, _ = len(gauges.samples), load.waits.clear()
        await asyncio.sleep(CALM * SECONDS)
        calm, under_attack = len(gauges.samples), len(load.waits)
        attackers = Attackers(hub.port, slow=SLOW, deaf=DEAF)
        await asyncio.sleep((1 - WARM - CALM) * SECONDS)
        attacked = len(gauges.samples)
        lag = await metric(hub, "emailhub_loop_lag_seconds")
        await attackers.end()
        for task in running[1:]:
            task.cancel()
        await asyncio.gather(*running[1:], return_exceptions=True)
        await load.ended()
        before, after = load.waits[:under_attack], load.waits[under_attack:]

        async def all_sent() -> bool:
            return smtp.count >= load.accepted

        await hub.until(all_sent, f"all {load.accepted} are sent", 60)
        await hub.until(lambda: _rested(gauges, gauges.usual(warm, calm)), "the connections are gone", 30)
        running[0].cancel()

    most, usual = gauges.most(), gauges.usual(warm, calm)
    # The attackers' connections take some memory of their own, once.
    growth = {"calm": gauges.growth(warm, calm), "attacked": gauges.growth(calm + 5, attacked)}
    last = gauges.usual(attacked - 10, attacked)
    p99, p99_attacked = percentile(before, 0.99), percentile(after, 0.99)
    proved(
        f"{SECONDS:.0f} s, {load.accepted} messages: "
        f"memory {usual.memory / MIB:.0f} MiB, at the end of the attack {last.memory / MIB:.0f}, "
        f"at most {most.descriptors:.0f} descriptors, {most.threads:.0f} threads, {most.wal / MIB:.1f} MiB of log; "
        f"with {SLOW} slow and {DEAF} deaf clients ({attackers.closed} closed) accepting took at most "
        f"{p99_attacked * 1000:.0f} ms for 99 of 100 ({p99 * 1000:.0f} ms without); "
        f"the loop was {lag * 1000:.0f} ms late"
    )
    assert not load.refused, load.refused[:3]
    assert smtp.count == load.accepted, "each is sent once"
    assert max(growth.values()) < 10 * MIB, growth
    assert last.memory - usual.memory < 10 * MIB + (SLOW + DEAF) * PER_CLIENT
    assert most.wal < 64 * MIB
    assert most.threads <= usual.threads + POOL, "the threads of the pool are begun as they are needed"
    assert most.descriptors <= usual.descriptors + SLOW + DEAF + 40
    assert attackers.listening >= DEAF
    assert attackers.closed >= SLOW * ((1 - WARM - CALM) * SECONDS // 14), "a slow header is not waited for"
    assert p99_attacked < 3 * p99 + 0.05
    assert await hub.stop() == 0


async def _rested(gauges: Gauges, usual: Sample) -> bool:
    """Whether the attackers' connections, and no others, are closed."""
    return gauges.look().descriptors <= usual.descriptors + 10
