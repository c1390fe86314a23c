"""Faces over a real outbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from tests.support.web_hub import WebHub, web_hub


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[WebHub]:
    """A hub on loopback with nothing set: everything is open."""
    async with web_hub(tmp_path) as found:
        yield found
