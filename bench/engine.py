"""The transaction engine alone, beside aiosmtplib's: what one message costs once its bytes are there.

`python -m bench.engine` runs the ways in turn (A B C A B C …), each run a process by itself, against the same server, and
prints a Markdown table. Every way keeps its connections for the whole run, sends ready bytes, and ends with an error
when a message did not arrive or arrived twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiosmtplib
import uvloop

from bench.processes import ROOT, Sink, sink
from emailhub.adapters.smtp import SmtpOptions, SmtpRelay, TlsMode
from emailhub.core.verdict import Envelope, Kind, Progress

WAYS = ("aiosmtplib sendmail", "emailhub DATA", "emailhub BDAT")
Send = Callable[[str, bytes], Awaitable[None]]
_SENDER = "bench@bench.example"
_CONTENT = (
    b"From: Bench <bench@bench.example>\r\nTo: <reader@bench.example>\r\nSubject: Your order 1234567\r\n"
    b"Message-ID: <1@bench.example>\r\nDate: Mon, 02 Nov 2026 10:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
) + b"Thank you for your order, it is on its way to you now.\r\n" * 34
"""About 2 KB."""


async def _aiosmtplib(port: int, connections: int) -> list[Send]:
    clients = [
        aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False, local_hostname="bench.example")
        for _ in range(connections)
    ]
    for client in clients:
        await client.connect()
        await client.ehlo()

    def sender(client: aiosmtplib.SMTP) -> Send:
        async def send(recipient: str, content: bytes) -> None:
            await client.sendmail(_SENDER, [recipient], content)

        return send

    return [sender(client) for client in clients]


async def _emailhub(port: int, connections: int, *, chunking: bool) -> list[Send]:
    options = SmtpOptions(
        host="127.0.0.1", port=port, tls=TlsMode.NONE, local_hostname="bench.example", chunking=chunking,
        connections=connections, messages_per_connection=10**9,
    )  # fmt: skip
    relay = SmtpRelay(options)

    async def send(recipient: str, content: bytes) -> None:
        envelope = Envelope("m", _SENDER, (recipient,), content)
        report = await relay.attempt(envelope, fresh=False, progress=Progress(), before_body=None)
        if report.verdicts[0].kind is not Kind.ACCEPTED:
            raise RuntimeError(report.verdicts[0].text)

    return [send] * connections


async def _run(way: str, port: int, connections: int, count: int) -> dict[str, float]:
    if way == WAYS[0]:
        sends = await _aiosmtplib(port, connections)
    else:
        sends = await _emailhub(port, connections, chunking=way == WAYS[2])
    await _all(sends, "warm", connections * 10)
    began, cpu = time.perf_counter(), time.process_time()
    await _all(sends, "r", count)
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    return {"rate": count / seconds, "cpu": cpu / count * 1000}


async def _all(sends: list[Send], name: str, count: int) -> None:
    numbers = iter(range(count))

    async def worker(send: Send) -> None:
        for number in numbers:
            await send(f"{name}{number}@bench.example", _CONTENT)

    await asyncio.gather(*(worker(send) for send in sends))


def _measure(way: str, server: Sink, connections: int, count: int) -> dict[str, float]:
    """One run in a process of its own. Raises RuntimeError when a message is missing or there twice."""
    server.reset()
    arguments = ["run", way, str(server.port), str(connections), str(count)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.engine", *arguments], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    came: dict[str, Any] = server.report(whole=True)["arrivals"]
    once = sum(len(times) == 1 and name.startswith("r") for name, times in came.items())
    if once != count:
        raise RuntimeError(f"{way}: {once} of {count} messages arrived exactly once")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _rows(latency: float, connections: int, count: int, runs: int) -> list[str]:
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with sink(latency) as server:
        for run in range(runs):
            for way in WAYS:
                found[way].append(_measure(way, server, connections, count))
                last = found[way][-1]
                print(f"{run + 1}/{runs} {way}: {last['rate']:,.0f}/s {last['cpu']:.4f} ms", file=sys.stderr)
    base = _median(found[WAYS[0]])
    return [_row(way, latency, _median(found[way]), base) for way in WAYS]


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in ("rate", "cpu")}


def _row(way: str, latency: float, own: dict[str, float], base: dict[str, float]) -> str:
    answers = f"{latency * 1000:g} ms" if latency else "instant"
    return (
        f"| {way} | {answers} | {own['rate']:,.0f} | {own['rate'] / base['rate']:.2f} × "
        f"| {own['cpu']:.4f} | {base['cpu'] / own['cpu']:.2f} × |"
    )


HEAD = (
    "| way | SMTP server answers after | messages/s | rate against aiosmtplib | CPU ms/message "
    "| messages per CPU second against aiosmtplib |\n|---|---|---|---|---|---|"
)


def table(*, runs: int, connections: int = 50, instant: int = 10_000, slow: int = 3_000) -> str:
    """The Markdown table, measured now: the median of `runs`."""
    rows = _rows(0.0, connections, instant, runs) + _rows(0.02, connections, slow, runs)
    return "\n".join((HEAD, *rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--instant", type=int, default=10_000, help="messages of a run against the instant server")
    parser.add_argument("--slow", type=int, default=3_000, help="messages of a run against the one that takes 20 ms")
    options = parser.parse_args()
    print(table(runs=options.runs, connections=options.connections, instant=options.instant, slow=options.slow))


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        print(json.dumps(uvloop.run(_run(sys.argv[2], *map(int, sys.argv[3:6])))))
    else:
        main()
