"""Writing recipients and what follows from them: the message's summary, the counts, the dead letters, the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import CLAIMABLE, FINAL, Outcome, Reason, State, Verb, Wish, summarize, wished
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


class Change:
    """One recipient's new state, as applied."""

    __slots__ = ("address", "outcome", "recipient_id", "text")

    def __init__(self, recipient_id: int, address: str, outcome: Outcome, text: str) -> None:
        self.recipient_id = recipient_id
        self.address = address
        self.outcome = outcome
        self.text = text


_APPLY = """
UPDATE recipient SET state = ?1, reason = ?2, due_at = ?3, attempts = attempts + ?4, wish = NULL, changed_at = ?5,
    last = ?6,
    troubles    = CASE WHEN ?4 = 0 AND ?1 = 'deferred' THEN troubles + 1 ELSE 0 END,
    troubled_at = CASE WHEN ?4 = 0 AND ?1 = 'deferred' THEN ?5 END,
    -- What used no attempt says nothing about the message: trouble between two unknown outcomes leaves them in a row.
    unknowns    = CASE WHEN ?2 IN ('unknown', 'rescued') THEN unknowns + 1 WHEN ?4 = 0 THEN unknowns ELSE 0 END
WHERE id = ?7 AND state = 'sending'
"""


def end_attempt(tx: Transaction, recipient_id: int, outcome: Outcome, text: str, now: float) -> Change | None:
    """Move a SENDING recipient to where `outcome`, or a wish made meanwhile, says. None: it is not SENDING any more."""
    row = tx.execute(
        "SELECT address, wish FROM recipient WHERE id = ? AND state = 'sending'", (recipient_id,)
    ).fetchone()
    if row is None:
        return None
    address, wish = row
    final = wished(outcome, Wish(wish) if wish else None)
    tx.execute(_APPLY, (final.to.value, final.reason.value, final.due_at, int(final.costs), now, text, recipient_id))
    return Change(recipient_id, address, final, text)


def move(tx: Transaction, seq: int, sources: Iterable[State], outcome: Outcome, text: str, now: float) -> list[Change]:
    """Move every recipient of message `seq` that is in one of `sources`; the changes made, maybe none."""
    wanted = ", ".join(f"'{state}'" for state in sorted(sources))
    fresh = ", attempts = 0, troubles = 0, unknowns = 0, troubled_at = NULL" if outcome.verb is Verb.RETRY else ""
    found = tx.execute(
        f"UPDATE recipient SET state = ?, reason = ?, due_at = ?, changed_at = ?, last = ?{fresh} "  # noqa: S608
        f"WHERE seq = ? AND state IN ({wanted}) RETURNING id, address",
        (outcome.to.value, outcome.reason.value, outcome.due_at, now, text, seq),
    ).fetchall()
    return [Change(id, address, outcome, text) for id, address in found]


def wish_for(tx: Transaction, seq: int, wish: Wish) -> int:
    """Note `wish` for the recipients being sent; returns how many there are."""
    return tx.execute("UPDATE recipient SET wish = ? WHERE seq = ? AND state = 'sending'", (wish.value, seq)).rowcount


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
    state = refresh(tx, seq, now)
    count_minute(tx, now, Counter(_MINUTE_COLUMN[c.outcome.to] for c in changes if c.outcome.to in _MINUTE_COLUMN))
    groups: dict[tuple[State, Reason], list[Change]] = {}
    for change in changes:
        groups.setdefault((change.outcome.to, change.outcome.reason), []).append(change)
    for (to, reason), group in groups.items():
        told: dict[str, Scalar] = {
            "state": state.value,
            "reason": reason.value,
            "text": group[0].text,
            "recipients": len(group),
            "recipient": group[0].address,
            "due_at": group[0].outcome.due_at,
            **facts,
        }
        tx.tell(EVENT_OF[to], now, told, seq=seq, message=message)
    if bury:
        for change in changes:
            if change.outcome.to is State.FAILED:
                _bury_recipient(tx, seq, message, change, now)


def refresh(tx: Transaction, seq: int, now: float) -> State:
    """Rewrite the message's summary from its recipients; returns its state."""
    rows = tx.execute(
        "SELECT state, reason, due_at, attempts, troubles, last, changed_at FROM recipient WHERE seq = ?", (seq,)
    ).fetchall()
    state = summarize(State(row[0]) for row in rows)
    shown = max((row for row in rows if row[0] == state), key=lambda row: row[6])
    sending = any(row[0] == State.SENDING for row in rows)
    due = None if sending else min((row[2] for row in rows if row[2] is not None), default=None)
    tx.execute(
        "UPDATE message SET state = ?, reason = ?, due_at = ?, last = ?, changed_at = ?, attempts = ?, troubles = ?, "
        "final_at = CASE WHEN ? THEN coalesce(final_at, ?) END WHERE seq = ?",
        (
            state.value,
            shown[1],
            due,
            shown[5],
            now,
            max(row[3] for row in rows),
            max(row[4] for row in rows),
            state in FINAL,
            now,
            seq,
        ),
    )
    return state


def count_minute(tx: Transaction, now: float, counts: Counter[str]) -> None:
    """Add `counts` (columns of `minute`) to the minute `now` is in."""
    if not counts:
        return
    names = sorted(counts)
    tx.execute(
        f"INSERT INTO minute (at, {', '.join(names)}) VALUES (?{', ?' * len(names)}) "  # noqa: S608 - our own column names
        f"ON CONFLICT (at) DO UPDATE SET {', '.join(f'{n} = {n} + excluded.{n}' for n in names)}",
        (int(now // 60) * 60, *(counts[name] for name in names)),
    )


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
