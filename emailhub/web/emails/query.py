"""The parameters of a list of messages."""

from __future__ import annotations

from typing import Final

from emailhub.core.delivery import State
from emailhub.core.errors import Problem
from emailhub.core.fields import shown
from emailhub.web.errors import BadParameters
from emailhub.web.visit import AnyRequest

LIST_LIMIT: Final = 20
LIST_MOST: Final = 100
_LIST_PARAMETERS = ("limit", "after", "before", "status", "request_id", "q")


class Query:
    """The parameters of a list, read one by one; `check` raises BadParameters with all that is wrong."""

    def __init__(self, request: AnyRequest) -> None:
        self._given = request.query_params
        self.problems: list[Problem] = []
        for name in dict.fromkeys(self._given):
            if name not in _LIST_PARAMETERS:
                known = ", ".join(_LIST_PARAMETERS)
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
        value = self._given.get("status")
        if not value:
            return None
        try:
            return State(value)
        except ValueError:
            self.problems.append(Problem("status", f"must be one of {', '.join(State)}"))
            return None

    def check(self) -> None:
        """Raise BadParameters with all that was found wrong."""
        if self.problems:
            raise BadParameters(*self.problems)
