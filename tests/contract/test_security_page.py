"""The page about security names tests that there are, and every file of attacks is named there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", PAGE)))


def names_in(path: Path) -> set[str]:
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    }


@pytest.mark.parametrize(("file", "test"), NAMED, ids=lambda name: name or "all")
def test_a_test_the_page_names_is_there(file: str, test: str) -> None:
    found = names_in(ROOT / file)
    assert test in found if test else found


def test_every_attack_is_on_the_page() -> None:
    attacks = {f"tests/security/{path.name}" for path in (ROOT / "tests" / "security").glob("test_*.py")}
    assert attacks <= {file for file, _ in NAMED}
    assert len(NAMED) > 40


def test_its_links_lead_somewhere() -> None:
    for page in (ROOT / "docs" / "security.md", ROOT / "SECURITY.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).is_file(), (page.name, target)


def test_the_commands_it_names_are_there() -> None:
    made = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", PAGE)) <= made
