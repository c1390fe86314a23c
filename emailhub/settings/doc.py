"""What is written beside a setting's declaration."""

from __future__ import annotations

from dataclasses import dataclass

from emailhub.settings.kinds import Kind


@dataclass(frozen=True, slots=True)
class Doc:
    """Where a setting belongs, what it may be and what it means.

    `unset` says what happens without it, when it has no default.
    """

    section: str
    kind: Kind
    meaning: str
    unset: str = ""
