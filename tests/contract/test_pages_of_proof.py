"""The pages about reliability and security name tests that there are, and leave no file of attacks out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {
    "security.md": ("tests/security",),
    "reliability.md": ("tests/crash", "tests/soak", "tests/fault_matrix", "tests/peers"),
}
"""Each page, and the folders of attacks that it has to know all of."""
NAME = re.compile(r"(tests/[\w/]+(?:\.py)?)(?:::(\w+))?")


def names_on(page: str) -> list[tuple[str, str]]:
    """Each file or folder a page names, with the test it names in it, or ""."""
    found = NAME.findall((DOCS / page).read_text(encoding="utf-8"))
    return sorted({(file.rstrip("/"), test) for file, test in found})


def all_in(path: Path) -> set[str]:
    """The names of the tests in a file or folder."""
    files = path.rglob("test_*.py") if path.is_dir() else (path,)
    return {name for file in files for name in _names(ast.parse(file.read_text(encoding="utf-8")))}


def _names(tree: ast.Module) -> set[str]:
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    # A machine of random steps is a test by being given a name.
    machines = {node.targets[0].id for node in tree.body if _is_machine(node)}  # type: ignore[attr-defined]
    return {name for name in functions if name.startswith("test_")} | machines


def _is_machine(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute) and node.value.attr == "TestCase"


@pytest.mark.parametrize(
    ("page", "file", "test"), [(page, *name) for page in PAGES for name in names_on(page)], ids=lambda name: name or "*"
)
def test_a_test_the_page_names_is_there(page: str, file: str, test: str) -> None:
    found = all_in(ROOT / file)
    assert test in found if test else found


@pytest.mark.parametrize("page", PAGES)
def test_every_attack_is_on_the_page(page: str) -> None:
    named = {file for file, _ in names_on(page)}
    for folder in PAGES[page]:
        attacks = {f"{folder}/{path.name}" for path in (ROOT / folder).glob("test_*.py")}
        assert attacks
        assert folder in named or attacks <= named, attacks - named
    assert len(named) > 25


@pytest.mark.parametrize("page", (*(DOCS / page for page in PAGES), ROOT / "SECURITY.md"), ids=lambda page: page.name)
def test_its_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).is_file(), target


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_it_names_are_there(page: str) -> None:
    made = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)", (DOCS / page).read_text(encoding="utf-8"))) <= made
