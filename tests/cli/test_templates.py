"""`emailhub templates`: what is wrong with a directory of templates, and what one of them makes, without a hub."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from emailhub.adapters.renderer import Bounds, ProcessRenderer
from emailhub.core.template import Template
from tests.support.fake_hub import Run

TOML = """
description = "After signing up"
[variables.name]
sample = "Ada"
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    found = tmp_path / "templates"
    for path, content in {
        "welcome/subject.txt": "Welcome, {{ name }}",
        "welcome/body.html": "<p>Hello {{ name }}</p>",
        "welcome/template.toml": TOML,
        "welcome.fr/subject.txt": "Bienvenue, {{ name }}",
        "welcome.fr/body.txt": "Bonjour {{ name }}",
    }.items():
        (found / path).parent.mkdir(parents=True, exist_ok=True)
        (found / path).write_text(content)
    return found


def test_good_templates_are_listed_and_bad_ones_are_told_with_their_reason(run: Run, root: Path) -> None:
    answer = run("templates", EMAILHUB_TEMPLATES=str(root))
    assert (answer.exit_code, answer.output.splitlines()) == (0, ["ok   welcome", "ok   welcome.fr"])
    (root / "welcome.fr/body.txt").write_text("Bonjour {{ nom }}")
    (root / "bill").mkdir()
    (root / "bill/body.txt").write_text("{% if x %}")
    answer = run("templates", "--directory", str(root))
    assert answer.exit_code == 1
    assert "FAIL welcome.fr: with its samples: template.variables.nom: is not given" in answer.output
    assert "FAIL bill: body.txt line 1: " in answer.output
    assert "ok   welcome\n" in answer.output
    listed = json.loads(run("templates", "--json", "--directory", str(root)).stdout)
    assert [one["template"] for one in listed] == ["welcome", "welcome.fr", "bill"]
    assert listed[0] == {
        "template": "welcome",
        "problem": "",
        "description": "After signing up",
        "variables": {"name": "string"},
    }


def test_one_is_shown_with_its_samples_or_with_given_values(run: Run, root: Path) -> None:
    answer = run("templates", "welcome", "--directory", str(root))
    assert answer.exit_code == 0
    assert answer.output == "Subject: Welcome, Ada\n\n--- text ---\nHello Ada\n\n--- html ---\n<p>Hello Ada</p>\n"
    asked = ("templates", "welcome", "--directory", str(root), "--language", "fr-CA", "--json")
    made = json.loads(run(*asked, "--variables", '{"name": "Bob"}').stdout)
    assert made == {"template": "welcome.fr", "subject": "Bienvenue, Bob", "html": None, "text": "Bonjour Bob"}


def test_what_cannot_be_shown_is_told(run: Run, root: Path) -> None:
    assert "there is no usable template 'gone'" in run("templates", "gone", "--directory", str(root)).output
    assert run("templates", "welcome").exit_code == 78
    answer = run("templates", "welcome", "--directory", str(root), "--variables", "{")
    assert (answer.exit_code, "it is no JSON" in answer.output) == (2, True)
    answer = run("templates", "welcome", "--directory", str(root), "--variables", '{"name": 1}')
    assert (answer.exit_code, "must be a string" in answer.output) == (1, True)


async def test_the_command_line_can_be_the_renderer_for_a_program_in_one_file() -> None:
    own = ProcessRenderer(Bounds(), command=(sys.executable, "-m", "emailhub", "renderer"))
    assert (await own.render(Template(id="t", text="{{ 1 + 1 }}"), {})).text == "2"
    await own.close()


def test_nobody_is_offered_to_be_the_renderer(run: Run) -> None:
    assert "renderer" not in run("--help").output
