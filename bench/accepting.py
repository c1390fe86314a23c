"""What it costs to accept a message, and for how long others wait meanwhile: small ones, and large attachments."""

from __future__ import annotations

import http.client
import json
import statistics
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

from bench import processes
from bench.hub import Hub, hub
from bench.messages import address, text
from emailhub.core import fingerprint, mime, parse
from emailhub.core.message import Limits, Mailbox
from emailhub.web import body

_CLIENTS = 8
_SIZE = 26 * 2**20
_SENDER = Mailbox("hub@bench.example")
_PAGE = "<p>A page, „quoted“ and &amp; escaped, \t with what JSON writes in its own way.</p>\r\n"
# So many bytes as base64 in lines make 25 MiB, with 2 KB for the rest of the message.
_LARGEST = (25 * 2**20 - 2048) // 78 * 57


@dataclass
class Accepting:
    """What accepting one kind of request takes, medians over the runs, in milliseconds.

    `work`: CPU from the bytes of the request to those of the message, alone; `cpu`: all of the hub's CPU for a request,
    with HTTP and the outbox; `stall`: the longest time the event loop stood still.
    """

    title: str
    size: int
    work: float = 0.0
    cpu: float = 0.0
    stall: float = 0.0


@dataclass(frozen=True)
class _Kind:
    title: str
    body: Callable[[], bytes]
    count: int
    path: str = "/emails"


def _kinds() -> list[_Kind]:
    return [
        _Kind("html and text", _request, 1000),
        _Kind("1 MB attachment", partial(_request, attached=10**6), 40),
        _Kind("25 MiB of MIME", partial(_request, attached=_LARGEST), 6),
        _Kind("17 MB of html", partial(_request, html=_PAGE * (17 * 10**6 // len(_PAGE))), 6),
        _Kind("a batch of 100 with long headers", _batch, 6, "/emails/batch"),
    ]


def take(runs: int, folder: Path) -> list[Accepting]:
    """Each kind of request; the messages are accepted and wait, as the relay is paused."""
    rows = []
    for kind in _kinds():
        request = kind.body()
        found = [_measured(kind, request, folder) for _ in range(runs)]
        row = Accepting(
            kind.title,
            len(request),
            1000 * statistics.median(_worked(request) for _ in range(max(3, kind.count // 50))),
            statistics.median(cpu for cpu, _ in found),
            statistics.median(stall for _, stall in found),
        )
        print(
            f"{kind.title}: {row.work:.2f} ms, {row.cpu:.2f} ms in all, {row.stall:.1f} ms", file=sys.stderr, flush=True
        )
        rows.append(row)
    return rows


def _request(attached: int = 0, html: str = "") -> bytes:
    fields: dict[str, object] = {
        "to": address(1),
        "subject": "Message 1",
        "text": text(1),
        "html": html or "".join(f"<p>{line}</p>\n" for line in text(1).splitlines()),
    }
    if attached:
        content = b64encode(Random(1).randbytes(attached)).decode()
        fields["attachments"] = [{"filename": "a.bin", "content": content}]
    return json.dumps(fields).encode()


def _batch() -> bytes:
    """As many and as long headers as are allowed, in ASCII and in another script, which is encoded word by word."""
    headers = {f"X-{at}": ("words " * 166 if at % 2 else "слова " * 166).strip() for at in range(50)}
    one = {"to": address(1), "subject": "Message 1", "text": text(1), "headers": headers}
    return json.dumps([one] * 100).encode()


def _worked(request: bytes) -> float:
    """Seconds of CPU from the JSON to the finished messages and their fingerprints."""
    started = time.thread_time()
    given = body.parsed(request)
    for one in given if isinstance(given, list) else [given]:
        submission = parse.submission(body.as_object(one), Limits(size=_SIZE), now=0.0)
        mime.build(submission, sender=_SENDER, message_id="<1@bench.example>", date=0.0, boundary="5d8e0c6f1b2a4937")
        fingerprint.fingerprint(submission)
    return time.thread_time() - started


def _measured(kind: _Kind, request: bytes, folder: Path) -> tuple[float, float]:
    """Milliseconds of the hub's CPU for one of a kind's requests, and its longest standstill."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name)
        settings = {"SMTP_PORT": "9", "EMAILHUB_MAX_MESSAGE_SIZE": str(_SIZE)}
        with hub(home, settings) as one:
            used = _used(one, kind, request, kind.count)
        stalls = home / "stalls"
        with hub(home, settings | {"BENCH_STALLS": str(stalls)}, module="bench.stalls") as one:
            _used(one, kind, request, max(kind.count // 4, 4), before=lambda: stalls.unlink(missing_ok=True))
            return used, float(stalls.read_text())


def _used(one: Hub, kind: _Kind, request: bytes, count: int, before: Callable[[], None] = lambda: None) -> float:
    one.ask("/breakers/default", {"state": "open", "reason": "bench"})
    _post(one, kind.path, request, max(count // 5, 1))
    time.sleep(0.5)
    before()
    started = processes.cpu([one.pid])
    with ThreadPoolExecutor(_CLIENTS) as clients:
        share = max(count // _CLIENTS, 1) if count >= _CLIENTS * 10 else count
        for done in [
            clients.submit(_post, one, kind.path, request, share) for _ in range(_CLIENTS if share < count else 1)
        ]:
            done.result()
    time.sleep(0.2)
    return 1000 * (processes.cpu([one.pid]) - started) / count


def _post(one: Hub, path: str, request: bytes, count: int) -> None:
    client = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60)
    for _ in range(count):
        client.request("POST", path, request, {"Content-Type": "application/json"})
        answer = client.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the hub answered {answer.status}: {said[:500]!r}")
    client.close()
