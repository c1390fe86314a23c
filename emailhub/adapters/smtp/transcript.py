"""The conversation as people read it afterwards: timed, without secrets and without the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from emailhub.core.reply import Reply
from emailhub.core.verdict import Line, Stage

_LONGEST_LINE = 1000
_MOST_LINES = 400


class Transcript:
    """Collects lines, each with its milliseconds since the transcript began, and the stages gone through."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._lines: list[tuple[float, str, str | Reply]] = []
        self._stages: list[tuple[Stage, float]] = []

    def client(self, text: str) -> None:
        """What we said. Never pass a secret or a body."""
        self._lines.append((self._clock(), "client", text))

    def commands(self, lines: Iterable[str]) -> None:
        """What we said in one breath."""
        at = self._clock()
        self._lines += [(at, "client", line) for line in lines]

    def server(self, reply: Reply) -> None:
        """What the server answered."""
        self._lines.append((self._clock(), "server", reply))

    def note(self, text: str) -> None:
        """What happened without words: connected, encrypted, lost."""
        self._lines.append((self._clock(), "note", text))

    def enter(self, stage: Stage) -> None:
        """Another stage begins, and the one before ends."""
        stages = self._stages
        if not stages or stages[-1][0] is not stage:
            stages.append((stage, self._clock()))

    def lines(self) -> tuple[Line, ...]:
        """The first 400 lines so far, in order."""
        began = self._began
        return tuple(
            [
                Line(_milliseconds(at - began), side, str(text)[:_LONGEST_LINE])
                for at, side, text in self._lines[:_MOST_LINES]
            ]
        )

    def stages(self) -> tuple[tuple[str, float], ...]:
        """The stages so far, in order, each with the milliseconds it took."""
        ends = [at for _, at in self._stages[1:]]
        ends += [at for at, _, _ in self._lines[-1:]]
        return tuple(
            [
                (str(stage), _milliseconds(end - at))
                for (stage, at), end in zip(self._stages[:_MOST_LINES], ends, strict=False)
            ]
        )


def _milliseconds(seconds: float) -> float:
    # A third of what `round` takes, for each of a dozen lines of each message.
    return int(seconds * 10_000 + 0.5) / 10
