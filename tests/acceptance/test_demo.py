"""`emailhub demo`: alive within a minute, nothing real, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from tests.support.ports import free_port


@contextlib.asynccontextmanager
async def demo(folder: Path, port: int, *more: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """The command in `folder`, ended with the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emailhub", "demo", "--port", str(port), "--rate", "2", *more,
        cwd=folder, env={"PATH": os.environ["PATH"], "TMPDIR": str(folder / "tmp")} | env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_the_demo_is_alive_touches_nothing_of_the_user_and_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / ".env").write_text("EMAILHUB_DATABASE=mine.db\nSMTP_HOST=127.0.0.1\n")
    port = free_port()
    env = {
        "EMAILHUB_DATABASE": str(tmp_path / "mine.db"),
        "RABBITMQ_URL": "amqp://127.0.0.1:1",
        "SMTP_HOST": "127.0.0.1",
    }
    async with demo(tmp_path, port, **env) as process, httpx.AsyncClient(trust_env=False) as client:
        assert process.stdout is not None
        said = await asyncio.wait_for(process.stdout.readline(), 60)
        assert f"http://127.0.0.1:{port}" in said.decode()
        key = (await asyncio.wait_for(process.stdout.readline(), 10)).decode().strip().rpartition("=")[2]
        answer = await client.get(f"http://127.0.0.1:{port}/emails", headers={"authorization": f"Bearer {key}"})
        assert answer.status_code == 200
        page = (await client.get(f"http://127.0.0.1:{port}/", headers={"accept": "text/html"})).text
        for word in ("A demo:", "gmail", "partner", "Mail is waiting"):
            assert word in page, word
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    left = sorted(path.name for path in tmp_path.rglob("*"))  # noqa: ASYNC240 - nothing runs any more
    assert left == [".env", "tmp"]


async def test_the_demo_refuses_to_be_seen_by_others_unless_told(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    async with demo(tmp_path, free_port(), "--host", "0.0.0.0") as process:
        _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 78
    assert "--anybody" in said.decode()
