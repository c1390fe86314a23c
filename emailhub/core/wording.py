"""From the fields that describe a template to what is stored of it: types, limits, every problem at once.

Fields: `name`, `alias`, `from`, `reply_to` (a string or a list), `subject`, `html`, `text`, `variables`
[{key, type, fallback_value, sample, description}]. Of a change, what is not given stays, and null takes it away, except
for the name and the subject, which it leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from emailhub.core import fields as read
from emailhub.core.address import parse_list, parse_mailbox
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.message import Mailbox
from emailhub.core.stored import Label, Wording
from emailhub.core.template import IS_A, NAME, VARIABLE, Variable, VariableType

FIELDS: Final = ("name", "alias", "from", "reply_to", "subject", "html", "text", "variables")
CALLED: Final = 100
"""Characters of the name for people."""
SUBJECT: Final = 998
SOURCE: Final = 512 * 1024
"""Characters of the html or the text."""
VARIABLES: Final = 100
VALUES: Final = 16 * 1024
"""Bytes of JSON of a fallback value or a sample."""
DESCRIPTION: Final = 200
_VARIABLE_FIELDS: Final = ("key", "type", "fallback_value", "sample", "description")
_TYPES: Final = {one.value: one for one in VariableType}
_REPLIES: Final = 50
_encode = msgspec.json.Encoder().encode
_T = TypeVar("_T")


class Draft(Struct, frozen=True):
    """How a template shall be called, and what it shall say."""

    label: Label
    wording: Wording


def draft(fields: Mapping[str, object], before: Draft | None = None) -> Draft:
    """What `fields` make of the template, which was `before`. Raises InvalidMessage with every problem."""
    form = _Form(fields, before)
    label = Label(form.name(), form.alias())
    html, text = form.source("html"), form.source("text")
    if html is None and text is None and not form.problems:
        form.problems.append(Problem("html", "is required, or text: messages made from it would be empty"))
    wording = Wording(
        subject=form.subject(),
        html=html,
        text=text,
        sender=form.sender(),
        reply_to=form.reply_to(),
        variables=form.variables(),
    )
    form.unknown()
    if form.problems:
        raise InvalidMessage(tuple(form.problems))
    return Draft(label, wording)


class _Form:
    """The given fields, what the template was before, and the problems found so far."""

    def __init__(self, fields: Mapping[str, object], before: Draft | None) -> None:
        self.fields = fields
        self.before = before
        self.problems: list[Problem] = []

    def take(self, field: str, reader: Callable[[object], _T], kept: Callable[[Draft], _T], empty: _T) -> _T:
        """The field as `reader` reads it; what it was before when it is not given; `empty` when it is null or bad."""
        if field not in self.fields:
            return kept(self.before) if self.before else empty
        value = self.fields[field]
        if value is None:
            return empty
        try:
            return reader(value)
        except read.BadValueError as error:
            self.problems.append(Problem(field, str(error)))
        except InvalidMessage as error:
            self.problems += error.problems
        return empty

    def name(self) -> str:
        before = self.before.label.name if self.before else ""
        found = self.take("name", lambda value: read.line(value, CALLED), lambda was: was.label.name, before)
        self._require("name", found, CALLED)
        return found

    def subject(self) -> str:
        before = self.before.wording.subject if self.before else ""
        found = self.take("subject", lambda value: read.line(value, SUBJECT), lambda was: was.wording.subject, before)
        self._require("subject", found, SUBJECT)
        return found

    def _require(self, field: str, found: str, longest: int) -> None:
        if not found and all(problem.field != field for problem in self.problems):
            self.problems.append(Problem(field, f"is required: 1 to {longest} characters"))

    def alias(self) -> str | None:
        return self.take("alias", _alias, lambda was: was.label.alias, None)

    def source(self, field: str) -> str | None:
        read_as = _text if field == "text" else _source
        return self.take(field, read_as, lambda was: was.wording.html if field == "html" else was.wording.text, None)

    def sender(self) -> Mailbox | None:
        return self.take("from", _sender, lambda was: was.wording.sender, None)

    def reply_to(self) -> tuple[Mailbox, ...]:
        return self.take("reply_to", _replies, lambda was: was.wording.reply_to, ())

    def variables(self) -> tuple[Variable, ...]:
        return self.take("variables", self._variables, lambda was: was.wording.variables, ())

    def _variables(self, value: object) -> tuple[Variable, ...]:
        found: dict[str, Variable] = {}
        for number, item in enumerate(read.items(value, VARIABLES)):
            field = f"variables[{number}]"
            try:
                one = _variable(item)
            except read.BadValueError as error:
                self.problems.append(Problem(field, str(error)))
                continue
            if one.name in found:
                self.problems.append(Problem(f"{field}.key", f"is the key of another variable too: {one.name}"))
            found[one.name] = one
        return tuple(found.values())

    def unknown(self) -> None:
        known = ", ".join(FIELDS)
        self.problems += [
            Problem(read.shown(field), f"is not a field of a template; the fields are {known}")
            for field in self.fields
            if field not in FIELDS
        ]


def _alias(value: object) -> str:
    found = read.string(value)
    if not NAME.fullmatch(found):
        raise read.BadValueError("must be 1 to 100 letters, digits, hyphens, underscores and dots")
    return found


def _source(value: object) -> str:
    found = read.string(value)
    if not found:
        raise read.BadValueError("is empty; leave it out, or give null to take it away")
    if len(found) > SOURCE:
        raise read.BadValueError(f"is {len(found)} characters long; at most {SOURCE} are allowed")
    return read.document(found, SOURCE).replace("\r\n", "\n")


def _text(value: object) -> str | None:
    """Clients of the API this one follows give "" for no text of its own."""
    return None if value == "" else _source(value)


def _sender(value: object) -> Mailbox:
    return parse_mailbox(read.string(value), field="from")


def _replies(value: object) -> tuple[Mailbox, ...]:
    return parse_list(value if isinstance(value, str) else read.items(value, _REPLIES), "reply_to")


def _variable(value: object) -> Variable:
    """A variable of `{"key": …, "type": …}`. Raises BadValueError."""
    given = read.entries(value, len(_VARIABLE_FIELDS))
    for name in given:
        if name not in _VARIABLE_FIELDS:
            raise read.BadValueError(f"has the field {read.shown(name)}; its fields are {', '.join(_VARIABLE_FIELDS)}")
    key = given.get("key")
    if not isinstance(key, str) or not VARIABLE.fullmatch(key):
        raise read.BadValueError("key must be 1 to 64 letters, digits and underscores, and not begin with a digit")
    kind = _type(given.get("type"))
    for name in ("fallback_value", "sample"):
        _demand(name, given.get(name), kind)
    description = given.get("description")
    return Variable(
        name=key,
        type=kind,
        default=given.get("fallback_value"),
        sample=given.get("sample"),
        description=read.line(description, DESCRIPTION) if description is not None else "",
    )


def _type(value: object) -> VariableType:
    if value is None:
        return VariableType.STRING
    if not isinstance(value, str) or value not in _TYPES:
        raise read.BadValueError(f"type must be one of {', '.join(_TYPES)}")
    return _TYPES[value]


def _demand(name: str, value: object, kind: VariableType) -> None:
    if value is None:
        return
    if not IS_A[kind](value):
        raise read.BadValueError(f"{name} must be of the type {kind}")
    if len(_encode(value)) > VALUES:
        raise read.BadValueError(f"{name} is longer than {VALUES} bytes of JSON")
