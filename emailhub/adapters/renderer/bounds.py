"""What one rendering may use."""

from __future__ import annotations

from typing import NamedTuple


class Bounds(NamedTuple):
    """Seconds of processor time and of a clock on the wall, bytes of memory, characters of what is rendered in all.

    The processor's time ends a template that is too slow; the wall's is for a process that is stuck for another reason.
    """

    cpu: float = 0.3
    wall: float = 10.0
    memory: int = 192 * 1024 * 1024
    output: int = 2 * 1024 * 1024
