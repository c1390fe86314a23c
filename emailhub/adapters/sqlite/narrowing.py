"""From a filter to SQL. Every value is a bound parameter; the SQL itself is made of fixed parts only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from emailhub.core.delivery import State
from emailhub.core.query import Field, Term, has_words
from emailhub.core.records import Filter

CLOCK_SLACK = 3600.0
"""Seconds a clock may have been set back: messages are numbered in the order they came, whatever the clock said."""
FEW = 5_000
"""A state with fewer messages is read through, rather than all messages that have a word."""
_COLUMNS = {Field.TO: "people", Field.FROM: "sender", Field.SUBJECT: "subject", Field.TAG: "tags"}
_EVERYWHERE = "{subject people}"
_HAS_WORDS = "message.seq IN (SELECT rowid FROM search WHERE search MATCH ?)"
_HAS_WORDS_BETWEEN = _HAS_WORDS.replace("?)", "? AND rowid BETWEEN ? AND ?)")
Condition = tuple[str, Sequence[object]]
"""An expression in SQL with its parameters."""


class Narrowed(NamedTuple):
    """What follows FROM; the number of a message there; the conditions and their values. Nothing else is quoted in."""

    source: str
    seq: str
    wheres: list[str]
    values: list[object]

    def and_also(self, where: str, *values: object) -> None:
        """Narrow it further; `where` is a fixed part."""
        self.wheres.append(where)
        self.values.extend(values)

    @property
    def where(self) -> str:
        """The whole WHERE, "" when everything is wanted."""
        return f"WHERE {' AND '.join(self.wheres)}" if self.wheres else ""


def narrowed(connection: sqlite3.Connection, filter: Filter) -> Narrowed:
    """How to find what `filter` wants."""
    found = [
        *_exact(filter),
        *(_condition(connection, term) for term in filter.terms if not _by_words(connection, term)),
    ]
    words = _match([term for term in filter.terms if _by_words(connection, term)])
    if words and (few := _few(connection, filter)):
        found.append((_HAS_WORDS_BETWEEN, (words, *_span(connection, few))))
        words = ""
    # The outer table of a CROSS JOIN is the one that is walked: newest first, only what has the words.
    source = "search CROSS JOIN message ON message.seq = search.rowid" if words else "message"
    narrow = Narrowed(source, "search.rowid" if words else "message.seq", [], [])
    if words:
        narrow.and_also("search MATCH ?", words)
    for where, values in found:
        narrow.and_also(where, *values)
    return narrow


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


def _few(connection: sqlite3.Connection, filter: Filter) -> set[State]:
    """The states wanted, when they have few messages; none when they have many, or any is wanted."""
    wanted = [{filter.state}] if filter.state else []
    wanted += [set(term.states) for term in filter.terms if term.field is Field.STATE and not term.negated]
    tally: dict[str, int] = dict(connection.execute("SELECT state, messages FROM tally").fetchall())
    return next((states for states in wanted if sum(tally[state.value] for state in states) < FEW), set())


def _span(connection: sqlite3.Connection, states: set[State]) -> tuple[int, int]:
    """The first and the last message in one of `states`: what waits is mostly new."""
    ends = [
        connection.execute(
            "SELECT (SELECT min(seq) FROM message WHERE state = ?1), (SELECT max(seq) FROM message WHERE state = ?1)",
            (state.value,),
        ).fetchone()
        for state in states
    ]
    return min((low for low, _ in ends if low), default=0), max((high for _, high in ends if high), default=0)


def _by_words(connection: sqlite3.Connection, term: Term) -> bool:
    """Whether the index of words alone decides."""
    if term.negated or term.field not in _WORDS or term.field is Field.TAG or _is_address(term):
        return False
    return term.field is not Field.TEXT or not _called(connection, term.value)


def _match(terms: Sequence[Term]) -> str:
    return " AND ".join(f"({_phrase(term)})" for term in terms)


def _phrase(term: Term, column: str = "") -> str:
    """The term in the language of FTS5, in which a quoted string is words and nothing else."""
    words = '"' + term.value.replace('"', '""') + '"'
    beginning = "" if term.whole or not term.value[-1].isalnum() else " *"
    return f"{column or _COLUMNS.get(term.field, _EVERYWHERE)} : {words}{beginning}"


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
    match = _match([term])
    if not _called(connection, term.value):
        return _HAS_WORDS, (match,)
    called = _CALLED.replace("?1", "?")
    return f"({_HAS_WORDS} OR message.seq IN ({called}))", (match, term.value, term.value, term.value)


def _words(_: sqlite3.Connection, term: Term) -> Condition:
    if _is_address(term):
        return "message.seq IN (SELECT seq FROM recipient WHERE address = ? COLLATE NOCASE)", (term.value,)
    return _HAS_WORDS, (_match([term]),)


def _tag(_: sqlite3.Connection, term: Term) -> Condition:
    """The index brings the messages that may have it, the tags themselves decide."""
    name, equals, value = term.value.partition("=")
    wheres, values = ["json_extract(t.value, '$[0]') = ?"], [name]
    if equals:
        wheres.append("json_extract(t.value, '$[1]') = ?")
        values.append(value)
    has = "EXISTS (SELECT 1 FROM body b, json_each(b.tags) t WHERE b.seq = message.seq AND "
    exact = f"{has}{' AND '.join(wheres)})"
    if not has_words(term.value):
        return exact, values
    whole = Term(term.field, f"{name} {value}", whole=True)
    return f"({_HAS_WORDS} AND {exact})", (_match([whole]), *values)


def _states(_: sqlite3.Connection, term: Term) -> Condition:
    return f"message.state IN ({', '.join('?' * len(term.states))})", [state.value for state in term.states]


def _code(_: sqlite3.Connection, term: Term) -> Condition:
    digits = f"{term.value}[0-9][0-9]" if len(term.value) == 1 else term.value
    said = f"*[^0-9.]{digits}[^0-9.]*"
    # Looking for the code itself is far cheaper than for the pattern, and few have it.
    code = "" if len(term.value) == 1 else term.value
    refused = f"{_REFUSED} AND " if term.value[0] in "45" else ""
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
    return "message.request_id IS ?", (term.value,)


def _relay(_: sqlite3.Connection, term: Term) -> Condition:
    return "message.relay = ?", (term.value,)


def _has(_: sqlite3.Connection, __: Term) -> Condition:
    return "message.files > 0", ()


def _before(connection: sqlite3.Connection, term: Term) -> Condition:
    bound = _first_at(connection, term.at + CLOCK_SLACK)
    return "(message.seq < ? AND message.accepted_at < ?)", (bound, term.at)


def _after(connection: sqlite3.Connection, term: Term) -> Condition:
    bound = _first_at(connection, term.at - CLOCK_SLACK)
    return "(message.seq >= ? AND message.accepted_at >= ?)", (bound, term.at)


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
