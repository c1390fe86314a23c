"""Claiming: which messages go next, and opening an attempt for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from emailhub.adapters.sqlite import blobs, many, rows
from emailhub.adapters.sqlite.picking import CANDIDATE, PRIORITIES, Candidate, Pick, Plain, line
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.claiming import ANY, Claimed, Terms
from emailhub.core.delivery import OnUnknown, Standing
from emailhub.core.records import Job, JobRecipient, Scalar

CLAIM_BYTES = 16 * 1024 * 1024
"""Bytes of bodies one claim may load: they stay in memory until their attempts end."""


def claim(
    tx: Transaction,
    relay: str,
    limit: int,
    now: float,
    alive: float,
    ids: Sequence[str],
    probe: bool,
    terms: Terms = ANY,
) -> Claimed:
    """See `SqliteOutbox.claim`. What expires at `alive` or before has expired."""
    if probe:
        found = _probes(tx, relay, now, alive, ids, terms.troubles)
    else:
        found = _candidates(tx, relay, limit, now, alive, ids, terms)
    pick = Pick(tx, now, terms) if terms is not ANY else Plain()
    chosen: list[tuple[Candidate, bool]] = []
    loaded = 0
    for row, fresh in found:
        if chosen and loaded + row.size > CLAIM_BYTES:
            break
        if (taken := pick.take(row, fresh)) is not None:
            loaded += row.size
            chosen.append((row, taken))
        # Before the next one is asked for: a line of which nothing is needed is not looked at.
        if len(chosen) >= (1 if probe else limit) or pick.full:
            break
    pick.claimed.jobs = _open(tx, chosen, now, relay, terms.why)
    return pick.claimed


def _candidates(
    tx: Transaction, relay: str, limit: int, now: float, alive: float, ids: Sequence[str], terms: Terms
) -> Iterator[tuple[Candidate, bool]]:
    """Rows to claim with whether they were handed off (those may be claimed before they are due by themselves)."""
    seen: set[int] = set()
    for row in _handed_off(tx, relay, alive, ids[:limit]):
        if row.seq not in seen:
            seen.add(row.seq)
            yield row, True
    home = terms.home or relay
    covering = terms.home is not None
    for row in line(tx, home, limit, now, alive, covering=covering, late=terms.late, after=terms.after):
        if row.seq not in seen:
            yield row, False


def _handed_off(tx: Transaction, relay: str, alive: float, ids: Sequence[str]) -> Iterator[Candidate]:
    found = {row.id: row for row in map(Candidate._make, many.among(tx, _UNTOUCHED, ids, given=(relay, alive)))}
    yield from (found[id] for id in ids if id in found)


# The plus keeps SQLite from looking for all of the relay's mail instead of a few ids.
_UNTOUCHED = (
    f"SELECT {CANDIDATE} FROM message WHERE +relay = ?1 AND +state = 'queued' AND attempts = 0 "  # noqa: S608
    "AND due_at IS NOT NULL AND expires_at > ?2 AND id"
)


def _probes(
    tx: Transaction, relay: str, now: float, alive: float, ids: Sequence[str], most: int | None
) -> Iterator[tuple[Candidate, bool]]:
    """What is due, the message first that met the least trouble, so that one poisonous message is not every probe."""
    found = [row for priority in PRIORITIES for row in tx.execute(_PROBES, (relay, priority, now, alive)).fetchall()]
    for *row, troubles in sorted(found, key=lambda row: (row[-1], row[14], row[13])):
        if most is None or troubles < most:
            yield Candidate(*row), False
    for fresh in _handed_off(tx, relay, alive, ids):
        yield fresh, True


_PROBES = (
    f"SELECT {CANDIDATE}, troubles FROM message WHERE relay = ?1 AND priority = ?2 AND due_at <= ?3 "  # noqa: S608
    "AND expires_at > ?4 ORDER BY due_at LIMIT 200"
)
"""Of a backlog only the first are looked at: sorting all of it would take the longest when mail waits most."""


_TAKE = "UPDATE recipient SET state = 'sending', due_at = NULL, changed_at = ?1 WHERE seq"
_TAKEN = f"""AND state IN ({rows.CLAIMABLE_SQL}) {{}}
    RETURNING seq, id, address, attempts, troubles, unknowns, troubled_at"""
_CARRIED = "SELECT seq, max(number) FROM attempt WHERE seq"
_ATTEMPT = "INSERT INTO attempt (id, seq, number, relay, started_at, why)"
_SENDING = """UPDATE message SET state = 'sending', due_at = NULL, changed_at = ?1,
    waiting_since = coalesce(waiting_since, max(scheduled_at, accepted_at), ?1) WHERE seq"""


def _open(tx: Transaction, chosen: Sequence[tuple[Candidate, bool]], now: float, relay: str, why: str) -> list[Job]:
    """Open an attempt for each chosen message of which a recipient may go; with `True` also before it is due."""
    taken: dict[int, list[tuple[Any, ...]]] = {}
    for early, until in ((True, ""), (False, "AND due_at <= ?1")):
        seqs = [row.seq for row, fresh in chosen if fresh is early]
        for seq, *recipient in many.among(tx, _TAKE, seqs, _TAKEN.format(until), given=(now,)):
            taken.setdefault(seq, []).append(tuple(recipient))
    opened = [row for row, _ in chosen if row.seq in taken]
    seqs = [row.seq for row in opened]
    numbers = dict(many.among(tx, _CARRIED, seqs, "GROUP BY seq"))
    ids = dict(enumerate(opened, many.next_id(tx, "attempt", "id")))
    many.insert(tx, _ATTEMPT, [(id, row.seq, numbers.get(row.seq, 0) + 1, relay, now, why) for id, row in ids.items()])
    many.among(tx, _SENDING, seqs, given=(now,))
    contents = blobs.contents(tx, seqs)
    facts: dict[str, Scalar] = {"state": "sending", "over": relay}
    if why:
        facts["why"] = why
    jobs = []
    for id, row in ids.items():
        number = numbers.get(row.seq, 0) + 1
        tx.tell("sending", now, {**facts, "number": number}, seq=row.seq, message=row.id)
        jobs.append(_job(row, relay, contents[row.seq], id, number, sorted(taken[row.seq]), why))
    return jobs


def _job(
    row: Candidate,
    relay: str,
    content: bytes,
    attempt_id: int,
    number: int,
    recipients: Sequence[tuple[Any, ...]],
    why: str,
) -> Job:
    return Job(
        row.id,
        row.seq,
        attempt_id,
        number,
        relay,
        row.sender,
        content,
        bool(row.smtputf8),
        OnUnknown(row.on_unknown),
        row.expires_at,
        row.accepted_at,
        row.request_id,
        row.correlation_id,
        tuple(JobRecipient(r[0], r[1], Standing(r[2], r[3], r[4]), r[5]) for r in recipients),
        row.domain,
        why,
    )


def open_jobs(connection: sqlite3.Connection) -> list[tuple[Job, bool]]:
    """See `SqliteOutbox.open_jobs`."""
    columns = ", ".join(f"m.{name}" for name in Candidate._fields)
    found = connection.execute(
        f"SELECT a.id, a.number, a.body_at, a.relay, a.why, {columns} "  # noqa: S608
        "FROM attempt a JOIN message m ON m.seq = a.seq WHERE a.finished_at IS NULL"
    ).fetchall()
    jobs = []
    for attempt_id, number, body_at, relay, why, *columns_of_message in found:
        row = Candidate(*columns_of_message)
        recipients = connection.execute(
            "SELECT id, address, attempts, troubles, unknowns, troubled_at FROM recipient "
            "WHERE seq = ? AND state = 'sending'",
            (row.seq,),
        ).fetchall()
        may_be_out = row.on_unknown == OnUnknown.RETRY or body_at is not None
        jobs.append((_job(row, relay, b"", attempt_id, number, recipients, why), may_be_out))
    return jobs
