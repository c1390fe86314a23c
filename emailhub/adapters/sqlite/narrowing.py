"""From a filter to SQL. Every value is a bound parameter; the SQL itself is made of fixed parts only."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from emailhub.adapters.sqlite import endings
from emailhub.core.query import Field, Term, has_words
from emailhub.core.records import Filter

CLOCK_SLACK = 3600.0
"""Seconds a clock may have been set back: messages are numbered in the order they came, whatever the clock said."""
FEW = 5_000
"""A state with fewer messages is read through, rather than all messages that have a word."""
_COLUMNS = {Field.TO: "people", Field.FROM: "sender", Field.SUBJECT: "subject", Field.TAG: "tags"}
_EVERYWHERE = "{subject people}"
_SPAN = "WITH span (low, high) AS (VALUES (?, ?)) "
_IN_SPAN = "BETWEEN (SELECT low FROM span) AND (SELECT high FROM span)"
# Without the + SQLite may look for each message that has the words, rather than look if a message is one of them.
_HAS_WORDS = f"+message.seq IN (SELECT rowid FROM search WHERE search MATCH ? AND rowid {_IN_SPAN})"  # noqa: S608
_HAS_ITS_WORDS = "EXISTS (SELECT 1 FROM search WHERE search MATCH ? AND search.rowid = message.seq)"
EVERYTHING: Final = (0, 2**62)
"""A span every message is in."""
Condition = tuple[str, Sequence[object]]
"""An expression in SQL with its parameters."""


class Narrowed(NamedTuple):
    """What follows FROM; the number of a message there; the conditions and their values. Nothing else is quoted in.

    `looks`: no index brings what is wanted alone, so that messages are looked at one by one. `words` is what the index
    of words is asked when that is all that is wanted, "" when it is not. Outside of `bounds` no message is wanted.
    """

    source: str
    seq: str
    looks: bool
    words: str
    bounds: tuple[int, int]
    wheres: list[str]
    values: list[object]

    def and_also(self, where: str, *values: object) -> None:
        """Narrow it further; `where` is a fixed part."""
        self.wheres.append(where)
        self.values.extend(values)

    def select(self, what: str, rest: str = "") -> str:
        """The statement that selects `what`, for the values `given`."""
        wheres = [*self.wheres, f"{self.seq} {_IN_SPAN}"] if self.looks else self.wheres
        where = f"WHERE {' AND '.join(wheres)}" if wheres else ""
        return f"{_SPAN}SELECT {what} FROM {self.source} {where} {rest}"  # noqa: S608 - fixed parts

    def given(self, *more: object, span: tuple[int, int] = EVERYTHING) -> list[object]:
        """The values of the statement and of its rest; of what it looks at only the messages in `span` are found."""
        return [*span, *self.values, *more]


def narrowed(connection: sqlite3.Connection, filter: Filter, few: int = FEW) -> Narrowed:
    """How to find what `filter` wants; a state with less than `few` messages is read through for words."""
    words = [term for term in filter.terms if _by_words(connection, term)]
    others = [term for term in filter.terms if term not in words]
    match = " AND ".join(f"({_phrase(connection, term)})" for term in words)
    found = [*_exact(filter), *(_condition(connection, term) for term in others)]
    found += [_tagged(term) for term in words if term.field is Field.TAG]
    sharp = bool(filter.ids or filter.request_id or filter.correlation_id) or any(map(_sharp, others))
    conditions = bool(match) + len(found) - sum(term.field in _TIMES for term in others)
    looks = not sharp and (conditions > 1 or not all(map(_served, others)))
    if sharp:
        # Left to itself SQLite may walk through all of a relay or a state for the few that are wanted.
        found = [(_BROAD.sub(r"+\g<0>", where), values) for where, values in found]
        found += [(_HAS_ITS_WORDS, (match,))] if match else []
        match = ""
    elif match and _few(connection, filter, few):
        found.append((_HAS_WORDS, (match,)))
        match = ""
    # The outer table of a CROSS JOIN is the one that is walked: newest first, only what has the words.
    source = "search CROSS JOIN message ON message.seq = search.rowid" if match else "message"
    only = match if not found else ""
    bounds = _bounds(connection, filter)
    narrow = Narrowed(source, "search.rowid" if match else "message.seq", looks, only, bounds, [], [])
    if match:
        narrow.and_also("search MATCH ?", match)
    if bounds != EVERYTHING:
        narrow.and_also(f"{narrow.seq} BETWEEN ? AND ?", *bounds)
    for where, values in found:
        narrow.and_also(where, *values)
    return narrow


def _served(term: Term) -> bool:
    """Whether an index brings what the term alone wants, in the order of a list."""
    if term.negated:
        return False
    if term.field is Field.STATE:
        return len(term.states) == 1
    if term.field is Field.CODE:
        return term.value[0] in _REFUSALS
    # A text whose words do not decide alone is the id of something.
    return term.field in _SERVED or term.field is Field.TEXT or _is_address(term)


def _sharp(term: Term) -> bool:
    """Whether an index brings the few messages the term wants."""
    return not term.negated and (term.field in _NAMED or _is_address(term))


_BROAD = re.compile(r"message\.(state|relay|template|files)\b")
_NAMED = frozenset({Field.ID, Field.REQUEST, Field.TEXT})
_TIMES = frozenset({Field.BEFORE, Field.AFTER})
_SERVED = _TIMES | {Field.ID, Field.REQUEST, Field.RELAY, Field.HAS}
_REFUSALS = frozenset("45")
"""What a code of a refusal begins with."""


def _bounds(connection: sqlite3.Connection, filter: Filter) -> tuple[int, int]:
    """The first and the last number a message has that came between the times asked for."""
    low, high = EVERYTHING
    for term in filter.terms:
        if term.field is Field.BEFORE and not term.negated:
            high = min(high, _first_at(connection, term.at + CLOCK_SLACK) - 1)
        elif term.field is Field.AFTER and not term.negated:
            low = max(low, _first_at(connection, term.at - CLOCK_SLACK))
    return low, high


def searches_words(filter: Filter) -> bool:
    """Whether the index of words is asked."""
    return any(term.field in _WORDS for term in filter.terms)


_WORDS = frozenset({Field.TEXT, *_COLUMNS})


def _exact(filter: Filter) -> list[Condition]:
    given = (
        ("message.state", filter.state.value if filter.state else None),
        ("message.request_id", filter.request_id),
        ("message.correlation_id", filter.correlation_id),
        ("message.relay", filter.relay),
        ("message.template", filter.template),
    )
    found: list[Condition] = [(f"{column} = ?", (value,)) for column, value in given if value is not None]
    if filter.ids:
        found.append((f"message.id IN ({', '.join('?' * len(filter.ids))})", filter.ids))
    # Without these words SQLite does not see that the index of messages made from templates is enough.
    return [*found, ("message.template <> ''", ())] if filter.template else found


def _few(connection: sqlite3.Connection, filter: Filter, few: int) -> bool:
    """Whether the states wanted have few messages."""
    wanted = [{filter.state}] if filter.state else []
    wanted += [set(term.states) for term in filter.terms if term.field is Field.STATE and not term.negated]
    tally: dict[str, int] = dict(connection.execute("SELECT state, messages FROM tally").fetchall())
    return any(sum(tally[state.value] for state in states) < few for states in wanted)


def _by_words(connection: sqlite3.Connection, term: Term) -> bool:
    """Whether the index of words decides, for a tag together with the tags themselves."""
    if term.negated or term.field not in _WORDS or _is_address(term):
        return False
    if term.field is Field.TAG:
        return has_words(term.value)
    return term.field is not Field.TEXT or not _called(connection, term.value)


def _phrase(connection: sqlite3.Connection, term: Term) -> str:
    """The term in the language of FTS5, in which a quoted string is words and nothing else."""
    column, value = _COLUMNS.get(term.field, _EVERYWHERE), term.value
    if term.field is Field.TAG:
        return f"{column} : {_quoted(value.replace('=', ' ', 1))}"
    if term.whole or not value[-1].isalnum():
        return f"{column} : {_quoted(value)}"
    if (each := endings.words(connection, value)) is None:
        return f"{column} : {_quoted(value)} *"
    return f"{column} : ({' OR '.join(map(_quoted, each or [value]))})"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _is_address(term: Term) -> bool:
    """Whether it is a whole address of a recipient."""
    local, at, domain = term.value.rpartition("@")
    return term.field is Field.TO and bool(local and at and "." in domain)


_CALLED = (
    "SELECT seq FROM message WHERE id = upper(?1) UNION SELECT seq FROM message WHERE request_id = ?1 "
    "UNION SELECT seq FROM message WHERE correlation_id = ?1"
)


def _called(connection: sqlite3.Connection, id: str) -> bool:
    """Whether some message has the id, request id or correlation id `id`."""
    return connection.execute(f"{_CALLED} LIMIT 1", (id,)).fetchone() is not None


def _condition(connection: sqlite3.Connection, term: Term) -> Condition:
    where, values = _CONDITIONS[term.field](connection, term)
    return (f"NOT ({where})", values) if term.negated else (where, values)


def _text(connection: sqlite3.Connection, term: Term) -> Condition:
    match = _phrase(connection, term)
    if not _called(connection, term.value):
        return _HAS_WORDS, (match,)
    called = _CALLED.replace("?1", "?")
    has_words = "SELECT rowid FROM search WHERE search MATCH ?"
    return f"message.seq IN ({has_words} UNION {called})", (match, term.value, term.value, term.value)


def _words(connection: sqlite3.Connection, term: Term) -> Condition:
    if _is_address(term):
        return "message.seq IN (SELECT seq FROM recipient WHERE address = ? COLLATE NOCASE)", (term.value,)
    return _HAS_WORDS, (_phrase(connection, term),)


def _tag(connection: sqlite3.Connection, term: Term) -> Condition:
    """The index brings the messages that may have it, the tags themselves decide."""
    exact, values = _tagged(term)
    return (
        (f"({_HAS_WORDS} AND {exact})", (_phrase(connection, term), *values))
        if has_words(term.value)
        else (exact, values)
    )


def _tagged(term: Term) -> Condition:
    name, equals, value = term.value.partition("=")
    wheres, values = ["json_extract(t.value, '$[0]') = ?"], [name]
    if equals:
        wheres.append("json_extract(t.value, '$[1]') = ?")
        values.append(value)
    has = "EXISTS (SELECT 1 FROM body b, json_each(b.tags) t WHERE b.seq = message.seq AND "
    return f"{has}{' AND '.join(wheres)})", values


def _states(_: sqlite3.Connection, term: Term) -> Condition:
    return f"message.state IN ({', '.join('?' * len(term.states))})", [state.value for state in term.states]


def _code(_: sqlite3.Connection, term: Term) -> Condition:
    digits = f"{term.value}[0-9][0-9]" if len(term.value) == 1 else term.value
    said = f"*[^0-9.]{digits}[^0-9.]*"
    # Looking for the code itself is far cheaper than for the pattern, and few have it.
    code = "" if len(term.value) == 1 else term.value
    refused = f"{_REFUSED} AND " if term.value[0] in _REFUSALS else ""
    return f"({refused}({_SAID}))", (code, said, code, said)


# What was sent has no refusal. In the words of the index that holds what was said to the others.
_REFUSED = "message.state <> 'sent' AND (message.last <> '' OR message.recipients > 1)"
_SAID = (
    "instr(message.last, ?) AND ' ' || message.last || ' ' GLOB ? OR message.recipients > 1 AND EXISTS "
    "(SELECT 1 FROM recipient r WHERE r.seq = message.seq AND instr(r.last, ?) AND ' ' || r.last || ' ' GLOB ?)"
)


def _id(_: sqlite3.Connection, term: Term) -> Condition:
    return "message.id = ?", (term.value,)


def _request(_: sqlite3.Connection, term: Term) -> Condition:
    # Many have none: IS tells that they are not it, and = finds the others by the index.
    return f"message.request_id {'IS' if term.negated else '='} ?", (term.value,)


def _relay(_: sqlite3.Connection, term: Term) -> Condition:
    return "message.relay = ?", (term.value,)


def _has(_: sqlite3.Connection, __: Term) -> Condition:
    return "message.files > 0", ()


def _before(_: sqlite3.Connection, term: Term) -> Condition:
    return "message.accepted_at < ?", (term.at,)


def _after(_: sqlite3.Connection, term: Term) -> Condition:
    return "message.accepted_at >= ?", (term.at,)


def _first_at(connection: sqlite3.Connection, at: float) -> int:
    """The number of the first message accepted `at` or later, found by halves: an index would cost each of them."""
    low, high = connection.execute(
        "SELECT (SELECT coalesce(min(seq), 0) FROM message), (SELECT coalesce(max(seq), 0) + 1 FROM message)"
    ).fetchone()
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(
            "SELECT seq, accepted_at FROM message WHERE seq >= ? ORDER BY seq LIMIT 1", (middle,)
        ).fetchone()
        low, high = (low, middle) if found is None or found[1] >= at else (found[0] + 1, high)
    return int(low)


_CONDITIONS: Final[dict[Field, Callable[[sqlite3.Connection, Term], Condition]]] = {
    Field.TEXT: _text,
    Field.TO: _words,
    Field.FROM: _words,
    Field.SUBJECT: _words,
    Field.TAG: _tag,
    Field.STATE: _states,
    Field.CODE: _code,
    Field.ID: _id,
    Field.REQUEST: _request,
    Field.RELAY: _relay,
    Field.HAS: _has,
    Field.BEFORE: _before,
    Field.AFTER: _after,
}
