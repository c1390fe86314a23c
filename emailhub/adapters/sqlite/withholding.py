"""Keeping mail from addresses on the suppression list, in the same commit that would have let it go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from emailhub.adapters.sqlite import many, rows
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Outcome, Reason, State, Verb, sources, wished
from emailhub.core.suppression import SuppressionOrigin, folded, why

SUPPRESSED = Outcome(Verb.SUPPRESS, State.SUPPRESSED, Reason.SUPPRESSED)
_WAITING = (State.QUEUED, State.DEFERRED, State.HELD)
_WAITING_SQL = ", ".join(f"'{state}'" for state in sorted(sources(Verb.SUPPRESS) - {State.SENDING}))


class Held(NamedTuple):
    """A recipient to keep back: its row, its message by both ids, and its address."""

    id: int
    seq: int
    message: str
    address: str


def listed(tx: many.Executor, addresses: Iterable[str]) -> dict[str, str]:
    """Which of `addresses` are on the list: folded, each with the line that says why."""
    # Most lists are empty, and this is asked for every message.
    if not tx.execute("SELECT EXISTS (SELECT 1 FROM suppression)").fetchone()[0]:
        return {}
    wanted = list(dict.fromkeys(map(folded, addresses)))
    found = many.among(tx, "SELECT address, origin, note FROM suppression WHERE address", wanted)
    return {address: why(SuppressionOrigin(origin), note) for address, origin, note in found}


def listed_of(tx: Transaction, seq: int) -> dict[int, tuple[str, str]]:
    """The recipients of message `seq` that are on the list: by row, the address and the line that says why."""
    found = tx.execute("SELECT id, address FROM recipient WHERE seq = ?", (seq,)).fetchall()
    lines = listed(tx, [address for _, address in found])
    return {id: (address, lines[folded(address)]) for id, address in found if folded(address) in lines}


def withhold(tx: Transaction, held: Sequence[Held], lines: Mapping[str, str], now: float) -> None:
    """Suppress the recipients and bring their messages up to date; `lines` as of `listed`."""
    messages: dict[int, tuple[str, list[rows.Change]]] = {}
    for one in held:
        change = rows.Change(one.address, SUPPRESSED, lines[folded(one.address)])
        messages.setdefault(one.seq, (one.message, []))[1].append(change)
    values = [(SUPPRESSED.reason.value, now, lines[folded(one.address)], one.id) for one in held]
    many.update(tx, _SUPPRESS, values, "recipient.id = v.column4")
    settled = [rows.Settlement(seq, id, changes, now, {}, bury=False) for seq, (id, changes) in messages.items()]
    rows.settle_all(tx, settled)


_SUPPRESS = """UPDATE recipient SET state = 'suppressed', reason = v.column1, due_at = NULL, wish = NULL,
    changed_at = v.column2, last = v.column3"""


def withhold_waiting(tx: Transaction, addresses: Iterable[str], now: float) -> int:
    """Suppress what waits for `addresses`, which are on the list; how many recipients that were.

    What is being sent is stopped by `stopped` when its attempt ends in anything that would be tried again.
    """
    found = [Held(*row) for address in addresses for row in tx.execute(WAITING_FOR, (address,)).fetchall()]
    if found:
        withhold(tx, found, listed(tx, [one.address for one in found]), now)
    return len(found)


WAITING_FOR = (
    "SELECT r.id, r.seq, m.id, r.address FROM recipient r JOIN message m ON m.seq = r.seq "  # noqa: S608 - our states
    f"WHERE r.address = ? COLLATE NOCASE AND r.state IN ({_WAITING_SQL}) ORDER BY r.seq, r.id"
)


def stopped(tx: Transaction, endings: Sequence[rows.Ending]) -> Sequence[rows.Ending]:
    """`endings`, in which nothing is tried again that was put on the list while it was being sent."""
    again = [one.sending.address for one in endings if _tries_again(one)]
    lines = listed(tx, again) if again else {}
    return [_stopped(one, lines) if lines and _tries_again(one) else one for one in endings]


def _tries_again(one: rows.Ending) -> bool:
    # A wish to hold takes back even a refusal for good: whoever releases it would send again.
    return wished(one.outcome, one.sending.wish).to in _WAITING


def _stopped(one: rows.Ending, lines: Mapping[str, str]) -> rows.Ending:
    line = lines.get(folded(one.sending.address))
    if line is None:
        return one
    outcome = Outcome(Verb.SUPPRESS, State.SUPPRESSED, Reason.SUPPRESSED, costs=one.outcome.costs)
    return one._replace(sending=one.sending._replace(wish=None), outcome=outcome, text=line)
