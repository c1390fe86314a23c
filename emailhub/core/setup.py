"""What a hub runs with: its effective settings, what a new reading of them would bring, and what it is made of."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.errors import Problem
from emailhub.core.reloaded import Change


class Setting(Struct, frozen=True):
    """One effective setting; secrets are masked, an unset one has an empty `value`.

    `source` is `default`, `file x.toml`, `.env`, `environment` or `flag --port`. The key of a table is named in full,
    such as `relay[1] "ses".host`.
    """

    section: str
    name: str
    value: str
    source: str
    is_default: bool
    meaning: str


class Setup(Struct, frozen=True, kw_only=True):
    """The `settings` in force, and what their sources say by now.

    `reloadable` changes wait for a reload, `restart` for the next start; with `problems` either would be refused.
    `warnings` deserve a look.
    """

    settings: tuple[Setting, ...] = ()
    reloadable: tuple[Change, ...] = ()
    restart: tuple[Change, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()


class About(Struct, frozen=True, kw_only=True):
    """The program and what it stands on: versions, the number of the outbox's schema, its start (unix seconds)."""

    version: str = ""
    python: str = ""
    sqlite: str = ""
    schema: int = 0
    started_at: float = 0.0
