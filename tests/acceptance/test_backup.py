"""A backup of a hub at work has all that was accepted before; on the copy what is unfinished waits for a human."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

CLIENTS = 4
BEFORE = 60


async def _backup(hub: Hub, target: Path) -> None:
    command = ("-m", "emailhub", "backup", str(target))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, cwd=hub.folder, env=hub.env)
    assert await process.wait() == 0


async def test_a_backup_under_load_has_everything_and_what_is_unfinished_waits_for_a_human(
    tmp_path: Path, make_hub: Callable[..., Hub]
) -> None:
    async with SmtpServer() as smtp:
        never = asyncio.Event()
        smtp.on("RCPT", "451 4.3.0 later", to="later@example.org")
        dot = smtp.on("DOT", hold=never, times=1)
        hub = make_hub(smtp)
        await hub.start()
        accepted: list[str] = [await hub.send(to="hangs@example.org")]
        await asyncio.wait_for(dot.reached.wait(), 10)
        accepted.append(await hub.send(to="later@example.org"))
        numbers = itertools.count()

        async def client() -> None:
            for number in numbers:
                accepted.append(await hub.send(to=f"u{number}@example.org"))  # noqa: PERF401 - each as it is promised

        clients = [asyncio.create_task(client()) for _ in range(CLIENTS)]

        async def enough() -> bool:
            return len(accepted) >= BEFORE

        await hub.until(enough, f"{BEFORE} messages")
        before = set(accepted)
        await _backup(hub, tmp_path / "copy.db")
        assert len(accepted) > len(before), "mail did not go on"
        for task in clients:
            task.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
        await hub.kill9()
        taken = {message.message_id.strip("<>").split("@")[0] for message in smtp.messages}
        never.set()

        with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert before <= {id for (id,) in copy.execute("SELECT id FROM message")}
            unfinished = {id for (id,) in copy.execute("SELECT id FROM message WHERE final_at IS NULL")}
        assert set(accepted[:2]) <= unfinished
        delivered = len(smtp.messages)
        await hub.start(EMAILHUB_DATABASE=str(tmp_path / "copy.db"))

        async def held() -> bool:
            return (await hub.counts()).get("held", 0) == len(unfinished)

        await hub.until(held, f"{len(unfinished)} are held")
        assert set(await hub.counts()) <= {"held", "sent"}
        new = await hub.send(to="new@example.org")
        await smtp.wait_until(lambda: any(new in message.message_id for message in smtp.messages))
        assert len(smtp.messages) == delivered + 1, "it sent what may have been sent before"
        for id in before - unfinished:
            assert id in taken
        assert await hub.stop() == 0
