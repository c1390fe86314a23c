"""What the attacks share with the stories about the real process."""

from tests.acceptance.conftest import make_hub, queue_at, smtp
from tests.test_logs import _restored_logging as restored_logging
from tests.web.conftest import hub

__all__ = ["hub", "make_hub", "queue_at", "restored_logging", "smtp"]
