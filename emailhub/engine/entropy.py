"""Random bytes nobody can foresee, asked of the system a page at a time.

Every call to the system lets go of the interpreter's lock, and getting it back from a busy thread takes longer than the
call: a message needs such bytes three times.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

_PAGE = 4096


class Entropy:
    """Calling it with n gives n bytes, never the same ones twice; from any thread. `system` is where they come from."""

    def __init__(self, system: Callable[[int], bytes] = os.urandom) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._page = b""
        self._at = 0

    def __call__(self, count: int) -> bytes:
        """`count` random bytes."""
        if count > _PAGE:
            return self._system(count)
        # Two threads that read the same place would make two messages with one id.
        with self._lock:
            if self._at + count > len(self._page):
                self._page, self._at = self._system(_PAGE), 0
            self._at += count
            return self._page[self._at - count : self._at]
