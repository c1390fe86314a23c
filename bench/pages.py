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
    ("messages, a page of a month ago", "/messages?before={deep}"),
    ("messages, failed a month ago", "/messages?state=failed&before={deep}"),
    ("messages, a word many have", "/messages?q=order"),
    ("messages, that word a month ago", "/messages?q=order&before={deep}"),
    ("messages, a word all have", "/messages?q=example"),
    ("messages, a word none has", "/messages?q=zanzibar"),
    ("messages, an address", "/messages?q={address}"),
    ("messages, to an address", "/messages?q=to%3A{address}"),
    ("messages, to a domain", "/messages?q=to%3Aexample.net"),
    ("messages, from a service", "/messages?q=from%3Abilling"),
    ("messages, a subject", "/messages?q=subject%3Ainvoice"),
    ("messages, a name", "/messages?q=lovelace"),
    ("messages, an id", "/messages?q={id}"),
    ("messages, a common word in a rare state", "/messages?state=held&q=example"),
    ("messages, a common word in a long state", "/messages?state=failed&q=order"),
    ("messages, without a word", "/messages?q=-order"),
    ("messages, without a word most have", "/messages?q=-example"),
    ("messages, a tag", "/messages?q=tag%3Acategory%3Dwelcome"),
    ("messages, a tag none has", "/messages?q=tag%3Acolour%3Dblue"),
    ("messages, a relay", "/messages?relay=spare"),
    ("messages, a reply", "/messages?q=code%3A5.1.1"),
    ("messages, a reply nobody gave", "/messages?q=code%3A559"),
    ("messages, an acceptance nobody gave", "/messages?q=code%3A2.9.9"),
    ("messages, a reply to a word", "/messages?q=order+code%3A5.1.1"),
    ("messages, with a file", "/messages?q=has%3Aattachment"),
    ("messages, without a file", "/messages?q=-has%3Aattachment"),
    ("messages, of a day long ago", "/messages?q=before%3A30d+after%3A31d"),
    ("messages, a word of that day", "/messages?q=order+before%3A30d+after%3A31d"),
    ("messages, five conditions", "/messages?q=order+from%3Ashop+relay%3Adefault+state%3Afailed+before%3A7d"),
    ("export, its first byte", "/messages/csv"),
    ("export of a search, its first byte", "/messages/jsonl?q=order"),
    ("all that failed, to be retried", "/jobs/new?action=retry&all=1&state=failed"),
    ("all that a search finds, to be retried", "/jobs/new?action=retry&all=1&q=order"),
    ("jobs", "/jobs"),
    ("one message", "/messages/{id}"),
    ("dead letters", "/dead-letters"),
    ("relays", "/relays"),
    ("one relay", "/relays/default"),
    ("templates", "/templates"),
    ("suppressions", "/suppressions"),
    ("suppressions, one searched", "/suppressions?q=ada"),
    ("API keys", "/api-keys"),
    ("users", "/users"),
    ("audit log", "/audit"),
    ("audit log, of one person and kind", "/audit?actor=ada&what=message"),
    ("settings", "/settings"),
    ("the form for a test", "/send"),
    ("all components", "/patterns"),
    ("API reference", "/docs"),
    ("metrics", "/metrics"),
    ("API: a list", "/emails?limit=100"),
    ("API: a search", "/emails?limit=100&q=order"),
    ("API: one message", "/emails/{id}"),
    ("API: its events", "/emails/{id}/events"),
    ("API: its attempts", "/emails/{id}/attempts"),
    ("API: the audit log", "/audit?limit=100"),
    ("API: suppressions", "/suppressions?limit=100"),
)
_FIRST = "first byte"
"""A page whose label says so is not read to its end."""


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
    deep = json.loads(one.ask("/emails?limit=1&q=before%3A30d"))["data"][0]["id"]
    facts = {
        "id": page[50]["id"],
        "old": page[99]["id"],
        "deep": deep,
        "address": page[70]["to"][0].rpartition("<")[2].strip(">"),
    }
    paths = [(label, path.format(**facts)) for label, path in PATHS if only in label]
    with closing(http.client.HTTPConnection("127.0.0.1", one.port, timeout=120)) as connection:
        return [_row(connection, one.pid, label, path, rounds) for label, path in paths]


def _row(connection: http.client.HTTPConnection, pid: int, label: str, path: str, rounds: int) -> Told:
    _, size = _ask(connection, label, path)
    before = cpu([pid])
    took = [_ask(connection, label, path)[0] for _ in range(rounds)]
    return Told(label, path, took, (cpu([pid]) - before) / rounds * 1000, size)


def _ask(connection: http.client.HTTPConnection, label: str, path: str) -> tuple[float, int]:
    began = time.perf_counter()
    connection.request("GET", path, headers={"Accept": "*/*" if label.startswith(("API:", "metrics")) else "text/html"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.read()[:200]!r}")
    body = answer.read(1 if _FIRST in label else None)
    took = time.perf_counter() - began
    if _FIRST in label:
        connection.close()
    return took * 1000, len(body)


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
