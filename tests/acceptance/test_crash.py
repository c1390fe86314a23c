"""kill -9 while sending: what was accepted is accounted for, what was in flight is unknown and follows its policy."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

MESSAGES = 200
POLICIES = ("retry", "hold", "fail")


@pytest.mark.timeout(120)
async def test_nothing_is_lost_by_a_kill_in_the_middle(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp, EMAILHUB_UNKNOWN_WAIT="1s", SMTP_RETRY_DELAY_SECONDS="0.5", MAX_RETRY_ATTEMPTS="9")
    await hub.start()
    # The bodies of these are taken, their final replies never come: they are in flight when the process dies.
    stuck = smtp.on("DOT", delay=3600, times=len(POLICIES))
    silent = [await hub.send(to=f"silent-{policy}@example.org", on_unknown=policy) for policy in POLICIES]

    async def all_stuck() -> bool:
        return stuck.hits == len(POLICIES)

    await hub.until(all_stuck, "three final replies are awaited")
    accepted = set(silent) | set(
        await asyncio.gather(
            *(hub.send(to=f"u{number}@example.org", on_unknown=POLICIES[number % 3]) for number in range(MESSAGES))
        )
    )
    await smtp.wait_for(MESSAGES // 4)
    await hub.kill9()
    before = Counter(message.message_id for message in smtp.messages)
    stuck.times = 0

    await hub.start()
    assert (await hub.get("/emails", limit=1))["data"]

    async def at_rest() -> bool:
        return not set(await hub.counts()) - {"sent", "failed", "held"}

    await hub.until(at_rest, "everything is final or held", 60)
    counts = await hub.counts()
    assert sum(counts.values()) == len(accepted)
    arrived = Counter(message.message_id for message in smtp.messages)
    assert set(before) <= set(arrived)
    by_id = {message_id.strip("<>").split("@")[0]: count for message_id, count in arrived.items()}
    assert set(by_id) <= accepted, "a Message-ID changed"
    rescued = {line["message_id"] for line in hub.log() if line["event"] == "rescued"}
    for id in accepted:
        email = await hub.get(f"/emails/{id}")
        if email["status"] == "sent":
            assert by_id.get(id, 0) >= 1, "told as sent, never taken"
        else:
            assert id in rescued, f"{email['status']} and not in flight when the process died"
            assert email["status"] == {"hold": "held", "fail": "failed"}[email["on_unknown"]]
        if by_id.get(id, 0) > 1:
            assert id in rescued, "twice, and not in flight when the process died"
    assert set(silent) <= rescued


async def test_sigterm_gives_back_what_is_harmless_and_waits_for_what_is_not(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(smtp)
    await hub.start()
    answer = asyncio.Event()
    dot = smtp.on("DOT", hold=answer, times=1)
    id = await hub.send()
    await asyncio.wait_for(dot.reached.wait(), 10)
    stopping = asyncio.create_task(hub.stop())

    async def refuses() -> bool:
        try:
            return (await hub.post("/emails", {"to": "x@example.org", "subject": "S", "text": "T"})).status_code == 503
        except OSError:
            return False

    await hub.until(refuses, "intake answers 503")
    answer.set()
    assert await stopping == 0
    await hub.start()
    assert (await hub.get(f"/emails/{id}"))["status"] == "sent"
    assert sum(id in message.message_id for message in smtp.messages) == 1
