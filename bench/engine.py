"""Sends ready messages with one SMTP client, no queue: `python -m bench.engine WAY PORT FIRST COUNT CONNECTIONS`.

WAY is `aiosmtplib`, `data` or `bdat`: aiosmtplib's sendmail, or our relay without and with CHUNKING. Every connection
is kept for the whole run, and warm before it is measured. Prints one line of JSON: `begun` (unix seconds), `seconds`,
`cpu` seconds of this process.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import aiosmtplib
import uvloop

from bench.messages import SENDER, address, rfc5322
from bench.told import tell
from emailhub.adapters.smtp import SmtpOptions, SmtpRelay, TlsMode
from emailhub.core.verdict import Envelope, Kind, Progress

_WARM_UP = 10
"""Messages over each connection beforehand."""
Send = Callable[[str, bytes], Awaitable[None]]


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
            await client.sendmail(SENDER, [recipient], content)

        return send

    return [sender(client) for client in clients]


async def _emailhub(port: int, connections: int, *, chunking: bool) -> list[Send]:
    options = SmtpOptions(
        host="127.0.0.1", port=port, tls=TlsMode.NONE, local_hostname="bench.example", chunking=chunking,
        connections=connections, messages_per_connection=10**9,
    )  # fmt: skip
    relay = SmtpRelay(options)

    async def send(recipient: str, content: bytes) -> None:
        envelope = Envelope("m", SENDER, (recipient,), content)
        report = await relay.attempt(envelope, fresh=False, progress=Progress(), before_body=None)
        if report.verdicts[0].kind is not Kind.ACCEPTED:
            raise RuntimeError(report.verdicts[0].text)

    return [send] * connections


async def _all(sends: list[Send], messages: list[tuple[str, bytes]]) -> None:
    each = iter(messages)

    async def worker(send: Send) -> None:
        for recipient, content in each:
            await send(recipient, content)

    await asyncio.gather(*map(worker, sends))


async def _main() -> None:
    way = sys.argv[1]
    port, first, count, connections = map(int, sys.argv[2:6])
    sends = await (
        _aiosmtplib(port, connections) if way == "aiosmtplib" else _emailhub(port, connections, chunking=way == "bdat")
    )
    # Made beforehand: the cost of building is not the engine's.
    messages = [(address(number), rfc5322(number)) for number in range(first, first + count)]
    await _all(sends, [("warm-up@bench.example", rfc5322(0))] * connections * _WARM_UP)
    begun, since, cpu = time.time(), time.perf_counter(), time.process_time()
    await _all(sends, messages)
    tell({"begun": begun, "seconds": time.perf_counter() - since, "cpu": time.process_time() - cpu})


if __name__ == "__main__":
    uvloop.run(_main())
