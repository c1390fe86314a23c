"""How a command ends: the exit codes, and the one exception that ends it with words for a human."""

from __future__ import annotations

OK = 0
FAILED = 1
USAGE = 2
UNREACHABLE = 69
DIED = 70
BUSY = 75
CONFIGURATION = 78

EPILOG = (
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 69 the hub cannot be reached, 70 a part of the hub died, "
    "75 the database is held by another process or its disk is full, 78 the settings or the database do not work."
)


class Stop(Exception):
    """Ends the command with `code`: `message` says what happened, `step` what to do next."""

    def __init__(self, code: int, message: str, step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.step = step
