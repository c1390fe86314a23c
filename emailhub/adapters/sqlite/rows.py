"""Writing recipients and what follows from them: the message's summary, the counts, the dead letters, the events."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from emailhub.adapters.sqlite import many
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import CLAIMABLE, FINAL, Outcome, Reason, Standing, State, Verb, Wish, summarize, wished
from emailhub.core.records import Scalar

_encode = msgspec.json.Encoder().encode

CLAIMABLE_SQL = ", ".join(f"'{state}'" for state in sorted(CLAIMABLE))
EVENT_OF = {
    State.QUEUED: "queued",
    State.SENT: "sent",
    State.DEFERRED: "deferred",
    State.FAILED: "failed",
    State.HELD: "held",
    State.CANCELED: "canceled",
    State.SCHEDULED: "scheduled",
    State.SUPPRESSED: "suppressed",
}
_MINUTE_COLUMN = {State.SENT: "sent", State.DEFERRED: "deferred", State.FAILED: "failed"}


class Sending(NamedTuple):
    """A recipient that is being sent."""

    id: int
    address: str
    wish: Wish | None


class Change(NamedTuple):
    """One recipient's new state, as applied; `standing` when its counts were read again."""

    address: str
    outcome: Outcome
    text: str
    standing: Standing | None = None


class Ending(NamedTuple):
    """How an attempt ended for one recipient."""

    sending: Sending
    outcome: Outcome
    text: str
    now: float


_APPLY = """
UPDATE recipient SET state = v.column1, reason = v.column2, due_at = v.column3, attempts = attempts + v.column4,
    wish = NULL, changed_at = v.column5, last = v.column6,
    -- Given back: as if it had not been claimed.
    troubles    = CASE WHEN v.column1 = 'queued' THEN troubles
                       WHEN v.column4 = 0 AND v.column1 = 'deferred' THEN troubles + 1 ELSE 0 END,
    troubled_at = CASE WHEN v.column1 = 'queued' THEN troubled_at
                       WHEN v.column4 = 0 AND v.column1 = 'deferred' THEN v.column5 END,
    -- What used no attempt says nothing about the message: trouble between two unknown outcomes leaves them in a row.
    unknowns    = CASE WHEN v.column4 = 0 THEN unknowns
                       WHEN v.column2 IN ('unknown', 'rescued') THEN unknowns + 1 ELSE 0 END
"""


def end_attempts(tx: Transaction, endings: Sequence[Ending]) -> list[Change]:
    """Move SENDING recipients to where their outcome, or a wish made meanwhile, says; the changes, in order."""
    finals = [wished(ending.outcome, ending.sending.wish) for ending in endings]
    values = [
        (final.to.value, final.reason.value, final.due_at, int(final.costs), one.now, one.text, one.sending.id)
        for one, final in zip(endings, finals, strict=True)
    ]
    where = "recipient.id = v.column7 AND recipient.state = 'sending' RETURNING recipient.id, attempts, troubles"
    standings = {id: Standing(attempts, troubles) for id, attempts, troubles in many.update(tx, _APPLY, values, where)}
    return [
        Change(one.sending.address, final, one.text, standings[one.sending.id])
        for one, final in zip(endings, finals, strict=True)
    ]


def move(
    tx: Transaction,
    seq: int,
    sources: Iterable[State],
    outcome: Outcome,
    text: str,
    now: float,
    *,
    without: Collection[int] = (),
) -> list[Change]:
    """Move every recipient of message `seq` that is in one of `sources`, but those `without`; the changes, maybe none.

    `without` are ids of recipients' rows.
    """
    wanted = ", ".join(f"'{state}'" for state in sorted(sources))
    fresh = _FRESH if outcome.verb is Verb.RETRY else ""
    spared = f" AND id NOT IN ({', '.join(map(str, without))})" if without else ""
    found = tx.execute(
        f"UPDATE recipient SET state = ?, reason = ?, due_at = ?, changed_at = ?, last = ?{fresh} "  # noqa: S608
        f"WHERE seq = ? AND state IN ({wanted}){spared} RETURNING address",
        (outcome.to.value, outcome.reason.value, outcome.due_at, now, text, seq),
    ).fetchall()
    return [Change(address, outcome, text) for (address,) in found]


_FRESH = """, troubles = 0, unknowns = 0, troubled_at = NULL,
    attempts = CASE WHEN state IN ('failed', 'canceled', 'suppressed') THEN 0 ELSE attempts END"""
"""A retry starts the rows of troubles anew; what had come to its end gets a new allowance of attempts too."""


def wish_for(tx: Transaction, seq: int, wish: Wish) -> int:
    """Note `wish` for the recipients being sent; returns how many there are. What somebody wished before stays when
    time runs out."""
    guard = " AND wish IS NULL" if wish is Wish.EXPIRE else ""
    return tx.execute(
        f"UPDATE recipient SET wish = ? WHERE seq = ? AND state = 'sending'{guard}",  # noqa: S608
        (wish.value, seq),
    ).rowcount


class Settlement(NamedTuple):
    """The changes of one message. `bury`: its failed recipients become dead letters.

    `whole`: `changes` are all its recipients, with their standing, so that nothing has to be read again.
    """

    seq: int
    message: str
    changes: Sequence[Change]
    now: float
    facts: Mapping[str, Scalar]
    bury: bool
    whole: bool = False


def settle(
    tx: Transaction,
    seq: int,
    message: str,
    changes: Sequence[Change],
    now: float,
    facts: Mapping[str, Scalar],
    *,
    bury: bool,
) -> None:
    """All that follows from `changes` of one message: its summary, the minute's counts, dead letters and events."""
    settle_all(tx, [Settlement(seq, message, changes, now, facts, bury)])


def settle_all(tx: Transaction, settled: Sequence[Settlement]) -> None:
    """`settle` for many messages."""
    summaries = [_summary_of(one.changes) if one.whole else _read_summary(tx, one.seq) for one in settled]
    values = [_shown(one, summary) for one, summary in zip(settled, summaries, strict=True)]
    found = many.update(tx, _SUMMARIZE, values, f"message.seq = v.column9 RETURNING {_UNKEPT}")
    unkept = [seq for (seq,) in found if seq is not None]
    for seq in unkept:
        tx.execute(f"{ERASE} WHERE seq = ?", (seq,))
    if unkept:
        note_erased(tx)
    for one, summary in zip(settled, summaries, strict=True):
        _tell(tx, one, summary.state)
        for change in one.changes:
            if (column := _MINUTE_COLUMN.get(change.outcome.to)) is not None:
                tx.count(one.now, column)
            if one.bury and change.outcome.to is State.FAILED:
                _bury_recipient(tx, one.seq, one.message, change, one.now)


def _tell(tx: Transaction, one: Settlement, state: State) -> None:
    """One event for all recipients that came to the same state for the same reason."""
    groups: dict[tuple[State, Reason], list[Change]] = {}
    for change in one.changes:
        groups.setdefault((change.outcome.to, change.outcome.reason), []).append(change)
    for (to, reason), group in groups.items():
        told: dict[str, Scalar] = {
            "state": state.value,
            "reason": reason.value,
            "text": group[0].text,
            "recipients": len(group),
            "recipient": group[0].address,
            "due_at": group[0].outcome.due_at,
            **one.facts,
        }
        tx.tell(EVENT_OF[to], one.now, told, seq=one.seq, message=one.message)


class _Summary(NamedTuple):
    """What a message shows of its recipients."""

    state: State
    reason: str
    due_at: float | None
    attempts: int
    troubles: int
    last: str


def _summary_of(changes: Sequence[Change]) -> _Summary:
    state = summarize(change.outcome.to for change in changes)
    shown = next(change for change in changes if change.outcome.to is state)
    standings = [change.standing or Standing() for change in changes]
    return _Summary(
        state,
        shown.outcome.reason.value,
        min((c.outcome.due_at for c in changes if c.outcome.due_at is not None), default=None),
        max(standing.attempts for standing in standings),
        max(standing.troubles for standing in standings),
        shown.text,
    )


def _read_summary(tx: Transaction, seq: int) -> _Summary:
    rows = tx.execute(
        "SELECT state, reason, due_at, attempts, troubles, last, changed_at FROM recipient WHERE seq = ? ORDER BY id",
        (seq,),
    ).fetchall()
    state = summarize(State(row[0]) for row in rows)
    shown = max((row for row in rows if row[0] == state), key=lambda row: row[6])
    due_at = min((row[2] for row in rows if row[2] is not None), default=None)
    return _Summary(state, shown[1], due_at, max(row[3] for row in rows), max(row[4] for row in rows), shown[5])


_SUMMARIZE = """
UPDATE message SET state = v.column1, reason = v.column2, due_at = v.column3, attempts = v.column4,
    troubles = v.column5, last = v.column6, changed_at = v.column7,
    final_at = CASE WHEN v.column8 THEN coalesce(final_at, v.column7) END,
    waiting_since = CASE WHEN v.column1 IN ('queued', 'sending', 'deferred') THEN coalesce(waiting_since, v.column7) END
"""


_UNKEPT = "CASE WHEN NOT store_body AND final_at IS NOT NULL THEN message.seq END"
ERASE = "UPDATE body SET content = x'', queue_body = NULL, snippet = ''"
"""What is left of a body once it is not kept any more, WHERE it is one of those."""


def note_erased(tx: Transaction) -> None:
    """Remember that the log beside the file still holds what was erased; see `SqliteUpkeep.empty_log`."""
    tx.execute(
        "INSERT INTO meta (key, value) VALUES ('erased', '1') "
        "ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) + 1"
    )


def _shown(one: Settlement, summary: _Summary) -> tuple[Any, ...]:
    """What the message shows from now on."""
    state = summary.state
    # A message has one attempt at a time: what else of it is due waits for that to end.
    due_at = None if state is State.SENDING else summary.due_at
    shown = (state.value, summary.reason, due_at, summary.attempts, summary.troubles, summary.last)
    return (*shown, one.now, state in FINAL, one.seq)


def bury(
    tx: Transaction,
    *,
    at: float,
    reason: str,
    body: bytes,
    headers: dict[str, str],
    content_type: str,
    correlation_id: str,
    message: str | None = None,
    recipient: str | None = None,
) -> None:
    """Keep a dead letter until RabbitMQ has it."""
    tx.execute(
        "INSERT INTO publication (created_at, reason, body, headers, content_type, correlation_id, message, recipient) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (at, reason, body, _encode(headers).decode(), content_type, correlation_id, message, recipient),
    )


def _bury_recipient(tx: Transaction, seq: int, message: str, change: Change, now: float) -> None:
    message_id, subject, request_id, correlation_id, face, attempts = tx.execute(
        "SELECT message_id, subject, request_id, correlation_id, face, "
        "(SELECT count(*) FROM attempt WHERE attempt.seq = message.seq) FROM message WHERE seq = ?",
        (seq,),
    ).fetchone()
    original = tx.execute("SELECT queue_body FROM body WHERE seq = ?", (seq,)).fetchone()
    facts = {
        "id": message,
        "message_id": message_id,
        "request_id": request_id,
        "correlation_id": correlation_id,
        "recipient": change.address,
        "subject": subject,
        "reason": change.outcome.reason.value,
        "error": change.text,
        "attempts": attempts,
        "failed_at": now,
        "received_over": face,
    }
    headers = {
        "x-emailhub-id": message,
        "x-emailhub-reason": change.outcome.reason.value,
        "x-emailhub-error": change.text[:500],
        "x-emailhub-recipient": change.address,
    }
    if request_id:
        headers["x-emailhub-request-id"] = request_id
    # The original body goes along only when it came from the queue: what came over HTTP may hold secrets that the
    # readers of the dead-letter queue were never meant to see.
    body = original[0] if original and original[0] else _encode(facts)
    bury(
        tx,
        at=now,
        reason=change.outcome.reason.value,
        body=body,
        headers=headers,
        content_type="application/json",
        correlation_id=correlation_id,
        message=message,
        recipient=change.address,
    )
