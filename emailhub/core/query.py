"""The language one searches messages in: words, and `field:value` where that is not enough.

    query = {piece}                     all of them must be true
    piece = ["-"] [field ":"] value     a `-` turns it round
    value = word | '"' anything '"'     words in quotes stand together and are whole words

Without a field a word is looked for in subjects and in addresses of recipients, and is also the id it may be. The last
word of a value is found by its beginning too. Upper and lower case, and accents, make no difference in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from typing import Final
from unicodedata import category

from msgspec import Struct

from emailhub.core.delivery import State

LONGEST: Final = 320
"""Characters of a query."""
TERMS: Final = 16
"""Pieces of a query."""


class Field(StrEnum):
    """What of a message a piece is about; `text` has no name in the language."""

    TEXT = "text"
    TO = "to"
    FROM = "from"
    SUBJECT = "subject"
    ID = "id"
    REQUEST = "request"
    TAG = "tag"
    RELAY = "relay"
    STATE = "state"
    CODE = "code"
    BEFORE = "before"
    AFTER = "after"
    HAS = "has"


FIELDS: Final = tuple(field for field in Field if field is not Field.TEXT)


class Term(Struct, frozen=True):
    """One condition. `negated`: it must not be so. `whole`: words are whole, and none is found by its beginning.

    `states` are those a `state:` names, any of which will do; `at` is the time (unix seconds) of `before:` and
    `after:`. A code is `550`, `5.1.1` or `5`, which stands for all that begin so. A tag is `name` or `name=value`.
    """

    field: Field
    value: str
    negated: bool = False
    whole: bool = False
    states: tuple[State, ...] = ()
    at: float = 0.0


class Mistake(Struct, frozen=True):
    """A `piece` of a query that says nothing, and why, in a sentence."""

    piece: str
    text: str


class Query(Struct, frozen=True):
    """What was asked for. With mistakes it must not be used: it would find more than was meant."""

    terms: tuple[Term, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


class _Wrong(Exception):
    """The sentence that says what is wrong with a piece."""


_PIECE = re.compile(r'(?P<minus>-?)(?:(?P<field>[A-Za-z][A-Za-z_-]*):)?(?:"(?P<quoted>[^"]*)(?P<end>"?)|(?P<bare>\S*))')
_GAP = re.compile(r"\s*")
_DAY = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})(?:[T ](\d{1,2}):(\d\d)(?::(\d\d))?)?Z?", re.ASCII)
_AGE = re.compile(r"(\d{1,6})(s|min|m|h|d|w)", re.ASCII)
_UNITS = {"s": 1, "min": 60, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_CODE = re.compile(r"[245]\d\d|[245]\.\d{1,3}\.\d{1,3}|(?P<class>[245])(?:xx|XX|\*)", re.ASCII)
_TIMES = "2026-11-24, 2026-11-24T09:30 (UTC), today, yesterday, or an age such as 15min, 6h or 3d"


def parse(text: str, now: float) -> Query:
    """What `text` asks for. Ages count from `now` (unix seconds)."""
    terms, mistakes = list[Term](), list[Mistake]()
    if len(text) > LONGEST:
        return Query((), (Mistake(_short(text), f"the search has {len(text)} characters; at most {LONGEST} are read"),))
    pieces = _pieces(text)
    # A sign alone, as in `Tom & Jerry`, says nothing beside words.
    for found in [piece for piece in pieces if not _is_sign(piece)] or pieces:
        try:
            terms.append(_term(found, now))
        except _Wrong as wrong:
            mistakes.append(Mistake(_short(found[0]), str(wrong)))
    if len(terms) > TERMS:
        mistakes.append(Mistake(_short(text), f"the search has {len(terms)} conditions; at most {TERMS} are read"))
    return Query(tuple(dict.fromkeys(terms)), tuple(mistakes))


def written(field: Field, value: str) -> str:
    """The piece that asks for `value` in `field`, quoted where it must be. A quote in it becomes a space."""
    plain = " ".join(value.replace('"', " ").split())
    if not plain or " " in plain or (field is Field.TEXT and not _is_word(plain)):
        plain = f'"{plain}"'
    return plain if field is Field.TEXT else f"{field}:{plain}"


class Count(Struct, frozen=True):
    """How many messages a query finds; not `whole`: there are more, or there may be."""

    messages: int
    whole: bool = True


def has_words(text: str) -> bool:
    """Whether there is anything in `text` an index of words holds."""
    return any(category(letter)[0] in "LN" for letter in text)


def _is_word(text: str) -> bool:
    found = _PIECE.fullmatch(text)
    return found is not None and found["bare"] == text


def _pieces(text: str) -> list[re.Match[str]]:
    found, at = list[re.Match[str]](), _end(text, 0)
    while at < len(text):
        piece = _PIECE.match(text, at)
        assert piece is not None
        found.append(piece)
        at = _end(text, piece.end())
    return found


def _is_sign(piece: re.Match[str]) -> bool:
    return piece["field"] is None and bool(piece["bare"]) and not piece["minus"] and not has_words(piece["bare"])


def _end(text: str, at: int) -> int:
    gap = _GAP.match(text, at)
    return gap.end() if gap else at


def _term(found: re.Match[str], now: float) -> Term:
    quoted = found["quoted"] is not None
    value = (found["quoted"] if quoted else found["bare"]).strip()
    if quoted and not found["end"]:
        raise _Wrong('the quote `"` has no end; put another one where the words end')
    if any(category(letter) in {"Cc", "Cs"} for letter in value):
        raise _Wrong("there is a control character in it, and such are in no message")
    field = _field(found["field"])
    if not value:
        raise _Wrong(f"{field}: needs a value" if field is not Field.TEXT else "there are no words in it")
    term = Term(field, value, negated=bool(found["minus"]), whole=quoted)
    return _READERS.get(field, _as_it_is)(term, now)


def _field(name: str | None) -> Field:
    if name is None:
        return Field.TEXT
    known = {str(field): field for field in FIELDS}
    if (found := known.get(name.lower())) is not None:
        return found
    near = get_close_matches(name.lower()[:32], list(known), 1)
    meant = f"did you mean {near[0]}:? " if near else ""
    raise _Wrong(
        f"there is no field `{name[:32]}`; {meant}The fields are {', '.join(known)}. Put words with a colon in quotes"
    )


def _as_it_is(term: Term, _now: float) -> Term:
    return term


def _words(term: Term, _now: float) -> Term:
    if not has_words(term.value):
        raise _Wrong(f"`{term.value[:40]}` has no letter or digit, and only those are searched")
    # The domain of an address ends where it ends; found by its beginning, `.com` would be all that begin with `com`.
    _, at, domain = term.value.rpartition("@")
    return Term(term.field, term.value, term.negated, whole=term.whole or bool(at and "." in domain.strip(".")))


def _states(term: Term, _now: float) -> Term:
    names = [name.strip().lower() for name in term.value.split(",") if name.strip()]
    known = {str(state): state for state in State}
    for name in names:
        if name not in known:
            near = get_close_matches(name[:32], list(known), 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise _Wrong(f"state: knows {', '.join(known)}; not `{name[:32]}`{meant}")
    if not names:
        raise _Wrong(f"state: needs one of {', '.join(known)}")
    return Term(term.field, term.value, term.negated, states=tuple(dict.fromkeys(known[name] for name in names)))


def _code(term: Term, _now: float) -> Term:
    found = _CODE.fullmatch(term.value)
    if found is None:
        raise _Wrong(f"code: takes a reply code such as 550, 5.1.1 or 5xx; not `{term.value[:40]}`")
    return Term(term.field, found["class"] or term.value, term.negated)


def _id(term: Term, _now: float) -> Term:
    """Message-IDs are made of ids, so that both are found."""
    return Term(term.field, term.value.strip("<>").partition("@")[0].upper(), term.negated)


def _has(term: Term, _now: float) -> Term:
    if term.value.lower() not in {"attachment", "attachments"}:
        raise _Wrong(f"has: knows only attachment; not `{term.value[:40]}`")
    return Term(term.field, "attachment", term.negated)


def _time(term: Term, now: float) -> Term:
    try:
        at = _moment(term.value.lower(), now)
    except (ValueError, OverflowError):
        at = None
    if at is None:
        raise _Wrong(f"{term.field}: takes a time such as {_TIMES}; not `{term.value[:40]}`")
    return Term(term.field, term.value, term.negated, at=at)


def _moment(text: str, now: float) -> float | None:
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if text in {"today", "yesterday"}:
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    if age := _AGE.fullmatch(text):
        return now - int(age[1]) * _UNITS[age[2]]
    if day := _DAY.fullmatch(text.upper()):
        year, month, date, hour, minute, second = (int(part or 0) for part in day.groups())
        return datetime(year, month, date, hour, minute, second, tzinfo=UTC).timestamp()
    return None


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"


_READERS: Final[dict[Field, Callable[[Term, float], Term]]] = {
    **dict.fromkeys((Field.TEXT, Field.TO, Field.FROM, Field.SUBJECT), _words),
    Field.STATE: _states,
    Field.CODE: _code,
    Field.ID: _id,
    Field.HAS: _has,
    **dict.fromkeys((Field.BEFORE, Field.AFTER), _time),
}
