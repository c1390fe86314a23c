"""`emailhub doctor`: what it looks at, and what it saves of a damaged outbox."""

# ruff: noqa: ASYNC240 - the command itself blocks, as it does in a shell

from __future__ import annotations

import json
from pathlib import Path

import pytest

from emailhub.adapters.sqlite import open_database
from emailhub.cli import exits
from tests.support.factories import opened
from tests.support.fake_hub import Run
from tests.support.full_outbox import full_file


@pytest.fixture
async def damaged(tmp_path: Path) -> Path:
    """An outbox of 27 messages with a damaged branch of one of its tables."""
    path = tmp_path / "emailhub.db"
    await full_file(path)
    async with opened(path) as store:
        page = (await store.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'message'"))[0][0]
    raw = bytearray(path.read_bytes())
    raw[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(raw)
    return path


async def test_a_sound_outbox_is_told_as_that(run: Run, tmp_path: Path) -> None:
    await full_file(tmp_path / "emailhub.db")
    result = run("doctor")
    assert result.exit_code == 0, result.output
    assert "its pages are sound" in result.stdout


async def test_a_damaged_outbox_is_told_with_the_way_out(run: Run, damaged: Path) -> None:
    before = damaged.read_bytes()
    result = run("doctor")
    assert result.exit_code == exits.FAILED
    assert "`emailhub doctor --recover`" in result.stdout
    assert damaged.read_bytes() == before


async def test_what_was_saved_and_what_was_lost_is_told_in_numbers(run: Run, damaged: Path, tmp_path: Path) -> None:
    before = damaged.read_bytes()
    result = run("doctor", "--recover", "--to", "new.db")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("new.db  ")
    assert lines[1] == "  saved: 27 of 27 messages, 15 of them unfinished"
    assert "3 suppression" in lines[2]
    assert lines[3].startswith("  lost: 1 of ")
    assert "EMAILHUB_DATABASE=new.db" in lines[-1]
    assert damaged.read_bytes() == before
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []
    assert run("doctor", "--database", "new.db").exit_code == 0


async def test_a_script_gets_the_same_numbers(run: Run, damaged: Path) -> None:
    result = run("doctor", "--recover", "--json")
    found = json.loads(result.stdout)
    assert found["told"] == 27
    assert found["damaged"] == 1
    assert found["rows"]["message"] == found["messages"]
    assert Path(found["target"]).name.startswith("emailhub.recovered-")


async def test_while_a_hub_has_the_file_nothing_is_read(run: Run, tmp_path: Path) -> None:
    database = await open_database(tmp_path / "emailhub.db", on_events=lambda _: None)
    try:
        result = run("doctor", "--recover")
    finally:
        await database.close()
    assert result.exit_code == exits.BUSY
    assert "stop it first" in result.stderr


async def test_nothing_is_overwritten(run: Run, damaged: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.db").write_text("mine")
    result = run("doctor", "--recover", "--to", "mine.db")
    assert result.exit_code == exits.FAILED
    assert "nothing is overwritten" in result.stderr
    assert (tmp_path / "mine.db").read_text() == "mine"


def test_without_an_outbox_it_says_how_to_name_one(run: Run) -> None:
    result = run("doctor", "--recover")
    assert result.exit_code == exits.FAILED
    assert "--database" in result.stderr


async def test_a_target_that_cannot_be_written_leaves_nothing(run: Run, damaged: Path, tmp_path: Path) -> None:
    result = run("doctor", "--recover", "--to", "absent/new.db")
    assert result.exit_code == exits.FAILED
    assert "cannot be written" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["emailhub.db", "emailhub.db.lock"]


def test_to_alone_is_wrong_usage(run: Run) -> None:
    assert run("doctor", "--to", "x.db").exit_code == exits.USAGE
