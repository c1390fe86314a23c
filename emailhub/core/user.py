"""The people who log in to the dashboard, and the rules for their names and passwords."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from emailhub.core.access import Kind, Principal, Role
from emailhub.core.errors import Problem

ADMIN: Final = "admin"
"""The operator whose password is a setting."""
MOST: Final = 500
"""Users that may be kept beside it."""
LEAST: Final = 12
LONGEST: Final = 1024
"""Characters of a password. Length is all that is asked for (NIST SP 800-63B §3.1.1.2): rules about kinds of characters
make people choose worse ones."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_TAKEN = frozenset({ADMIN, "local", "anybody", "unknown", "nobody"})
"""Names that records use for somebody else."""


class User(Struct, frozen=True, kw_only=True):
    """Somebody who may log in. Times are unix seconds (UTC); `last_login` is None before the first one."""

    name: str
    role: Role
    since: float
    last_login: float | None = None

    @property
    def principal(self) -> Principal:
        """On whose behalf they act once they are logged in."""
        return Principal(kind=Kind.ACCOUNT, name=self.name, id=f"user {self.name}", scopes=self.role.scopes)


class Session(Struct, kw_only=True):
    """A log-in that goes on. `digest` is the hash of its token, `seen` when it was used last, `agent` the browser."""

    digest: bytes
    user: str
    began: float
    seen: float
    peer: str
    agent: str = ""


def name_problem(name: str) -> Problem | None:
    """What is wrong with the name of a user."""
    if not _NAME.fullmatch(name):
        text = "must be 1 to 64 of a-z, 0-9 and . _ @ + -, and begin with a letter or digit"
        return Problem("name", text)
    return Problem("name", f"{name} is a name records use for somebody else") if name in _TAKEN else None


def password_problem(password: str, name: str) -> Problem | None:
    """What is wrong with a new password of the user `name`."""
    if not LEAST <= len(password) <= LONGEST:
        return Problem("password", f"must have {LEAST} to {LONGEST} characters; a sentence is a good one")
    if len(set(password)) < 4 or password.casefold() == name.casefold():
        return Problem("password", "is too easy to guess")
    return None


class Kept(Struct, frozen=True, kw_only=True):
    """What is kept of users: each with the hash of their password, the log-ins that go on, from which networks each
    has logged in (user, network), and the hash of the password that is a setting, as it was at the last start."""

    users: tuple[tuple[User, str], ...] = ()
    sessions: tuple[Session, ...] = ()
    places: frozenset[tuple[str, str]] = frozenset()
    admin_hash: str | None = None
