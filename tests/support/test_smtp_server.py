"""The scriptable SMTP server as a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

ROOT = Path(__file__).parents[2]


async def test_as_a_process_it_keeps_a_ledger_of_what_it_accepted_and_ends_on_sigterm(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    arguments = ("-m", "tests.support.smtp_server", "--log", str(ledger), "--reply", "DOT*1=451 4.3.0 later")
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            port = int((await process.stdout.readline()).split()[-1])
        message = EmailMessage()
        message["From"], message["To"], message["Message-ID"] = "me@x.test", "ann@x.test", "<1@x.test>"
        message.set_content("hello")
        first = await _send(message, port)
        second = await _send(message, port)
        assert (first, second) == (451, 250)
    finally:
        process.terminate()
        async with asyncio.timeout(20):
            assert await process.wait() == 0
    (line,) = ledger.read_text().splitlines()
    entry = json.loads(line)
    assert (entry["message_id"], entry["from"], entry["rcpts"]) == ("<1@x.test>", "me@x.test", ["ann@x.test"])


async def _send(message: EmailMessage, port: int) -> int:
    try:
        await aiosmtplib.send(message, hostname="127.0.0.1", port=port, local_hostname="test")
    except aiosmtplib.SMTPDataError as refused:
        return refused.code
    return 250
