"""A large outbox in two minutes, written straight into its tables: every state, attempts, tags, attachments, replies.

    python -m bench.million FOLDER [--count 1000000] [--seed 1]

Makes FOLDER/emailhub.db. What happened is spread over sixty days, more by day than by night; content that a hub would
have erased by now is erased. The same seed makes the same messages, up to the time they end at: now.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from bench.million_beside import fill
from bench.million_words import DOMAINS, FIRST, LAST, MAIL, REPLIES, TAGS
from emailhub.adapters.sqlite import open_database, searching
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.core import mime

DAYS = 60
KEPT = 7 * 86400.0
"""Seconds after which a hub has erased the content."""
_BATCH = 20_000
_STATES = {
    "sent": 9290, "failed": 330, "deferred": 100, "suppressed": 90, "canceled": 60, "scheduled": 60, "queued": 40,
    "held": 30,
}  # fmt: skip
_FINAL = frozenset({"sent", "failed", "suppressed", "canceled"})
_REASONS = {
    "sent": "accepted", "failed": "refused", "deferred": "transient", "held": "operator", "canceled": "operator",
    "suppressed": "suppression list",
}  # fmt: skip
_RELAYS = ("default",) * 8 + ("spare", "capture")
_TABLES = ("message", "body", "recipient", "attempt", "event", "idempotency_key", "minute")
_SETTINGS = (
    "journal_mode = OFF",
    "synchronous = OFF",
    "foreign_keys = OFF",
    "cache_size = -400000",
    "temp_store = MEMORY",
)
Row = dict[str, Any]


class Made(NamedTuple):
    """The rows of one message, by table."""

    message: Row
    body: Row
    recipients: list[Row]
    attempts: list[Row]
    events: list[Row]


def build(outbox: Path, count: int, seed: int = 1, now: float | None = None) -> None:
    """Make a new outbox with `count` messages. Raises FileExistsError."""
    if outbox.exists():
        raise FileExistsError(outbox)
    asyncio.run(_begin(outbox))
    database = sqlite3.connect(outbox, isolation_level=None)
    for setting in _SETTINGS:
        database.execute(f"PRAGMA {setting}").fetchall()
    later = _take_away(database)
    made = _messages(random.Random(seed), count, now or time.time())
    database.execute("BEGIN")
    while some := list(islice(made, _BATCH)):
        _store(database, some)
    database.execute("COMMIT")
    for sql in later:
        database.execute(sql)
    _count(database)
    fill(database, count, seed, now or time.time())
    database.execute("PRAGMA journal_mode = WAL").fetchall()
    database.close()
    asyncio.run(_finish(outbox))


async def _begin(outbox: Path) -> None:
    await (await open_database(outbox, on_events=lambda _: None)).close()


async def _finish(outbox: Path) -> None:
    """What the hub would have done by now in the background."""
    database = await open_database(outbox, on_events=lambda _: None)
    upkeep = SqliteUpkeep(database)
    while await upkeep.count_times(time.time()):
        pass
    searching.BATCH = _BATCH
    while await upkeep.index():
        pass
    await database.close()


def _take_away(database: sqlite3.Connection) -> list[str]:
    """Drop the indexes and triggers of the tables, which are quicker made at the end; the SQL that makes them again."""
    names = ", ".join(f"'{table}'" for table in _TABLES)
    found = database.execute(
        "SELECT type, name, sql FROM sqlite_schema "
        f"WHERE type IN ('index', 'trigger') AND sql > '' AND tbl_name IN ({names})"
    ).fetchall()
    for kind, name, _ in found:
        database.execute(f"DROP {kind} {name}")
    return [sql for kind, _, sql in sorted(found, key=lambda one: one[0] != "index")]


def _messages(draw: random.Random, count: int, now: float) -> Iterator[Made]:
    """One message after the other, the oldest first."""
    start = now - DAYS * 86400.0
    states, weights = list(_STATES), list(_STATES.values())
    for seq in range(1, count + 1):
        at = start + DAYS * 86400.0 * _by_day(seq / count)
        (state,) = draw.choices(states, weights)
        if state not in _FINAL and now - at > 86400.0 and state != "scheduled":
            # Nothing waits longer than a day: it is one that came in lately, or one that ended.
            state = "sent"
        if state == "sent" and now - at < 86400.0 and draw.random() < 0.05:
            state = draw.choice(("deferred", "queued", "held"))
        yield _message(draw, seq, at, state, now)


def _by_day(part: float) -> float:
    """A part of the whole time, such that more comes by day: three quarters in half of each day."""
    day, hour = divmod(part * DAYS, 1.0)
    return float(day + (hour / 1.5 if hour < 0.75 else 0.5 + (hour - 0.75) * 2)) / DAYS


def _message(draw: random.Random, seq: int, at: float, state: str, now: float) -> Made:
    mail = draw.choice(MAIL)
    number = f"{draw.randrange(10**6):06}"
    people = [_person(draw) for _ in range(1 if draw.random() < 0.94 else draw.randrange(2, 6))]
    people = list(dict.fromkeys(people))
    id = mime.new_id(at, draw.randbytes(10))
    relay = draw.choice(_RELAYS) if state == "sent" else "default"
    final = state in _FINAL
    last = _last(draw, state)
    took = draw.expovariate(1 / 0.8) + 0.05
    tries = draw.randrange(1, 6) if state in {"failed", "deferred"} else int(state == "sent")
    scheduled = now + draw.random() * 86400 * 7 if state == "scheduled" else None
    due = scheduled or (now + draw.random() * 3600 if state in {"queued", "deferred"} else None)
    reason = "captured" if relay == "capture" else _REASONS.get(state, "accepted")
    tags = draw.sample(TAGS, draw.randrange(1, 3)) if draw.random() < 0.3 else []
    content = b"" if final and now - at > KEPT else _content(draw, mail.subject.format(n=number), mail.files)
    message: Row = {
        "seq": seq, "id": id, "message_id": f"<{id}@{mail.domain}>", "relay": relay, "state": state, "reason": reason,
        "due_at": due, "priority": mail.priority, "on_unknown": "retry", "accepted_at": at, "scheduled_at": scheduled,
        "expires_at": max(at, scheduled or 0, now if not final else 0) + 86400.0, "changed_at": at + took,
        "final_at": at + took if final else None,
        "waiting_since": at if state in {"queued", "deferred"} else None, "attempts": tries, "last": last,
        "face": draw.choice(("http", "http", "amqp", "contract")), "origin": "key billing",
        "correlation_id": f"{seq:012x}{draw.getrandbits(80):020x}", "request_id": f"{mail.name}-{number}-{seq}",
        "sender": f"{mail.name}@{mail.domain}", "from_header": f"{mail.name.capitalize()} <{mail.name}@{mail.domain}>",
        "to_header": f"{people[0][0]} <{people[0][1]}>", "recipients": len(people),
        "subject": mail.subject.format(n=number), "size": len(content) or 2300, "smtputf8": 0,
        "domain": mail.domain, "files": int(mail.files),
    }  # fmt: skip
    each = {"state": state, "reason": reason, "due_at": due, "changed_at": at + took, "last": last, "attempts": tries}
    recipients: list[Row] = [{"seq": seq, "address": address, "kind": "to", **each} for _, address in people]
    attempts = [_attempt(seq, number, relay, at, took, people[0][1], state, last) for number in range(1, tries + 1)]
    body: Row = {
        "seq": seq, "content": content, "snippet": "Thank you. Here is what you asked for.",
        "tags": json.dumps([[tag, value] for tag, value in tags], separators=(",", ":")),
    }  # fmt: skip
    return Made(message, body, recipients, attempts, list(_events(seq, at, state, relay, took, last)))


def _person(draw: random.Random) -> tuple[str, str]:
    first, last = draw.choice(FIRST), draw.choice(LAST)
    return f"{first} {last}", f"{first}.{last}{draw.randrange(1000)}@{draw.choice(DOMAINS)}".lower()


def _last(draw: random.Random, state: str) -> str:
    if state == "sent":
        return f"250 2.0.0 Ok: queued as {draw.getrandbits(40):010X}"
    if state in {"failed", "deferred"}:
        return draw.choice(REPLIES[state])
    return {
        "held": "held by ann",
        "canceled": "canceled by ann: sent twice",
        "suppressed": "on the suppression list",
    }.get(state, "")


def _content(draw: random.Random, subject: str, files: bool) -> bytes:
    kind = "multipart/mixed; boundary=b" if files else "text/plain; charset=utf-8"
    text = "".join(f"Line {draw.randrange(10**6)} of an ordinary message with a few words in it.\r\n" for _ in range(8))
    return f"Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n{text}".encode()


def _attempt(seq: int, number: int, relay: str, at: float, took: float, address: str, state: str, last: str) -> Row:
    lines = [(0.1, "client", "MAIL FROM:<…>"), (0.2, "server", "250 2.1.0 Ok"), (0.5, "server", last)]
    code, _, rest = last.partition(" ")
    result = {
        "address": address, "kind": "accepted" if state == "sent" else state, "stage": "final", "text": last,
        "state": state, "code": int(code) if code.isdigit() else None, "enhanced": rest.partition(" ")[0],
    }  # fmt: skip
    names = ("at", "side", "text")
    return {
        "seq": seq, "number": number, "relay": relay, "started_at": at + number * 0.01,
        "finished_at": at + took + number, "counted": 1, "results": json.dumps([result]),
        "transcript": json.dumps([dict(zip(names, line, strict=True)) for line in lines]), "recipients": 1,
    }  # fmt: skip


def _events(seq: int, at: float, state: str, relay: str, took: float, last: str) -> Iterator[Row]:
    told = [("accepted", at, {"state": "queued", "face": "http", "recipients": 1})]
    if state not in {"queued", "scheduled", "suppressed"}:
        told.append(("sending", at + 0.01, {"state": "sending", "over": relay, "number": 1}))
    if state not in {"queued", "scheduled"}:
        told.append((state, at + took, {"state": state, "text": last, "recipients": 1}))
    for kind, when, data in told:
        yield {"at": when, "kind": kind, "seq": seq, "data": json.dumps(data)}


def _store(database: sqlite3.Connection, made: list[Made]) -> None:
    _insert(database, "message", (one.message for one in made))
    _insert(database, "body", (one.body for one in made))
    _insert(database, "recipient", (row for one in made for row in one.recipients))
    _insert(database, "attempt", (row for one in made for row in one.attempts))
    _insert(database, "event", (row for one in made for row in one.events))


def _insert(database: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    first = next(rows, None)
    if first is None:
        return
    sql = f"INSERT INTO {table} ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})"
    database.execute(sql, tuple(first.values()))
    database.executemany(sql, (tuple(row.values()) for row in rows))


def _count(database: sqlite3.Connection) -> None:
    """What triggers and commits would have counted."""
    database.execute("UPDATE tally SET messages = (SELECT count(*) FROM message WHERE message.state = tally.state)")
    database.execute(
        "INSERT INTO minute (at, accepted, sent, failed) SELECT CAST(accepted_at AS INTEGER) / 60 * 60, count(*), "
        "sum(state = 'sent'), sum(state = 'failed') FROM message GROUP BY 1"
    )
    database.execute(
        "INSERT INTO idempotency_key (key, fingerprint, explicit, id, created_at) "
        "SELECT request_id, randomblob(32), 1, id, accepted_at FROM message WHERE accepted_at > unixepoch() - 259200"
    )


def main() -> None:
    """Says how long it took and how large the file is."""
    parser = argparse.ArgumentParser(prog="bench.million", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where emailhub.db is made")
    parser.add_argument("--count", type=int, default=1_000_000, help="messages (1000000)")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    outbox, began = options.folder / "emailhub.db", time.monotonic()
    build(outbox, options.count, options.seed)
    size = outbox.stat().st_size / 2**20
    print(f"{options.count:,} messages, {size:,.0f} MiB, {time.monotonic() - began:.0f} s: {outbox}")


if __name__ == "__main__":
    main()
