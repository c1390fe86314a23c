"""Which of the messages that are due a courier gets: the line they stand in, and the terms it claims on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from emailhub.adapters.sqlite import many, rows
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.claiming import Claimed, Position, Stay, Terms
from emailhub.core.delivery import Reason
from emailhub.core.turns import Turn, Wait, first_of

LOOKED = 2000
"""Rows one claim looks at: other writes wait meanwhile."""
PRIORITIES = (0, 1, 2)


class Candidate(NamedTuple):
    """A message that may be claimed: its row's columns of these names."""

    seq: int
    id: str
    relay: str
    sender: str
    smtputf8: int
    on_unknown: str
    expires_at: float
    accepted_at: float
    request_id: str | None
    correlation_id: str
    size: int
    domain: str
    recipients: int
    due_at: float
    priority: int
    state: str


CANDIDATE = ", ".join(Candidate._fields)


def line(
    tx: Transaction,
    relay: str,
    limit: int,
    now: float,
    alive: float,
    *,
    covering: bool,
    late: float,
    after: Position | None,
) -> Iterator[Candidate]:
    """What is due at `relay` in order, read on as long as somebody asks for more.

    What expires at `alive` or before is left out. `covering`: only what another relay may carry; `late`: due for so
    many seconds; `after`: only what stands behind.
    """
    for priority in PRIORITIES if after is None else PRIORITIES[after.priority :]:
        place = (after.due_at, after.seq) if after is not None and after.priority == priority else None
        while True:
            found = _stretch(tx, relay, priority, limit, alive, now - late, covering, place)
            yield from found
            if len(found) < limit:
                break
            place = (found[-1].due_at, found[-1].seq)


def _stretch(
    tx: Transaction,
    relay: str,
    priority: int,
    limit: int,
    alive: float,
    due_by: float,
    covering: bool,
    place: tuple[float, int] | None,
) -> list[Candidate]:
    wheres = "AND pinned = 0 " if covering else ""
    given: tuple[object, ...] = (relay, priority, due_by, limit, alive)
    if place is not None:
        wheres += "AND due_at >= ?6 AND (due_at, seq) > (?6, ?7) "
        given += place
    found = tx.execute(
        f"SELECT {CANDIDATE} FROM message WHERE relay = ?1 AND priority = ?2 AND due_at <= ?3 "  # noqa: S608
        f"AND expires_at > ?5 {wheres}ORDER BY due_at, seq LIMIT ?4",
        given,
    )
    return [Candidate(*row) for row in found.fetchall()]


class Plain:
    """Takes whatever comes."""

    full = False

    def __init__(self) -> None:
        self.claimed = Claimed()

    def take(self, row: Candidate, fresh: bool) -> bool | None:  # noqa: ARG002 - in the shape of `Pick`
        """As `Pick.take`."""
        return fresh


class Pick:
    """Takes what the terms allow, and moves out of the way what they do not."""

    def __init__(self, tx: Transaction, now: float, terms: Terms) -> None:
        self.claimed = Claimed()
        self.full = False
        self._tx = tx
        self._now = now
        self._terms = terms
        self._left = terms.budget
        self._turns = [turn.copy() for turn in terms.turns]
        self._probed: set[str] = set()
        self._looked = 0
        self._taken = 0
        self._passed = False

    def take(self, row: Candidate, fresh: bool) -> bool | None:
        """Whether the message goes, and then with all its recipients (True) or those that are due (False); None: not.

        `full` is set when none of the rest can go.
        """
        self._looked += 1
        answer = self._judged(row, fresh)
        self.full = self.full or self._looked >= LOOKED
        if (self._passed or self._terms.fits is None) and self.full and not self.claimed.wanted:
            self.claimed.after = Position(row.priority, row.due_at, row.seq)
        return answer

    def _judged(self, row: Candidate, fresh: bool) -> bool | None:
        if self._terms.fits is not None and not self._terms.fits(row.domain):
            self._passed = True
            return None
        stay = self._terms.stays.get(row.domain)
        if stay is not None and not self._probes(row.domain, stay):
            self._stays(row, stay)
            return None
        count, waits = row.recipients, list[tuple[int, Turn]]()
        if self._turns or (count > 1 and self._left is not None):
            count, waits = self._due(row, fresh)
        if count and not self._affords(count):
            return None
        if self._turns:
            fresh = self._queue(row, waits, fresh, rest=count)
        if not count:
            return None
        self._taken += 1
        if stay is not None:
            self._probed.add(row.domain)
        return fresh

    def _probes(self, domain: str, stay: Stay) -> bool:
        return stay.probe and domain not in self._probed

    def _affords(self, count: int) -> bool:
        """Whether `count` recipients fit the budget; takes them out of it. The first that does not ends the claim."""
        if self._left is None:
            return True
        if count > self._left and (self._taken or count > self._terms.largest):
            self.claimed.wanted = count
            self.full = True
            return False
        self._left -= count
        return True

    def _due(self, row: Candidate, fresh: bool) -> tuple[int, list[tuple[int, Turn]]]:
        """How many recipients go now, and which have to wait for whose turn."""
        found = self._tx.execute(
            f"SELECT id, address FROM recipient WHERE seq = ?1 AND state IN ({rows.CLAIMABLE_SQL}) "  # noqa: S608
            "AND due_at <= ?2 ORDER BY id",
            (row.seq, math.inf if fresh else self._now),
        ).fetchall()
        waits, entered = [], set[Turn]()
        for id, address in found:
            turn = first_of(self._turns, address)
            if turn is not None and not turn.admits(id, self._now, along=turn in entered):
                waits.append((id, turn))
            elif turn is not None:
                entered.add(turn)
        return len(found) - len(waits), waits

    def _queue(self, row: Candidate, waits: Sequence[tuple[int, Turn]], fresh: bool, *, rest: int) -> bool:
        """Put recipients off to their turns; whether the others may still go before they are due."""
        if not waits:
            return fresh
        if fresh:
            # From here on being due is what tells those that go from those that wait.
            self._tx.execute(
                f"UPDATE recipient SET due_at = ?1 WHERE seq = ?2 AND state IN ({rows.CLAIMABLE_SQL})",  # noqa: S608
                (self._now, row.seq),
            )
        put_off: list[Wait] = [turn.wait(id, self._now) for id, turn in waits]
        text = waits[0][1].text
        change = "UPDATE recipient SET due_at = v.column1, last = v.column2"
        values = [(wait.until, text, wait.recipient) for wait in put_off]
        many.update(self._tx, change, values, "recipient.id = v.column3")
        if not rest:
            self._redated(row.seq, "last = ?", text)
        self.claimed.waits += put_off
        return False

    def _stays(self, row: Candidate, stay: Stay) -> None:
        if stay.to is not None and self._moved(row, stay.to, stay.text):
            return
        self._tx.execute(
            "UPDATE recipient SET due_at = ?1, reason = ?2, last = ?3 "  # noqa: S608
            f"WHERE seq = ?4 AND state IN ({rows.CLAIMABLE_SQL}) AND due_at < ?1",
            (stay.until, Reason.SENDER_TROUBLE.value, stay.text, row.seq),
        )
        self._redated(row.seq, "reason = ?, last = ?", Reason.SENDER_TROUBLE.value, stay.text)

    def _moved(self, row: Candidate, to: str, text: str) -> bool:
        """Whether the message belongs to relay `to` now; one whose outcome was unknown once never does."""
        change = "UPDATE message SET relay = ?, last = ? WHERE seq = ? AND pinned = 0"
        if not self._tx.execute(change, (to, text, row.seq)).rowcount:
            return False
        self.claimed.moved.add(to)
        facts = {"state": row.state, "text": text, "over": to}
        self._tx.tell("queued", self._now, facts, seq=row.seq, message=row.id)
        return True

    def _redated(self, seq: int, change: str, *values: str) -> None:
        self._tx.execute(
            f"UPDATE message SET {change}, due_at = (SELECT min(due_at) FROM recipient r WHERE r.seq = message.seq) "  # noqa: S608
            "WHERE seq = ?",
            (*values, seq),
        )
