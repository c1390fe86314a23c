"""What stands beside the messages of the large outbox: audit log, suppressions, dead letters."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator

from bench.million_words import FIRST, LAST

_DEEDS = ("message.retry", "message.hold", "session.begin", "suppression.add", "template.publish", "breaker.force")
_REASONS = ("not valid JSON: line 1", "to: is missing", "subject: longer than 998 characters")


def fill(database: sqlite3.Connection, count: int, seed: int, now: float) -> None:
    """For `count` messages a tenth as many entries of the log, and the rest in proportion."""
    draw = random.Random(seed)
    day = 86400.0
    database.executemany(
        "INSERT INTO audit (at, actor, peer, what, target, reason, result, detail) "
        "VALUES (?, ?, ?, ?, ?, '', 'done', '')",
        (
            (now - 60 * day * (1 - part), draw.choice(FIRST).lower(), "10.0.0.7", draw.choice(_DEEDS), f"{number}")
            for number, part in _spread(count // 10)
        ),
    )
    database.executemany(
        "INSERT OR IGNORE INTO suppression (address, origin, note, face, since) "
        "VALUES (?, 'bounce', '550 5.1.1', 'http', ?)",
        (
            (f"{draw.choice(FIRST)}.{draw.choice(LAST)}{number}@example.net".lower(), now - 60 * day * (1 - part))
            for number, part in _spread(count // 20)
        ),
    )
    database.executemany(
        "INSERT INTO dead_letter (at, reason, body, size, headers, content_type, correlation_id) "
        "VALUES (?, ?, ?, 40, '{}', 'application/json', '')",
        (
            (now - 30 * day * (1 - part), draw.choice(_REASONS), b'{"to": "", "subject": "", "number": %07d}' % number)
            for number, part in _spread(min(count // 100, 10_000))
        ),
    )


def _spread(count: int) -> Iterator[tuple[int, float]]:
    """The numbers up to `count`, each with the part of the time that is over then."""
    return ((number, number / count) for number in range(count))
