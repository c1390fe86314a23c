"""README's table of settings is the one the code has."""

from __future__ import annotations

import re
from pathlib import Path

from emailhub.settings import BEGIN, END, markdown

README = Path(__file__).parents[2] / "README.md"


def test_the_settings_in_the_readme_are_those_of_the_code() -> None:
    text = README.read_text(encoding="utf-8")
    match = re.search(f"{BEGIN}\n(.*?)\n{END}", text, re.DOTALL)
    assert match, f"README.md needs the lines {BEGIN} and {END} around the settings"
    assert match[1].strip() == markdown(), (
        "run `python -m emailhub.settings` and paste its output between the two lines"
    )


def test_no_heading_stands_over_two_tables() -> None:
    headings = re.findall(r"^\*\*(.*)\*\*$", markdown(), re.MULTILINE)
    assert len(headings) > 8
    assert len(set(headings)) == len(headings)
