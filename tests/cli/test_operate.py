"""`emailhub serve`, `health`, `config`, `backup`, and how the command starts and ends."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emailhub import __version__, settings
from emailhub.adapters.sqlite import open_database
from tests.support.fake_hub import FakeHub, Run

CANARY = "c4nary-v4lue-of-length"
HEAVY = ("litestar", "faststream", "aio_pika", "pydantic", "uvicorn", "aiosmtplib", "httpx", "aiosqlite", "jinja2")


def test_version_is_the_one_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"emailhub {__version__}\n"


@pytest.mark.parametrize(
    "command",
    (
        (),
        ("serve",),
        ("check",),
        ("send",),
        ("status",),
        ("breaker",),
        ("health",),
        ("config",),
        ("backup",),
        ("doctor",),
    ),
)
def test_help_tells_what_the_command_does(run: Run, command: tuple[str, ...]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert "Usage: emailhub" in result.stdout


def test_help_documents_the_exit_codes(run: Run) -> None:
    text = " ".join(run("--help").stdout.split())
    assert "0 done, 1 failed, 2 wrong usage, 69 the hub cannot be reached, 70 a part of the hub died" in text
    assert (
        "75 the database is held by another process or its disk is full, 78 the settings or the database do not work"
        in text
    )


@pytest.mark.parametrize("arguments", (("--version",), ("health",), ("config",), ("send", "--help")))
def test_quick_commands_load_nothing_heavy(arguments: tuple[str, ...], tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from emailhub.cli import main\n"
        f"sys.argv[1:] = {list(arguments)!r}\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print(*set({HEAVY!r}) & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == ""


# serve


def test_serve_runs_the_hub_with_the_flags_and_ends_with_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[settings.Loaded] = []

    def serve(loaded: settings.Loaded, read: Callable[[], settings.Loaded]) -> int:
        assert read() == loaded
        seen.append(loaded)
        return 75

    monkeypatch.setitem(sys.modules, "emailhub.serving", SimpleNamespace(serve=serve))
    result = run("serve", "--port", "9001", "--database", "x.db", "--log-level", "debug", EMAILHUB_PORT="9002")
    assert result.exit_code == 75, result.output
    (loaded,) = seen
    assert (loaded.settings.port, loaded.settings.database, loaded.settings.log_level) == (9001, Path("x.db"), "debug")
    assert loaded.sources["EMAILHUB_PORT"] == "flag --port"


def test_serve_does_not_start_with_wrong_settings_and_tells_all_of_them(run: Run) -> None:
    result = run("serve", "--port", "none", EMAILHUB_PROT="1", EMAILHUB_HOST="0.0.0.0")
    assert result.exit_code == 78
    assert result.stdout == ""
    for words in ("3 settings need your attention", "flag --port", "Did you mean EMAILHUB_PORT?", "EMAILHUB_API_KEYS"):
        assert words in result.stderr
    assert "next:" in result.stderr


def test_files_that_were_named_must_exist(run: Run) -> None:
    assert run("config", "--env-file", "gone.env").exit_code == 2
    assert run("config", "--config", "gone.toml").exit_code == 2


# health


def test_health_is_well_when_the_hub_says_so(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/health/live"] = {"status": "ok"}
    result = run("health", "--url", hub.url)
    assert (result.exit_code, result.stdout) == (0, "ok\n")


def test_health_finds_the_hub_by_host_and_port(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/health/live"] = {"status": "ok"}
    port = hub.url.rpartition(":")[2]
    assert run("health", EMAILHUB_HOST="0.0.0.0", EMAILHUB_PORT=port, EMAILHUB_AUTH="none").exit_code == 0


def test_health_is_not_well_when_the_hub_is_gone_or_not_ready(run: Run, hub: FakeHub, nowhere: str) -> None:
    hub.answers["GET", "/health/ready"] = (503, {"status": "unready"})
    assert run("health", "--url", nowhere).exit_code == 1
    result = run("health", "--ready", "--url", hub.url)
    assert result.exit_code == 1
    assert "HTTP 503" in result.stderr
    assert "unready" in result.stderr


# config


def test_config_shows_values_with_their_sources_and_no_secret(run: Run, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"SMTP_HOST=smtp.example.com\nSMTP_USER=hub@example.com\nSMTP_PASS={CANARY}\n")
    (tmp_path / "emailhub.toml").write_text("port = 9000\n")
    environ = {"EMAILHUB_API_KEYS": CANARY, "RABBITMQ_URL": f"amqp://hub:{CANARY}@rabbit/"}
    result = run("config", **environ)
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split(None, 1)[1] for line in result.stdout.splitlines() if line.strip()}
    assert rows["EMAILHUB_PORT"].split() == ["9000", "file", "emailhub.toml"]
    assert rows["SMTP_HOST"].split() == ["smtp.example.com", ".env"]
    assert rows["RABBITMQ_URL"].split() == ["amqp://hub:***@rabbit/", "environment"]
    assert "Mail goes to smtp.example.com:587 (TLS: starttls), from hub@example.com" in result.stdout
    assert CANARY not in result.output
    as_json = run("config", "--json", **environ)
    assert CANARY not in as_json.output
    assert {
        "name": "EMAILHUB_PORT",
        "value": "9000",
        "source": "file emailhub.toml",
        "is_default": False,
    } in json.loads(as_json.stdout)


def test_config_says_that_mail_is_captured_and_what_is_odd(run: Run) -> None:
    result = run("config", REDIS_URL="redis://redis/0")
    assert "Mail is captured" in result.stdout
    assert "warning: REDIS_URL: set and unused" in result.stderr


def test_config_prints_the_table_of_the_readme_even_when_settings_are_wrong(run: Run) -> None:
    assert run("config", "--markdown", EMAILHUB_PORT="x").stdout == settings.markdown() + "\n"


# backup


async def _an_outbox(path: Path) -> None:
    database = await open_database(path, on_events=lambda _: None)
    await database.close()


def half_done(folder: Path) -> list[Path]:
    return list(folder.rglob("*partial*"))


async def test_a_backup_is_a_whole_private_copy_marked_as_restored(run: Run, tmp_path: Path) -> None:
    await _an_outbox(tmp_path / "emailhub.db")
    result = run("backup", "copy.db")
    assert result.exit_code == 0, result.output
    copy = tmp_path / "copy.db"
    assert result.stdout.startswith("copy.db  ")
    assert copy.stat().st_mode & 0o777 == 0o600
    connection = sqlite3.connect(copy)
    try:
        assert connection.execute("SELECT count(*) FROM meta WHERE key = 'restored'").fetchone() == (1,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
    assert half_done(tmp_path) == []


async def test_a_backup_works_while_a_hub_has_the_file(run: Run, tmp_path: Path) -> None:
    database = await open_database(tmp_path / "emailhub.db", on_events=lambda _: None)
    try:
        (tmp_path / "backups").mkdir()
        document: dict[str, Any] = json.loads(run("backup", "backups", "--json").stdout)
        (copy,) = (tmp_path / "backups").iterdir()
        assert copy.name == Path(document["target"]).name
        assert copy.name.startswith("emailhub-2")
        assert document["bytes"] == copy.stat().st_size
    finally:
        await database.close()


async def test_a_backup_works_in_a_folder_whose_name_means_something_in_a_url(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "a?b#c%20d"
    folder.mkdir()
    await _an_outbox(folder / "hub.db")
    result = run("backup", str(folder), "--database", str(folder / "hub.db"))
    assert result.exit_code == 0, result.output


async def test_a_backup_never_overwrites_and_leaves_nothing_half_done(run: Run, tmp_path: Path) -> None:
    await _an_outbox(tmp_path / "emailhub.db")
    (tmp_path / "there.db").write_text("precious")
    result = run("backup", "there.db")
    assert result.exit_code == 1
    assert "exists already" in result.stderr
    assert (tmp_path / "there.db").read_text() == "precious"
    assert run("backup", "no/such/folder/x.db").exit_code == 1
    assert half_done(tmp_path) == []


def test_a_backup_of_nothing_or_of_something_else_fails_with_words(run: Run, tmp_path: Path) -> None:
    result = run("backup", "x.db")
    assert result.exit_code == 1
    assert "there is no outbox at emailhub.db" in result.stderr
    (tmp_path / "emailhub.db").write_bytes(b"not a database, certainly not one" * 100)
    result = run("backup", "x.db")
    assert result.exit_code == 1
    assert "not a database" in result.stderr
    assert not (tmp_path / "x.db").exists()


async def test_a_backup_of_a_locked_file_is_exit_75(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await _an_outbox(tmp_path / "emailhub.db")

    def busy(*_: object) -> int:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr("emailhub.adapters.sqlite.upkeep.backup", busy)
    assert run("backup", "x.db").exit_code == 75
