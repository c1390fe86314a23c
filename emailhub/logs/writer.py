"""Takes lines to a stream on a thread of its own: whoever logs never waits for a pipe nobody reads."""

from __future__ import annotations

import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO

MOST_LINES = 10_000
MOST_CHARACTERS = 8 * 2**20
_BATCH = 256
_GATHER = 0.01
"""Seconds in which lines gather before they are written: waking the thread for each costs more than making it."""


class Writer:
    """A bounded queue of lines and the thread that writes them. When it is full, lines are dropped and counted.

    `notice` makes the line that tells how many were dropped. `write` may block; it is only called by the thread.
    """

    def __init__(self, write: Callable[[bytes], None], notice: Callable[[int], str]) -> None:
        self._write = write
        self._notice = notice
        self._lines: deque[str] = deque()
        self._characters = 0
        self._dropped = 0
        self._closing = False
        self._resting = False
        # The plain lock: entering a Condition is a call in Python, and every line enters it.
        self._lock = threading.Lock()
        self._ready = threading.Condition(self._lock)
        # A daemon: a thread stuck in write() must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name="emailhub-logs", daemon=True)
        self._thread.start()

    def put(self, line: str) -> None:
        """Hand over one line without its end; never blocks."""
        with self._lock:
            if self._closing or len(self._lines) >= MOST_LINES or self._characters + len(line) > MOST_CHARACTERS:
                self._dropped += 1
                return
            self._lines.append(line)
            self._characters += len(line)
            if self._resting:
                self._resting = False
                self._ready.notify()

    def drop(self) -> None:
        """Count a line that could not even be made."""
        with self._ready:
            self._dropped += 1

    def close(self, timeout: float) -> bool:
        """Write what is waiting, at most `timeout` seconds long. True when everything is out; no line after this."""
        with self._ready:
            self._closing = True
            self._resting = False
            self._ready.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while batch := self._next():
            try:
                self._write(("\n".join(batch) + "\n").encode("utf-8", "backslashreplace"))
            except (OSError, ValueError):
                # A closed or full target: losing lines is the lesser evil, and the next ones tell how many.
                with self._ready:
                    self._dropped += len(batch)

    def _rest(self) -> None:
        """Wait for a line or the end; after a rest, long enough for more lines to come."""
        with self._ready:
            if self._lines or self._closing:
                return
            self._resting = True
            self._ready.wait_for(lambda: not self._resting)
            closing: bool = self._closing
        if not closing:
            time.sleep(_GATHER)

    def _next(self) -> list[str]:
        """The next lines to write; empty when closed and done."""
        self._rest()
        with self._ready:
            batch = [self._lines.popleft() for _ in range(min(_BATCH, len(self._lines)))]
            self._characters -= sum(map(len, batch))
            dropped, self._dropped = (self._dropped, 0) if batch else (0, self._dropped)
        return [*batch, self._notice(dropped)] if dropped else batch


def to_stream(stream: IO[str]) -> Callable[[bytes], None]:
    """A function that writes bytes to `stream`, past its buffer where it has a file descriptor.

    A buffer's lock held by a stuck thread would abort the interpreter when it flushes standard output at exit.
    """
    try:
        stream.fileno()
    except (OSError, AttributeError):
        return lambda data: _through(stream, data)
    # Asked for each time: a closed stream then raises, where its old number could be another file by now.
    return lambda data: _to_descriptor(stream.fileno(), data)


def _through(stream: IO[str], data: bytes) -> None:
    stream.write(data.decode())
    stream.flush()


def _to_descriptor(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(descriptor, rest) :]
        except BlockingIOError:
            # Somebody made the pipe non-blocking, as parents that share it may.
            select.select([], [descriptor], [])
