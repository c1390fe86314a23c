"""What README lists is what the code has: settings, commands, exit codes."""

from __future__ import annotations

import re
from pathlib import Path

import click

from emailhub.cli import cli
from emailhub.cli.exits import EPILOG
from emailhub.core import parse, shapes
from emailhub.core.message import Limits
from emailhub.settings import BEGIN, END, markdown

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
COMMAND_LINE = README.split("\n## Command line\n")[1].split("\n## ")[0]


def test_the_settings_in_the_readme_are_those_of_the_code() -> None:
    match = re.search(f"{BEGIN}\n(.*?)\n{END}", README, re.DOTALL)
    assert match, f"README.md needs the lines {BEGIN} and {END} around the settings"
    assert match[1].strip() == markdown(), (
        "run `python -m emailhub.settings` and paste its output between the two lines"
    )


def test_the_readme_names_every_field_of_a_message() -> None:
    (row,) = re.findall(r"^\| `POST /emails` \| (.*) \|$", README, re.MULTILINE)
    named = {name.lower().replace("-", "_") for name in re.findall(r"`([A-Za-z_-]+)`", row)}
    assert named == set(parse.FIELDS)


def test_the_body_for_the_queue_in_the_readme_is_a_message() -> None:
    (body,) = re.findall(r"^```json\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    request = shapes.read(body.encode(), shapes.Properties())
    assert isinstance(request, shapes.Request)
    assert parse.submission(request.fields, Limits(), now=0.0, key=request.key).html == "<p>It works.</p>"


def test_no_heading_stands_over_two_tables() -> None:
    headings = re.findall(r"^\*\*(.*)\*\*$", markdown(), re.MULTILINE)
    assert len(headings) > 8
    assert len(set(headings)) == len(headings)


def _listed() -> dict[str, set[str]]:
    """The commands of README's block, each with those under it: `keys create|list` has two."""
    lines = COMMAND_LINE.split("```")[1].replace("emailhub ", "").strip().splitlines()
    typed = [words.split(" ") for line in lines for words in line.split(" | ") if not words.startswith("--")]
    return {words[0]: set(words[1].split("|")) if "|" in " ".join(words[1:2]) else set() for words in typed}


def test_the_commands_in_the_readme_are_those_there_are() -> None:
    assert isinstance(cli, click.Group)
    there = {name: command for name, command in cli.commands.items() if not command.hidden}
    listed = _listed()
    assert listed.keys() == there.keys()
    for name, command in there.items():
        if isinstance(command, click.Group):
            assert listed[name] == set(command.commands), name


def test_the_exit_codes_in_the_readme_are_those_of_the_help() -> None:
    assert EPILOG in COMMAND_LINE.replace("\n", " ")
