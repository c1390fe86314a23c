"""The oldest versions pyproject.toml allows really work: the engine's and the acceptance tests pass with them."""

from __future__ import annotations

import re
import subprocess
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STORIES = (
    "tests/adapters/sqlite",
    "tests/adapters/smtp",
    "tests/engine",
    "tests/web",
    "tests/acceptance/test_retries.py",
    "tests/acceptance/test_same_request.py",
)


def lowest() -> list[str]:
    """Every runtime dependency at the version its bound names."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    pinned = []
    for line in dependencies:
        found = re.match(r"([a-z0-9-]+(?:\[[a-z]+\])?)>=([\d.]+)", line)
        assert found, f"{line} has no lower bound"
        pinned.append(f"{found[1]}=={found[2]}")
    return pinned


def test_every_runtime_dependency_has_a_lower_bound() -> None:
    assert len(lowest()) > 10


@pytest.mark.nightly
@pytest.mark.timeout(1500)
def test_the_stories_hold_with_the_oldest_versions_allowed(tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    tests = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["test"]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["dependency-groups"]["build"]
    install = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, *lowest(), *tests, *build], check=True, cwd=tmp_path)
    subprocess.run([*install, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)], check=True, cwd=tmp_path)
    ran = subprocess.run(
        # Old libraries may warn of what newer ones have mended; what counts here is that everything works.
        [python, "-m", "pytest", "-q", "-W", "default", "-m", "not nightly", *STORIES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20000:] + ran.stderr[-2000:]
