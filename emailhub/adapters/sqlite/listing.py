"""Lists of messages: a page of what a filter wants, and how many there are."""

from __future__ import annotations

import sqlite3
from typing import Any

import msgspec

from emailhub.adapters.sqlite import narrowing
from emailhub.adapters.sqlite.stretches import stretches
from emailhub.core.delivery import Reason, State
from emailhub.core.errors import NotFound
from emailhub.core.message import Made
from emailhub.core.query import Count
from emailhub.core.records import Filter, Page, Summary

Row = tuple[Any, ...]

_COLUMNS = (
    "seq id state reason relay face from_header to_header recipients subject request_id correlation_id priority "
    "accepted_at scheduled_at expires_at due_at final_at changed_at attempts last size"
)
_MORE = ("message_id", "reply_to", "template", "template_version", "template_language")
SUMMARY = ", ".join(
    [
        *(f"message.{column}" for column in _COLUMNS.split()),
        "message.diverted <> ''",
        *(f"message.{column}" for column in _MORE),
    ]
)


def summary(row: Row) -> Summary:
    return Summary(
        seq=row[0],
        id=row[1],
        state=State(row[2]),
        reason=Reason(row[3]),
        relay=row[4],
        face=row[5],
        from_header=row[6],
        to_header=row[7],
        recipients=row[8],
        subject=row[9],
        request_id=row[10],
        correlation_id=row[11],
        priority=row[12],
        accepted_at=row[13],
        scheduled_at=row[14],
        expires_at=row[15],
        due_at=row[16],
        final_at=row[17],
        changed_at=row[18],
        attempts=row[19],
        last=row[20],
        size=row[21],
        diverted=bool(row[22]),
        message_id=row[23],
        reply_to=msgspec.json.decode(row[24], type=tuple[str, ...]) if row[24] else (),
        made=Made(*row[25:28]) if row[25] else None,
    )


def seq_of(connection: sqlite3.Connection, id: str) -> int:
    row = connection.execute("SELECT seq FROM message WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("message", id)
    return int(row[0])


def page(
    connection: sqlite3.Connection,
    filter: Filter,
    before: str | None,
    after: str | None,
    limit: int,
    patience: float,
) -> Page:
    narrow = narrowing.narrowed(connection, filter)
    down = before is not None or after is None
    low, high = _ends(connection, narrow)
    if before is not None:
        high = min(high, seq_of(connection, before) - 1)
        narrow.and_also(f"{narrow.seq} <= ?", high)
    elif after is not None:
        low = max(low, seq_of(connection, after) + 1)
        narrow.and_also(f"{narrow.seq} >= ?", low)
    found, reached = _rows(connection, narrow, (low, high), limit + 1, patience, down=down)
    items = [summary(row) for row in found[:limit]]
    more = len(found) > limit
    if not down:
        items.reverse()
        return Page(tuple(items), older=items[-1].id if items else None, newer=items[0].id if more else None)
    if reached is not None:
        return Page(tuple(items), reached[0], items[0].id if before and items else None, reached[1])
    return Page(
        tuple(items),
        older=items[-1].id if more else None,
        newer=items[0].id if before is not None and items else None,
    )


def _ends(connection: sqlite3.Connection, narrow: narrowing.Narrowed) -> tuple[int, int]:
    """The first and the last number a message that is wanted may have; the first is the greater when there is none."""
    ends = "SELECT (SELECT coalesce(min(seq), 1) FROM message), (SELECT coalesce(max(seq), 0) FROM message)"
    first, last = connection.execute(ends).fetchone()
    return max(first, narrow.bounds[0]), min(last, narrow.bounds[1])


def _rows(
    connection: sqlite3.Connection,
    narrow: narrowing.Narrowed,
    ends: tuple[int, int],
    limit: int,
    patience: float,
    *,
    down: bool,
) -> tuple[list[Row], tuple[str, float] | None]:
    """Up to `limit` messages, and the oldest that was looked at (its id, when it came) when patience was at its end."""
    select = narrow.select(SUMMARY, f"ORDER BY {narrow.seq} {'DESC' if down else 'ASC'} LIMIT ?")
    if not narrow.looks:
        return connection.execute(select, narrow.given(limit)).fetchall(), None
    found, first = list[Row](), ends[0]
    for first, last in stretches(*ends, down=down, patience=patience):
        found += connection.execute(select, narrow.given(limit - len(found), span=(first, last))).fetchall()
        if len(found) == limit:
            return found, None
    if not down or first <= ends[0]:
        return found, None
    reached = connection.execute(
        "SELECT id, accepted_at FROM message WHERE seq >= ? ORDER BY seq LIMIT 1", (first,)
    ).fetchone()
    return found, reached


def count(connection: sqlite3.Connection, filter: Filter, most: int, patience: float) -> Count:
    narrow = narrowing.narrowed(connection, filter)
    select = f"SELECT count(*) FROM ({narrow.select('1', 'LIMIT ?')})"  # noqa: S608 - fixed parts only
    low, high = _ends(connection, narrow) if narrow.looks else narrowing.EVERYTHING
    total, first = 0, low
    for first, last in stretches(low, high, down=True, patience=patience) if narrow.looks else [(low, high)]:
        total += connection.execute(select, narrow.given(most + 1 - total, span=(first, last))).fetchone()[0]
        if total > most:
            return Count(most, whole=False)
    return Count(total, whole=first <= low)
