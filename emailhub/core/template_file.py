"""A template as it lies in a directory: which files it consists of, and what its `template.toml` says.

`template.toml` may hold `description`, `from`, `reply_to` (a string or a list) and a table for each variable:
`[variables.name]` with `type` (string, number, boolean, object, list), `default`, `sample` and `description`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

from emailhub.core import fields as read
from emailhub.core.address import parse_list, parse_mailbox
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.message import Mailbox
from emailhub.core.template import IS_A, LANGUAGE, NAME, VARIABLE, Variable, VariableType

SUBJECT: Final = "subject.txt"
HTML: Final = "body.html"
TEXT: Final = "body.txt"
ABOUT: Final = "template.toml"
FILES: Final = frozenset({SUBJECT, HTML, TEXT, ABOUT})
"""The files of a template; every other file of the directory is a part that templates may include."""
VARIABLES: Final = 100
DESCRIPTION: Final = 200
_FIELDS: Final = ("description", "from", "reply_to", "variables")
_OF_VARIABLE: Final = ("type", "default", "sample", "description")
_TYPES: Final = {one.value: one for one in VariableType}


class About(Struct, frozen=True, kw_only=True):
    """What `template.toml` says."""

    description: str = ""
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    variables: tuple[Variable, ...] = ()


def called(folder: str) -> tuple[str, str] | None:
    """Id and language of the template in `folder`: `welcome.pt-BR` is (welcome, pt-br); None: not the name of one."""
    base, dot, last = folder.rpartition(".")
    id, language = (base, last.lower()) if dot and LANGUAGE.fullmatch(last.lower()) else (folder, "")
    return (id, language) if NAME.fullmatch(id) else None


def about(source: str) -> About:
    """What the TOML `source` says. Raises InvalidMessage with every problem."""
    try:
        given = tomllib.loads(source)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidMessage((Problem(ABOUT, f"is no TOML: {str(error)[:200]}"),)) from None
    problems = [
        Problem(read.shown(name), f"is not a field of {ABOUT}; the fields are {', '.join(_FIELDS)}")
        for name in given
        if name not in _FIELDS
    ]
    found = About()
    try:
        found = About(
            description=_line(given.get("description"), "description"),
            sender=parse_mailbox(read.string(given["from"]), field="from") if "from" in given else None,
            reply_to=parse_list(_strings(given["reply_to"]), "reply_to") if "reply_to" in given else (),
            variables=_variables(given.get("variables", {}), problems),
        )
    except InvalidMessage as error:
        problems += error.problems
    except read.BadValueError as error:
        problems.append(Problem(ABOUT, str(error)))
    if problems:
        raise InvalidMessage(tuple(problems))
    return found


def _strings(value: object) -> str | list[object]:
    return value if isinstance(value, str) else read.items(value, 10, "reply_to must be an address or a list of them")


def _line(value: object, field: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > DESCRIPTION or not value.isprintable():
        raise InvalidMessage((Problem(field, f"must be one line of at most {DESCRIPTION} characters"),))
    return value


def _variables(given: object, problems: list[Problem]) -> tuple[Variable, ...]:
    if not isinstance(given, Mapping) or len(given) > VARIABLES:
        raise InvalidMessage((Problem("variables", f"must be at most {VARIABLES} tables, as [variables.name]"),))
    found = []
    for name, table in given.items():
        field = f"variables.{read.shown(name)}"
        try:
            found.append(_variable(name, table, field))
        except InvalidMessage as error:
            problems += error.problems
        except read.BadValueError as error:
            problems.append(Problem(field, str(error)))
    return tuple(found)


def _variable(name: str, table: object, field: str) -> Variable:
    if not VARIABLE.fullmatch(name):
        raise read.BadValueError("is no name of a variable: a letter or _, then letters, digits and _, at most 64")
    if not isinstance(table, Mapping) or not set(table) <= set(_OF_VARIABLE):
        raise read.BadValueError(f"must be a table; its fields are {', '.join(_OF_VARIABLE)}")
    type = read.choice(table.get("type", "string"), _TYPES)
    for key in ("default", "sample"):
        if key in table and not (IS_A[type](table[key]) and _is_json(table[key])):
            raise InvalidMessage((Problem(f"{field}.{key}", f"must be a {type}, as type says"),))
    return Variable(
        name=name,
        type=type,
        default=table.get("default"),
        sample=table.get("sample"),
        description=_line(table.get("description"), f"{field}.description"),
    )


def _is_json(value: object) -> bool:
    """Whether messages could bring `value` as well: TOML has dates, and numbers that are none."""
    if isinstance(value, dict):
        return all(map(_is_json, value.values()))
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, float):
        return abs(value) < float("inf")
    return isinstance(value, str | bool) or (isinstance(value, int) and value.bit_length() <= 63)
