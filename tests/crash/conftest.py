"""A hub to kill, and a disk to break."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import make_hub, queue_at
from tests.crash.shim import build

__all__ = ["folder", "library", "make_hub", "queue_at"]

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built shim."""
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where that can be had: what is asked here is what was written, not how fast."""
    place = tempfile.mkdtemp(prefix="emailhub-crash-", dir=MEMORY if os.access(MEMORY, os.W_OK) else None)
    yield Path(place)
    shutil.rmtree(place)
