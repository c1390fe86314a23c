"""A stranger's first minutes: a fresh checkout, an empty home, one command; and the same command again."""

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from tests.packaging.hub import send_and_follow, serving
from tests.support.ports import free_port
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
_FIRST_SECONDS = 180.0
_AGAIN_SECONDS = 3.0
_NOT_IN_A_CHECKOUT = shutil.ignore_patterns(
    ".git", ".venv*", ".cache", ".hypothesis", "__pycache__", "build", "dist", ".env", "*.db*", "*.lock.pid"
)
_UNREACHABLE = ("No matching distribution", "Could not fetch", "connection broken", "NewConnectionError")

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clone") / "emailhub"
    shutil.copytree(ROOT, folder, ignore=_NOT_IN_A_CHECKOUT)
    return folder


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a stranger's shell has: a path, an empty home, and how this machine reaches packages."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith(("PIP_", "SSL_"))}
    return kept | {"HOME": str(tmp_path_factory.mktemp("home"))}


def _make(checkout: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments], cwd=checkout, env=environment, capture_output=True, text=True, check=False
    )


def test_one_command_serves_a_fresh_checkout_and_at_once_the_second_time(
    checkout: Path, environment: dict[str, str]
) -> None:
    begun = time.monotonic()
    made = _make(checkout, environment, "venv")
    if made.returncode and any(sign in made.stdout + made.stderr for sign in _UNREACHABLE):
        need("a package index", "connect this machine to one")
    assert made.returncode == 0, made.stdout + made.stderr
    with _served(checkout, environment, _FIRST_SECONDS - (time.monotonic() - begun)) as client:
        send_and_follow(client)
    assert min(_seconds_to_serve(checkout, environment) for _ in range(3)) < _AGAIN_SECONDS


def _seconds_to_serve(checkout: Path, environment: dict[str, str]) -> float:
    begun = time.monotonic()
    with _served(checkout, environment, patience=30):
        return time.monotonic() - begun


def _served(
    checkout: Path, environment: dict[str, str], patience: float
) -> contextlib.AbstractContextManager[httpx.Client]:
    port = free_port()
    return serving(["make", "serve", f"ARGS=--port {port}"], port, checkout, environment, patience)


def test_without_a_usable_python_one_line_says_what_to_install(tmp_path: Path, environment: dict[str, str]) -> None:
    bare = tmp_path / "emailhub"
    shutil.copytree(ROOT, bare, ignore=_NOT_IN_A_CHECKOUT)
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "dirname", "sha256sum", "shasum", "rm", "make"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    said = _make(bare, environment | {"PATH": str(tools)}, "venv")
    assert said.returncode != 0
    assert "apt install python3-venv" in said.stderr
    assert len([line for line in said.stderr.splitlines() if not line.startswith("make")]) == 1
