"""A hub to load."""

from tests.acceptance.conftest import make_hub, queue_at, smtp

__all__ = ["make_hub", "queue_at", "smtp"]
