"""The caller of Celery and dramatiq: hands over one message after the other, each confirmed by the broker."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.messages import address, text
from bench.told import tell


def publish(send: Callable[[str, str, str], object], first: int, count: int) -> None:
    """Call `send` with the recipient, subject and text of each message, and tell how long that took."""
    messages = [(address(number), f"Message {number}", text(number)) for number in range(first, first + count)]
    latencies = []
    begun, since, cpu = time.time(), time.perf_counter(), time.process_time()
    for message in messages:
        before = time.perf_counter()
        send(*message)
        latencies.append(time.perf_counter() - before)
    seconds, cpu = time.perf_counter() - since, time.process_time() - cpu
    tell({"begun": begun, "seconds": seconds, "cpu": cpu, "latencies": latencies})
