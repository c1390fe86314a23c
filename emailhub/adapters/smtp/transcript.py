"""The conversation as people read it afterwards: timed, without secrets and without the body."""

from __future__ import annotations

from collections.abc import Callable

from emailhub.core.reply import Reply
from emailhub.core.verdict import Line

_LONGEST_LINE = 1000
_MOST_LINES = 400


class Transcript:
    """Collects lines, each with its milliseconds since the transcript began."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._lines: list[Line] = []

    def client(self, text: str) -> None:
        """What we said. Never pass a secret or a body."""
        self._add("client", text)

    def server(self, reply: Reply) -> None:
        """What the server answered."""
        self._add("server", str(reply))

    def note(self, text: str) -> None:
        """What happened without words: connected, encrypted, lost."""
        self._add("note", text)

    def lines(self) -> tuple[Line, ...]:
        """All lines so far, in order."""
        return tuple(self._lines)

    def _add(self, side: str, text: str) -> None:
        if len(self._lines) < _MOST_LINES:
            self._lines.append(Line(round((self._clock() - self._began) * 1000, 1), side, text[:_LONGEST_LINE]))
