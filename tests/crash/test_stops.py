"""SIGTERM at random moments under all kinds of traffic: nothing is lost, and nothing that was answered comes again."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from collections.abc import Callable

import pytest

from tests.acceptance.hub import Hub
from tests.crash.moody import MoodySmtp
from tests.crash.storm import SETTINGS, storm
from tests.support.rabbit_node import RabbitNode

GRACE = 25.0
"""Seconds a stopping hub gives what is past the body; nothing here takes as long."""


async def stop(hub: Hub) -> None:
    """Ask it to stop; it must end in order, unless it had not even begun to listen for signals."""
    code = await hub.stop(GRACE)
    assert code in {0, -signal.SIGTERM}, hub.output()[-2000:]


async def attack(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], proved: Callable[[str], None], *, stops: int, messages: int
) -> None:
    """A storm whose seed is printed first: EMAILHUB_CRASH_SEED plays it again, as far as a running system can."""
    seed = int(os.environ.get("EMAILHUB_CRASH_SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"SIGTERM: EMAILHUB_CRASH_SEED={seed}", flush=True)
    vhost = await rabbit.fresh_vhost()
    async with MoodySmtp(random.Random(seed)) as smtp:
        url = rabbit.vhost_url(vhost)
        hub = make_hub(smtp, RABBITMQ_URL=url, **SETTINGS)
        verdict = await storm(hub, smtp, url, ends=stops, messages=messages, seed=seed, end=stop)
        answered = Counter((copy.id, copy.address) for copy in smtp.copies() if copy.answered)
    again = [who for who, count in answered.items() if count > 1]
    proved(
        f"{verdict.accepted} accepted, {stops} times SIGTERM, {len(verdict.lost)} lost, {len(again)} sent again that "
        "were answered"
    )
    assert not verdict.faults(), f"(seed {seed}): {verdict.faults()}"
    # Nothing was killed: only what the server itself left unanswered may come a second time.
    assert not again, f"(seed {seed}): {again}"
    assert verdict.accepted >= messages
    queues = await rabbit.list_queues(vhost)
    assert not any(queues.values()), queues


@pytest.mark.nightly
@pytest.mark.timeout(600)
async def test_after_30_stops_under_load_nothing_is_lost_and_nothing_answered_comes_again(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], proved: Callable[[str], None]
) -> None:
    await attack(rabbit, make_hub, proved, stops=30, messages=1000)
