"""How long a hub takes to answer for each page, on an outbox that is there: median, 95th percentile, and the size.

    python -m bench.pages FOLDER [--rounds 40] [--only messages]

FOLDER holds the `emailhub.db` that `bench.million` made. A hub is started on it whose relay is paused, so that it stays
as it is, and asked for each page so many times on one kept connection. CPU is that of the hub for one answer, and what
to compare on a machine that does other things too.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from bench.goals import percentile
from bench.hub import Hub, hub
from bench.processes import cpu

GOAL = 150.0
"""Milliseconds in which 95 of 100 answers are there."""
PATHS = (
    ("overview", "/"),
    ("overview, 7 days", "/?span=7d"),
    ("messages", "/messages"),
    ("messages, sent", "/messages?state=sent"),
    ("messages, failed", "/messages?state=failed"),
    ("messages, held", "/messages?state=held"),
    ("messages, of a request", "/messages?request=none"),
    ("messages, an older page", "/messages?before={old}"),
    ("messages, back from there", "/messages?after={old}"),
    ("messages, a word many have", "/messages?q=order"),
    ("messages, a word none has", "/messages?q=zanzibar"),
    ("messages, an address", "/messages?q={address}"),
    ("messages, a name", "/messages?q=lovelace"),
    ("messages, a common word in a rare state", "/messages?state=held&q=example"),
    ("messages, without a word", "/messages?q=-order"),
    ("messages, a tag", "/messages?q=tag%3Acategory%3Dwelcome"),
    ("messages, a reply", "/messages?q=code%3A5.1.1"),
    ("messages, a reply nobody gave", "/messages?q=code%3A559"),
    ("messages, with a file", "/messages?q=has%3Aattachment"),
    ("messages, of a day long ago", "/messages?q=before%3A30d+after%3A31d"),
    ("one message", "/messages/{id}"),
    ("relays", "/relays"),
    ("one relay", "/relays/default"),
    ("templates", "/templates"),
    ("suppressions", "/suppressions"),
    ("the form for a test", "/send"),
    ("API: a list", "/emails?limit=100"),
    ("API: one message", "/emails/{id}"),
)


class Told(NamedTuple):
    """Milliseconds of each answer, and of CPU for one; bytes of the last."""

    label: str
    path: str
    took: list[float]
    cpu: float
    size: int


def measure(one: Hub, rounds: int, only: str) -> list[Told]:
    """Every page so many times, after once to warm up. Raises RuntimeError when one is no answer."""
    page = json.loads(one.ask("/emails?limit=100"))["data"]
    facts = {"id": page[50]["id"], "old": page[99]["id"], "address": page[70]["to"][0].rpartition("<")[2].strip(">")}
    paths = [(label, path.format(**facts)) for label, path in PATHS if only in label]
    with closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=120)) as connection:
        return [_row(connection, one.pid, label, path, rounds) for label, path in paths]


def _row(connection: http.client.HTTPConnection, pid: int, label: str, path: str, rounds: int) -> Told:
    _, size = _ask(connection, path)
    before = cpu([pid])
    took = [_ask(connection, path)[0] for _ in range(rounds)]
    return Told(label, path, took, (cpu([pid]) - before) / rounds * 1000, size)


def _ask(connection: http.client.HTTPConnection, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    connection.request("GET", path, headers={"Accept": "text/html" if not path.startswith("/emails") else "*/*"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return (time.perf_counter() - began) * 1000, len(body)


def table(rows: list[Told]) -> str:
    lines = ["| page | p50 ms | p95 ms | CPU ms | kB | within 150 ms |", "|---|---|---|---|---|---|"]
    for row in rows:
        p50, p95 = percentile(row.took, 50), percentile(row.took, 95)
        within = "yes" if p95 <= GOAL else "no"
        lines.append(f"| {row.label} | {p50:.1f} | {p95:.1f} | {row.cpu:.1f} | {row.size / 1000:.0f} | {within} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.pages", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder of emailhub.db")
    parser.add_argument("--rounds", type=int, default=40, help="answers of each page (40)")
    parser.add_argument("--only", default="", help="pages whose label contains this")
    options = parser.parse_args()
    with hub(options.folder, {"SMTP_PORT": "9"}) as one:
        one.ask("/breakers/default", {"state": "open", "reason": "measuring"})
        print(table(measure(one, options.rounds, options.only)))


if __name__ == "__main__":
    main()
