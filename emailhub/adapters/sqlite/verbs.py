"""What an operator, a sender or the clock may do to messages: retry, hold, cancel, reschedule, expire, copy."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from emailhub.adapters.sqlite import rows, withholding
from emailhub.adapters.sqlite.database import Database
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Outcome, Reason, State, Verb, Wish, sources
from emailhub.core.errors import NotFound, WrongState
from emailhub.core.records import Expired, Scalar
from emailhub.core.suppression import folded

EXPIRE_BATCH = 500


class SqliteVerbs:
    """The desk's and the keeper's side of the outbox."""

    def __init__(self, database: Database, *, dead_letters: bool) -> None:
        self._database = database
        self._dead_letters = dead_letters

    async def retry(
        self, id: str, *, relays: Sequence[str], now: float, expires_at: float, actor: str, note: str
    ) -> None:
        """Queue what is deferred, held, failed, canceled or suppressed. Raises NotFound, WrongState.

        Recipients on the suppression list stay where they are. What had come to its end gets a new allowance of
        attempts, and until `expires_at` at least. `relays` are those set up: the first of them takes it over when its
        own is not among them any more.
        """
        work = partial(retry, id=id, relays=relays, now=now, expires_at=expires_at, actor=actor, note=note)
        await self._database.write(work)

    async def hold(self, id: str, *, now: float, actor: str, note: str) -> None:
        """Keep what waits for a human; what is being sent is held if it is not sent. Raises NotFound, WrongState."""
        outcome = Outcome(Verb.HOLD, State.HELD, Reason.OPERATOR)
        await self._database.write(
            partial(stop, id=id, outcome=outcome, wish=Wish.HOLD, now=now, actor=actor, note=note)
        )

    async def cancel(self, id: str, *, now: float, actor: str, note: str) -> None:
        """Withdraw what is not final; what is being sent is canceled if it is not sent. Raises NotFound, WrongState."""
        outcome = Outcome(Verb.CANCEL, State.CANCELED, Reason.OPERATOR)
        await self._database.write(
            partial(stop, id=id, outcome=outcome, wish=Wish.CANCEL, now=now, actor=actor, note=note)
        )

    async def reschedule(self, id: str, *, at: float, now: float, actor: str, note: str) -> None:
        """Send what is scheduled at another time, with as long to be sent in. Raises NotFound, WrongState."""
        await self._database.write(partial(_reschedule, id=id, at=at, now=now, actor=actor, note=note))

    async def copy(self, id: str, *, new_id: str, relay: str, now: float, expires_at: float, actor: str) -> int:
        """Add a message with the same bytes and recipients for `relay`. Raises NotFound, WrongState (erased).

        Returns how many of the recipients are on the suppression list and get nothing.
        """
        return await self._database.write(
            partial(_copy, id=id, new_id=new_id, relay=relay, now=now, expires_at=expires_at, actor=actor)
        )

    async def expire(self, now: float, *, by: float | None = None) -> tuple[Expired, ...]:
        """Fail what was to be sent until `by` (None: until `now`), up to EXPIRE_BATCH messages; what it ended."""
        return await self._database.write(
            partial(_expire, now=now, by=now if by is None else by, bury=self._dead_letters)
        )

    async def hold_restored(self, now: float) -> int:
        """After a restored backup: hold everything unfinished, since it may have been sent since; returns how many."""
        return await self._database.write(partial(_hold_restored, now=now))

    async def next_expiry(self) -> float | None:
        """When the next message expires, None when none is unfinished."""

        def ask(connection: sqlite3.Connection) -> float | None:
            row = connection.execute("SELECT min(expires_at) FROM message WHERE final_at IS NULL").fetchone()
            return row[0] if row[0] is not None else None

        return await self._database.read(ask)


def _find(tx: Transaction, id: str) -> tuple[int, str]:
    row = tx.execute("SELECT seq, state FROM message WHERE id = ?", (id,)).fetchone()
    if row is None:
        raise NotFound("message", id)
    return row[0], row[1]


def retry(
    tx: Transaction, id: str, relays: Sequence[str], now: float, expires_at: float, actor: str, note: str
) -> None:
    """See `SqliteVerbs.retry`. What it refuses, it refuses before it has changed anything."""
    seq, state = _find(tx, id)
    _demand_content(tx, seq, id)
    outcome = Outcome(Verb.RETRY, State.QUEUED, Reason.OPERATOR, now)
    text = f"retried by {actor}" + (f": {note}" if note else "")
    listed = withholding.listed_of(tx, seq)
    over = tx.execute(
        "SELECT id FROM recipient WHERE seq = ? AND state IN ('failed', 'canceled', 'suppressed')", (seq,)
    )
    ended = {id for (id,) in over} - listed.keys()
    changes = rows.move(tx, seq, sources(Verb.RETRY), outcome, text, now, without=listed)
    if not changes:
        raise WrongState("retry", id, _listed(listed) if listed else state)
    if ended:
        tx.execute("UPDATE message SET expires_at = max(expires_at, ?) WHERE seq = ?", (expires_at, seq))
    known = ", ".join("?" * len(relays))
    tx.execute(
        f"UPDATE message SET relay = ? WHERE seq = ? AND relay NOT IN ({known})",  # noqa: S608
        (relays[0], seq, *relays),
    )
    rows.settle(tx, seq, id, changes, now, {"actor": actor, "note": note}, bury=False)


def _listed(listed: dict[int, tuple[str, str]]) -> str:
    address, _ = next(iter(listed.values()))
    who = address if len(listed) == 1 else f"{address} and {len(listed) - 1} more"
    return f"for {who}, on the suppression list; lift that first"


def _demand_content(tx: Transaction, seq: int, id: str) -> None:
    if not tx.execute("SELECT length(content) FROM body WHERE seq = ?", (seq,)).fetchone()[0]:
        why = "its content was erased, when its time of keeping ended or (store_body false) it was final"
        raise WrongState("send", id, "empty", why)


def stop(tx: Transaction, id: str, outcome: Outcome, wish: Wish, now: float, actor: str, note: str) -> None:
    """See `SqliteVerbs.hold` and `cancel`. What it refuses, it refuses before it has changed anything."""
    seq, state = _find(tx, id)
    done = {State.HELD: "held", State.CANCELED: "canceled"}[outcome.to]
    text = f"{done} by {actor}" + (f": {note}" if note else "")
    # `sending` is left to the wish: an attempt that is under way may have delivered already.
    waiting = sources(outcome.verb, outcome.to) - {State.SENDING}
    changes = rows.move(tx, seq, waiting, outcome, text, now)
    wishes = rows.wish_for(tx, seq, wish)
    if not changes and not wishes:
        raise WrongState(outcome.verb.value, id, state)
    if wishes:
        facts: dict[str, Scalar] = {"wish": wish.value, "recipients": wishes, "actor": actor, "note": note}
        tx.tell("wish", now, facts, seq=seq, message=id)
    if changes:
        rows.settle(tx, seq, id, changes, now, {"actor": actor, "note": note}, bury=False)


def _reschedule(tx: Transaction, id: str, at: float, now: float, actor: str, note: str) -> None:
    seq, state = _find(tx, id)
    at = max(at, now)
    outcome = Outcome(Verb.RESCHEDULE, State.SCHEDULED, Reason.ACCEPTED, at)
    when = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = f"rescheduled by {actor} for {when}" + (f": {note}" if note else "")
    changes = rows.move(tx, seq, sources(Verb.RESCHEDULE), outcome, text, now)
    if not changes:
        raise WrongState("reschedule", id, state)
    tx.execute(
        "UPDATE message SET scheduled_at = ?1, expires_at = ?1 + expires_at - max(scheduled_at, accepted_at) "
        "WHERE seq = ?2",
        (at, seq),
    )
    rows.settle(tx, seq, id, changes, now, {"actor": actor, "note": note}, bury=False)


def _expire(tx: Transaction, now: float, by: float, bury: bool) -> tuple[Expired, ...]:
    found = tx.execute(
        "SELECT seq, id, correlation_id, request_id FROM message "
        "WHERE final_at IS NULL AND expires_at <= ? ORDER BY expires_at LIMIT ?",
        (by, EXPIRE_BATCH),
    ).fetchall()
    outcome = Outcome(Verb.EXPIRE, State.FAILED, Reason.EXPIRED)
    expired = []
    for seq, id, correlation_id, request_id in found:
        text = "expired before it could be delivered"
        changes = rows.move(tx, seq, sources(Verb.EXPIRE) - {State.SENDING}, outcome, text, now)
        rows.wish_for(tx, seq, Wish.EXPIRE)
        if changes:
            expired.append(Expired(id, correlation_id, request_id, len(changes)))
            rows.settle(tx, seq, id, changes, now, {}, bury=bury)
    return tuple(expired)


def _hold_restored(tx: Transaction, now: float) -> int:
    if not tx.execute("SELECT 1 FROM meta WHERE key = 'restored'").fetchone():
        return 0
    tx.execute("UPDATE attempt SET finished_at = ? WHERE finished_at IS NULL", (now,))
    outcome = Outcome(Verb.HOLD, State.HELD, Reason.RESTORED)
    text = "held: this database was restored from a backup, and the message may have been sent since it was made"
    everything = sources(Verb.HOLD) | {State.SENDING}
    # The backup may be days old: what is held now must not expire before anybody could have looked at it.
    tx.execute(
        "UPDATE message SET expires_at = max(expires_at, ? + expires_at - max(accepted_at, coalesce(scheduled_at, 0))) "
        "WHERE final_at IS NULL",
        (now,),
    )
    found = tx.execute("SELECT seq, id FROM message WHERE final_at IS NULL").fetchall()
    for seq, id in found:
        tx.execute("UPDATE recipient SET wish = NULL WHERE seq = ?", (seq,))
        changes = rows.move(tx, seq, everything, outcome, text, now)
        if changes:
            rows.settle(tx, seq, id, changes, now, {}, bury=False)
    tx.execute("DELETE FROM meta WHERE key = 'restored'")
    return len(found)


_COPY_MESSAGE = """
INSERT INTO message (id, message_id, relay, state, reason, due_at, priority, on_unknown, accepted_at, expires_at,
    changed_at, waiting_since, face, origin, correlation_id, request_id, sender, from_header, to_header, recipients,
    subject, size, smtputf8, diverted, domain, files, reply_to, template, template_version, template_language)
SELECT ?1, message_id, ?2, 'queued', 'accepted', ?3, priority, on_unknown, ?3, ?4, ?3, ?3, 'dashboard',
    'copy of ' || id, correlation_id, request_id, sender, from_header, to_header, recipients, subject, size, smtputf8,
    diverted, domain, files, reply_to, template, template_version, template_language
FROM message WHERE seq = ?5
"""


def _copy(tx: Transaction, id: str, new_id: str, relay: str, now: float, expires_at: float, actor: str) -> int:
    """Add the copy; how many of its recipients are suppressed at once."""
    seq, _ = _find(tx, id)
    _demand_content(tx, seq, id)
    copied = tx.execute(_COPY_MESSAGE, (new_id, relay, now, expires_at, seq)).lastrowid
    tx.execute(
        "INSERT INTO body (seq, content, snippet, tags, metadata) "
        "SELECT ?, content, snippet, tags, metadata FROM body WHERE seq = ?",
        (copied, seq),
    )
    recipients = tx.execute(
        "INSERT INTO recipient (seq, address, kind, state, reason, due_at, changed_at) "
        "SELECT ?1, address, kind, 'queued', 'accepted', ?2, ?2 FROM recipient WHERE seq = ?3",
        (copied, now, seq),
    ).rowcount
    tx.count(now, "accepted")
    tx.tell("copied", now, {"copy": new_id, "over": relay, "actor": actor}, seq=seq, message=id)
    facts: dict[str, Scalar] = {"state": "queued", "face": "dashboard", "detail": f"copy of {id}", "actor": actor}
    tx.tell("accepted", now, {**facts, "recipients": recipients}, seq=copied, message=new_id)
    if listed := withholding.listed_of(tx, copied or 0):
        held = [withholding.Held(id, copied or 0, new_id, address) for id, (address, _) in listed.items()]
        withholding.withhold(tx, held, {folded(address): line for address, line in listed.values()}, now)
    return len(listed)
