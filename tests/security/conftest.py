"""What the attacks share with the stories about the real process."""

from tests.acceptance.conftest import make_hub, smtp

__all__ = ["make_hub", "smtp"]
