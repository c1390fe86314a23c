"""Publishes messages, persistent and confirmed, 200 at a time: `python -m bench.amqp_load URL FIRST COUNT`.

Prints one line of JSON: `begun` (unix seconds), `seconds` until the last confirm.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiormq
import uvloop

from bench.messages import body

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

    begun, since = time.time(), time.perf_counter()
    await asyncio.gather(*map(publish, bodies))
    print(json.dumps({"begun": begun, "seconds": time.perf_counter() - since}))
    await connection.close()


if __name__ == "__main__":
    uvloop.run(_main())
