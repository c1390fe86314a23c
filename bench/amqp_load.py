"""Publishes messages, persistent and confirmed, 200 at a time: `python -m bench.amqp_load URL FIRST COUNT`.

Prints one line of JSON: `begun` (unix seconds), `seconds` until the last confirm, `cpu` seconds of its own.
"""

from __future__ import annotations

import asyncio
import sys
import time

import aiormq
import uvloop

from bench.messages import body
from bench.told import tell

_IN_FLIGHT = 200
_PROPERTIES = aiormq.spec.Basic.Properties(delivery_mode=2, content_type="application/json")


async def _main() -> None:
    url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    connection = await aiormq.connect(url)
    channel = await connection.channel(publisher_confirms=True)
    tickets = asyncio.Semaphore(_IN_FLIGHT)
    bodies = [body(number) for number in range(first, first + count)]

    async def publish(one: bytes) -> None:
        async with tickets:
            await channel.basic_publish(one, routing_key="email.queue", properties=_PROPERTIES, mandatory=True)

    begun, since, cpu = time.time(), time.perf_counter(), time.process_time()
    await asyncio.gather(*map(publish, bodies))
    tell({"begun": begun, "seconds": time.perf_counter() - since, "cpu": time.process_time() - cpu})
    await connection.close()


if __name__ == "__main__":
    uvloop.run(_main())
