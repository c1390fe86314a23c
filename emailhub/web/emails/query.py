"""The parameters of a list: of messages, where nothing else is said."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeVar

from emailhub.core.delivery import State
from emailhub.core.errors import Problem
from emailhub.core.fields import shown
from emailhub.core.query import Term, parse
from emailhub.web.errors import BadParameters
from emailhub.web.visit import AnyRequest

LIST_LIMIT: Final = 20
LIST_MOST: Final = 100
_LIST_PARAMETERS = ("limit", "after", "before", "status", "request_id", "template", "q")


_E = TypeVar("_E", bound=StrEnum)


class Query:
    """The parameters of a list, read one by one; `check` raises BadParameters with all that is wrong."""

    def __init__(self, request: AnyRequest, parameters: Sequence[str] = _LIST_PARAMETERS) -> None:
        self._given = request.query_params
        self.problems: list[Problem] = []
        for name in dict.fromkeys(self._given):
            if name not in parameters:
                known = ", ".join(parameters)
                self.problems.append(Problem(shown(name), f"is not a parameter of this list; those are {known}"))
            elif len(self._given.getall(name)) > 1:
                self.problems.append(Problem(name, "is given more than once"))

    def text(self, name: str) -> str | None:
        """The parameter, None when it is absent or empty."""
        value = self._given.get(name)
        if value and (len(value) > 320 or not value.isprintable()):
            self.problems.append(Problem(name, "must be at most 320 printable characters"))
            return None
        return value or None

    def limit(self) -> int:
        """Messages on a page."""
        value = self._given.get("limit")
        if value is None:
            return LIST_LIMIT
        if value.isascii() and value.isdecimal() and len(value) <= 9 and 1 <= int(value) <= LIST_MOST:
            return int(value)
        self.problems.append(Problem("limit", f"must be a whole number from 1 to {LIST_MOST}"))
        return LIST_LIMIT

    def status(self) -> State | None:
        """The state asked for."""
        return self.choice("status", State)

    def choice(self, name: str, choices: type[_E]) -> _E | None:
        """The member of `choices` that the parameter names; nothing is none of them."""
        value = self._given.get(name)
        if value is None:
            return None
        try:
            return choices(value)
        except ValueError:
            self.problems.append(Problem(name, f"must be one of {', '.join(choices)}"))
            return None

    def number(self, name: str) -> int | None:
        """The id of an entry that is a number."""
        value = self._given.get(name)
        if not value:
            return None
        if value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)
        self.problems.append(Problem(name, "must be the id of an entry, a whole number"))
        return None

    def terms(self, now: float) -> tuple[Term, ...]:
        """The conditions of the search in `q`."""
        found = parse(self._given.get("q", ""), now)
        self.problems += [Problem("q", f"{mistake.piece}: {mistake.text}") for mistake in found.mistakes]
        return found.terms

    def at_most_one(self, name: str, other: str) -> None:
        """Find fault with two that exclude each other."""
        if self._given.get(name) and self._given.get(other):
            self.problems.append(Problem(name, f"is given together with {other}; give one of the two"))

    def check(self) -> None:
        """Raise BadParameters with all that was found wrong."""
        if self.problems:
            raise BadParameters(*self.problems)
