"""The conversation as people read it afterwards: timed, without secrets and without the body."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from emailhub.core.reply import Reply
from emailhub.core.verdict import Line, Stage

_LONGEST_LINE = 1000
_MOST_LINES = 400


class Transcript:
    """Collects what happens, each with its time; it is made readable only when somebody asks.

    `stage` is where the conversation stands: what is collected belongs to it.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._entries: list[tuple[float, str, str | Reply, Stage | None]] = []
        self.stage: Stage | None = None

    def now(self) -> float:
        """The time by its clock."""
        return self._clock()

    def client(self, text: str) -> None:
        """What we said, lines said in one breath parted by CRLF. Never pass a secret or a body."""
        self._entries.append((self._clock(), "client", text, self.stage))

    def server(self, reply: Reply) -> None:
        """What the server answered."""
        self._entries.append((self._clock(), "server", reply, self.stage))

    def answers(self, replies: Sequence[Reply], recipients: int) -> None:
        """What the server answered in one breath to MAIL, RCPT for so many `recipients`, and maybe DATA."""
        at, add = self._clock(), self._entries.append
        add((at, "server", replies[0], Stage.MAIL))
        for index in range(1, recipients + 1):
            add((at, "server", replies[index], Stage.RCPT))
        if len(replies) > recipients + 1:
            add((at, "server", replies[-1], Stage.DATA))

    def note(self, text: str) -> None:
        """What happened without words: connected, encrypted, lost."""
        self._entries.append((self._clock(), "note", text, self.stage))

    def enter(self, stage: Stage) -> None:
        """A stage begins now; the time since the last line belongs to none."""
        self.stage = stage
        self._entries.append((self._clock(), "", "", None))

    def lines(self) -> tuple[Line, ...]:
        """The first 400 lines so far, in order, each with its milliseconds since the transcript began."""
        return tuple(
            [
                Line(_milliseconds(at - self._began), side, line[:_LONGEST_LINE])
                for at, side, text, _ in self._entries[:_MOST_LINES]
                if side
                for line in str(text).split("\r\n")
            ][:_MOST_LINES]
        )

    def stages(self) -> tuple[tuple[str, float], ...]:
        """The stages gone through, in order, each with the milliseconds until the last line of it."""
        return tuple([(str(stage), _milliseconds(took)) for stage, took in self._durations()][:_MOST_LINES])

    def _durations(self) -> Iterator[tuple[Stage, float]]:
        current, since, last = None, self._began, self._began
        for at, _, _, stage in self._entries:
            if stage is not current:
                if current is not None:
                    yield current, last - since
                current, since = stage, last
            last = at
        if current is not None:
            yield current, last - since


def _milliseconds(seconds: float) -> float:
    # A third of what `round` takes, for each of a dozen lines of each message.
    return int(seconds * 10_000 + 0.5) / 10
