"""Recording: what the attempts that ended found out, applied for a whole group commit by a handful of statements."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from emailhub.adapters.sqlite import many, rows, suppressions, withholding
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Wish
from emailhub.core.records import AttemptResult, Job, Result, Scalar
from emailhub.core.suppression import bounces
from emailhub.core.verdict import Kind, Report

_encode = msgspec.json.Encoder().encode
_TAKEN = (Kind.ACCEPTED.value, Kind.UNKNOWN.value)
"""What a relay counts against its limits, as far as can be known."""


class Ended(NamedTuple):
    """An attempt that ended `now`, and what it found out; `bury`: failed recipients become dead letters.

    With `suppress`, addresses that turn out to take no mail at all go on the suppression list; it is called after the
    commit with how many recipients of other messages are suppressed by that.
    """

    job: Job
    results: Sequence[Result]
    report: Report
    now: float
    bury: bool
    suppress: Callable[[int], None] | None = None


class _Open(NamedTuple):
    """An attempt that was still open: its recipients that are being sent, and how many the message has in all."""

    ended: Ended
    sending: dict[int, rows.Sending]
    recipients: int

    @property
    def known(self) -> list[Result]:
        """The results whose recipients are being sent."""
        return [result for result in self.ended.results if result.recipient_id in self.sending]


def record(tx: Transaction, group: Sequence[Ended]) -> list[tuple[Result, ...]]:
    """Apply what attempts found out; for each the results as applied, none when it was closed before."""
    opened = _still_open(tx, group)
    endings = [
        rows.Ending(one.sending[result.recipient_id], result.outcome, result.text, one.ended.now)
        for one in opened
        if one is not None
        for result in one.known
    ]
    changes = rows.end_attempts(tx, withholding.stopped(tx, endings))
    answers: list[tuple[Result, ...]] = []
    settled, closed = [], []
    at = 0
    for one in opened:
        if one is None:
            answers.append(())
            continue
        known = one.known
        made, at = changes[at : at + len(known)], at + len(known)
        closed.append(_closed(tx, one.ended, known, made))
        settled.append(_settlement(one, made))
        pairs = zip(known, made, strict=True)
        answers.append(tuple(replace(result, outcome=change.outcome) for result, change in pairs))
    many.update(tx, _CLOSE, closed, "attempt.id = v.column7")
    rows.settle_all(tx, settled)
    for one in opened:
        if one is not None and one.ended.suppress is not None:
            _suppress(tx, one, one.ended.suppress)
    return answers


def _suppress(tx: Transaction, one: _Open, tell: Callable[[int], None]) -> None:
    """Put the addresses on the suppression list that take no mail at all."""
    job, now, alone = one.ended.job, one.ended.now, one.recipients == 1
    bounced = [result for result in one.known if bounces(result.kind, result.stage, result.reply, alone=alone)]
    if bounced:
        addresses = [(one.sending[result.recipient_id].address, result.text) for result in bounced]
        if withheld := suppressions.suppress_bounced(tx, job.seq, job.id, addresses, now):
            tx.after.append(partial(tell, withheld))


_CLOSE = """UPDATE attempt SET finished_at = v.column1, counted = v.column2, results = v.column3,
    transcript = v.column4, session = v.column5, recipients = v.column6"""
_PIN = "UPDATE message SET pinned = 1, relay = ? WHERE seq = ?"
_SENDING = """SELECT a.id, r.id, r.address, r.wish, m.recipients FROM attempt a
    JOIN message m ON m.seq = a.seq LEFT JOIN recipient r ON r.seq = a.seq AND r.state = 'sending'
    WHERE a.finished_at IS NULL AND a.id"""


def _still_open(tx: Transaction, group: Sequence[Ended]) -> list[_Open | None]:
    # The attempt's row is the fencing token: a late result of an attempt that was closed meanwhile must not end the
    # one that runs now.
    found: dict[int, tuple[int, dict[int, rows.Sending]]] = {}
    for id, recipient, address, wish, count in many.among(tx, _SENDING, [one.job.attempt_id for one in group]):
        _, sending = found.setdefault(id, (count, {}))
        if recipient is not None:
            sending[recipient] = rows.Sending(recipient, address, Wish(wish) if wish else None)
    opened: list[_Open | None] = []
    for one in group:
        count_and_sending = found.pop(one.job.attempt_id, None)
        opened.append(count_and_sending and _Open(one, count_and_sending[1], count_and_sending[0]))
    return opened


def _closed(
    tx: Transaction, ended: Ended, results: Sequence[Result], changes: Sequence[rows.Change]
) -> tuple[Any, ...]:
    taken = sum(result.kind in _TAKEN for result in results)
    if taken:
        tx.use(ended.now, ended.job.relay, taken)
    if any(result.kind == Kind.UNKNOWN for result in results):
        # Any other relay would send what this one may have delivered.
        tx.execute(_PIN, (ended.job.relay, ended.job.seq))
    kept = [_kept(result, change) for result, change in zip(results, changes, strict=True)]
    return (
        ended.now,
        int(any(change.outcome.costs for change in changes)),
        _encode(kept).decode(),
        _encode(ended.report.transcript).decode(),
        _encode(ended.report.session).decode(),
        taken,
        ended.job.attempt_id,
    )


def _kept(result: Result, change: rows.Change) -> AttemptResult:
    reply = result.reply
    return AttemptResult(
        change.address,
        result.kind,
        result.stage,
        result.text,
        change.outcome.to,
        reply.code if reply else None,
        reply.enhanced if reply else "",
    )


def _settlement(one: _Open, changes: Sequence[rows.Change]) -> rows.Settlement:
    job = one.ended.job
    facts: dict[str, Scalar] = {"over": job.relay, "number": job.number}
    whole = len(changes) == one.recipients
    return rows.Settlement(job.seq, job.id, changes, one.ended.now, facts, one.ended.bury, whole)
