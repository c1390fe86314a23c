"""Kill -9 at random moments under all kinds of traffic: no promise is broken, and what comes twice is explained."""

from __future__ import annotations

import os
import random
from collections.abc import Callable

import pytest

from tests.acceptance.hub import Hub
from tests.crash.moody import MoodySmtp
from tests.crash.storm import SETTINGS, storm
from tests.support.rabbit_node import RabbitNode


async def attack(
    rabbit: RabbitNode,
    make_hub: Callable[..., Hub],
    proved: Callable[[str], None],
    *,
    kills: int,
    messages: int,
) -> None:
    """A storm whose seed is printed first: EMAILHUB_CRASH_SEED plays it again, as far as a running system can."""
    seed = int(os.environ.get("EMAILHUB_CRASH_SEED", "0")) or random.randrange(1, 1_000_000)
    print(f"kill -9: EMAILHUB_CRASH_SEED={seed}", flush=True)
    vhost = await rabbit.fresh_vhost()
    async with MoodySmtp(random.Random(seed)) as smtp:
        url = rabbit.vhost_url(vhost)
        hub = make_hub(smtp, RABBITMQ_URL=url, **SETTINGS)
        verdict = await storm(hub, smtp, url, ends=kills, messages=messages, seed=seed)
    proved(verdict.sentence(kills))
    assert not verdict.faults(), f"{verdict.sentence(kills)} (seed {seed}): {verdict.faults()}"
    assert verdict.accepted >= messages
    queues = await rabbit.list_queues(vhost)
    assert not any(queues.values()), queues


@pytest.mark.timeout(240)
async def test_after_25_kills_no_promise_is_broken(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], proved: Callable[[str], None]
) -> None:
    await attack(rabbit, make_hub, proved, kills=25, messages=2000)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
async def test_after_300_kills_no_promise_is_broken(
    rabbit: RabbitNode, make_hub: Callable[..., Hub], proved: Callable[[str], None]
) -> None:
    await attack(rabbit, make_hub, proved, kills=300, messages=20_000)
