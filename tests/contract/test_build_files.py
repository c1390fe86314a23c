"""The build files hold to what they promise: plain make, hashed locks that name no place, dependencies in step."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
_LOCKS = sorted(ROOT.glob("requirements*.lock"))
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def _pins(lock: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in _PIN.findall(lock.read_text())}


def _requirements(group: str) -> list[Requirement]:
    groups = _project()["dependency-groups"]
    plain = [entry for entry in groups[group] if isinstance(entry, str)]
    included = [entry["include-group"] for entry in groups[group] if isinstance(entry, dict)]
    return [Requirement(text) for text in plain] + [item for name in included for item in _requirements(name)]


def _assert_locked(requirements: list[Requirement], lock: Path) -> None:
    pins = _pins(lock)
    for requirement in requirements:
        version = pins.get(canonicalize_name(requirement.name))
        assert version, f"{lock.name} lacks {requirement.name}; run: make lock"
        assert requirement.specifier.contains(version), f"{lock.name} is behind on {requirement}; run: make lock"


def test_the_locks_hold_what_the_project_asks_for() -> None:
    runtime = [Requirement(text) for text in _project()["project"]["dependencies"]]
    _assert_locked(runtime, ROOT / "requirements.lock")
    _assert_locked(runtime + _requirements("dev"), ROOT / "requirements-dev.lock")
    _assert_locked(_requirements("build"), ROOT / "requirements-build.lock")
    _assert_locked(_requirements("binary"), ROOT / "requirements-binary.lock")


def test_the_locks_agree_on_every_version() -> None:
    dev = _pins(ROOT / "requirements-dev.lock")
    for lock in _LOCKS:
        pins = _pins(lock)
        assert {name: version for name, version in pins.items() if dev.get(name, version) != version} == {}, lock.name


@pytest.mark.parametrize("lock", _LOCKS, ids=lambda lock: lock.name)
def test_a_lock_hashes_every_file_and_names_no_place(lock: Path) -> None:
    text = lock.read_text()
    entries = re.split(r"\n(?=[A-Za-z0-9])", text)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|--(extra-)?index|--find-links|file:|[ =]/\w", text)


def test_every_dependency_says_why_it_is_there() -> None:
    listing = (ROOT / "pyproject.toml").read_text().split("dependencies = [", 1)[1].split("\n]", 1)[0]
    assert all("#" in line for line in listing.strip().splitlines())


def test_the_makefile_needs_no_make_newer_than_3_81() -> None:
    text = (ROOT / "Makefile").read_text()
    newer = (r"^\.ONESHELL", r"^\.RECIPEPREFIX", r"^\w+ *!=", r"^\w+ *::?:?=(?<=::=)", r"\$\(file ", r"\$\(intcmp ")
    assert [pattern for pattern in newer if re.search(pattern, text, re.MULTILINE)] == []


def test_make_alone_explains_every_command() -> None:
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  make (\w+) +\S.*$", shown, re.MULTILINE)
    assert {
        "help",
        "serve",
        "demo",
        "pictures",
        "test",
        "check",
        "nightly",
        "crash",
        "soak",
        "bench",
        "lock",
        "wheel",
        "sbom",
        "binary",
        "clean",
    } == set(commands)


def test_the_judging_script_runs_make_test() -> None:
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "exec make test"


@pytest.mark.parametrize("script", sorted(path for path in (ROOT / ".ci").iterdir()), ids=lambda path: path.name)
def test_a_build_script_is_executable_and_parses(script: Path) -> None:
    assert script.stat().st_mode & 0o111
    subprocess.run(["sh", "-n", str(script)], check=True)


def test_nothing_here_asks_for_more_rights() -> None:
    scripts = [ROOT / "Makefile", *(ROOT / ".ci").iterdir()]
    commands = [line for path in scripts for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    assert [line for line in commands if re.search(r"\bsudo\b", line)] == []
