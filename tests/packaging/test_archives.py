"""The wheel and the source archive carry everything the hub needs, and nothing of this machine."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _tracked(*folders: str) -> set[str]:
    """The files of `folders` as they are on disk, relative to the root, without what Python leaves beside them."""
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist", "--directory", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


def test_the_wheel_carries_code_schema_templates_and_static_files(built: Path) -> None:
    (wheel,) = built.glob("emailhub-*-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    packaged = {f"emailhub/{name}" for name in _tracked("templates", "static")}
    assert _tracked("emailhub") <= names
    assert packaged <= names
    assert any(name.startswith("emailhub/adapters/sqlite/schema/") and name.endswith(".sql") for name in names)
    assert "emailhub/py.typed" in names


def test_the_wheel_carries_the_licence_the_command_and_no_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (commands,) = (archive.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    assert "emailhub = emailhub.cli:main" in commands
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert [name for name in names if not name.startswith(("emailhub/", "emailhub-"))] == []


def test_the_source_archive_can_be_built_and_tested_from(built: Path) -> None:
    (archive_path,) = built.glob("*.tar.gz")
    with tarfile.open(archive_path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert _tracked("emailhub", "templates", "static", "tests") <= names
    wanted = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "Makefile",
        "requirements-dev.lock",
        ".ci/setup",
        ".env.example",
    }
    assert wanted <= names
    assert {name for name in names if name.endswith((".db", ".env", ".pyc"))} == set()
