"""Setting up says in one line what is missing, and takes a Python only when it really works."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What `make venv` needs of a checkout."""
    folder = tmp_path / "emailhub"
    (folder / ".ci").mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", ".ci/setup", *(path.name for path in ROOT.glob("requirements*.lock"))):
        shutil.copy(ROOT / name, folder / name)
    return folder


def _make_venv(checkout: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["make", "venv"], cwd=checkout, env=environment, capture_output=True, text=True, check=False)


def _said(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("make")]


def test_without_a_usable_python_one_line_says_what_to_install(checkout: Path, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "cat", "dirname", "sha256sum", "shasum", "rm", "make"):
        if found := shutil.which(name):
            (tools / name).symlink_to(found)
    done = _make_venv(checkout, {"PATH": str(tools), "HOME": str(tmp_path)})
    assert done.returncode != 0
    (line,) = _said(done)
    assert "Python 3.11 or newer" in line
    assert "apt install python3-venv" in line


def test_a_python_that_is_only_a_name_is_passed_over(checkout: Path, tmp_path: Path) -> None:
    shims = tmp_path / "shims"
    shims.mkdir()
    for name in ("python3.14", "python3.13", "python3"):
        (shims / name).write_text("#!/bin/sh\necho 'this version is not chosen' >&2\nexit 127\n")
        (shims / name).chmod(0o755)
    # pip is told to find nothing: only the choice of Python is looked at here, and that needs no network.
    environment = dict(os.environ) | {"PATH": f"{shims}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"}
    environment.pop("PIP_FIND_LINKS", None)
    done = _make_venv(checkout, environment)
    assert _said(done)[0].startswith("setup: .venv made by Python 3.")
    assert done.returncode != 0
    assert not list((checkout / ".venv").glob(".stamp-*"))
