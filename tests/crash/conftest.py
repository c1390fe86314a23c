"""A hub to kill, and the server it sends to."""

from __future__ import annotations

from tests.acceptance.conftest import make_hub

__all__ = ["make_hub"]
