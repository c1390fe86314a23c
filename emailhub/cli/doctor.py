"""What `emailhub check` looks at: one finding a line, each with what to do when it is not well."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from emailhub.adapters.sqlite.database import migrations
from emailhub.cli.hub import Hub, Unreachable
from emailhub.settings import Loaded, Settings, units

_CHECK_SECONDS = 30.0
_STEPS_BETWEEN_LOOKS = 100_000
_WAY_OUT = "restore a backup, or save what can be read with `emailhub doctor --recover`"


class Mark(StrEnum):
    """How a finding is to be taken: all is well, look at it, it does not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(NamedTuple):
    """One line of the check: `what` was looked at, the `detail` seen, and the next `step` unless all is well."""

    mark: Mark
    what: str
    detail: str
    step: str = ""


def check_settings(loaded: Loaded) -> Iterator[Finding]:
    """Where settings came from, and what about them deserves a look."""
    used = sorted({source.partition(",")[0] for source in loaded.sources.values()} - {"default"})
    yield Finding(Mark.OK, "settings", f"complete; from {', '.join(used) or 'defaults only'}")
    for warning in loaded.warnings:
        yield Finding(Mark.WARN, "settings", warning)


def check_outbox(settings: Settings) -> Iterator[Finding]:
    """The database file: there, ours, sound, and with room to grow."""
    path = settings.database
    yield _disk(path, settings.disk_reserve)
    if not path.exists():
        yield _absent(path)
        return
    yield _lock(path)
    try:
        with _reader(path) as connection:
            yield from _contents(connection, path)
    except sqlite3.Error as error:
        yield _unread(error, path)


def check_hub(hub: Hub) -> Iterator[Finding]:
    """The HTTP endpoints of a running hub; that none runs is only worth a warning."""
    try:
        status, answer = hub.status_of("health")
    except Unreachable as error:
        yield Finding(Mark.WARN, "hub", f"not running at {hub.url}: {error.reason}", "start it with `emailhub serve`")
        return
    if status != 200 or not isinstance(answer, dict) or answer.get("service") != "email_service":
        step = "stop it, or choose another EMAILHUB_PORT"
        yield Finding(Mark.FAIL, "hub", f"something else answers at {hub.url} (HTTP {status})", step)
        return
    yield Finding(Mark.OK, "hub", f"running at {hub.url}")
    yield _ready(hub)
    yield _key(hub)


def _disk(path: Path, reserve: int) -> Finding:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    free = shutil.disk_usage(folder).free
    detail = f"{_megabytes(free)} free on the disk of {path}"
    if free < reserve:
        step = f"free at least {units.size_text(reserve)} (EMAILHUB_DISK_RESERVE): below that nothing is accepted"
        return Finding(Mark.FAIL, "disk", detail, step)
    return Finding(Mark.OK, "disk", detail)


def _absent(path: Path) -> Finding:
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        step = "make it writable, or point EMAILHUB_DATABASE elsewhere"
        return Finding(Mark.FAIL, "outbox", f"{path} does not exist and {folder} is not writable", step)
    return Finding(Mark.OK, "outbox", f"{path} does not exist yet; `emailhub serve` makes it")


def _lock(path: Path) -> Finding:
    lock = Path(f"{path}.lock")
    try:
        with lock.open("rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return Finding(Mark.OK, "outbox", "no hub has it open")
    except BlockingIOError:
        return Finding(Mark.OK, "outbox", "a hub has it open")
    except OSError as error:
        step = f"let this user read and write {lock}"
        return Finding(Mark.FAIL, "outbox", f"its lock cannot be opened: {error.strerror}", step)
    return Finding(Mark.OK, "outbox", "no hub has it open")


@contextmanager
def _reader(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write and is interrupted when it is used for too long."""
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5)
    deadline = time.monotonic() + _CHECK_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS_BETWEEN_LOOKS)
    try:
        yield connection
    finally:
        connection.close()


def _contents(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    version, newest = connection.execute("PRAGMA user_version").fetchone()[0], migrations()[-1][0]
    if version > newest:
        detail = f"{path} was written by a newer emailhub (schema {version}, this one knows {newest})"
        yield Finding(Mark.FAIL, "outbox", detail, "run the newer version")
        return
    if version == 0:
        yield _without_schema(connection, path)
        return
    waiting = connection.execute("SELECT count(*) FROM message WHERE final_at IS NULL").fetchone()[0]
    yield Finding(Mark.OK, "outbox", f"{path}, schema {version}, {_megabytes(_size(path))}, {waiting} waiting")
    yield _soundness(connection)


def _size(path: Path) -> int:
    """Of the file and of what SQLite keeps beside it until the next checkpoint."""
    files = (path, Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _unread(error: sqlite3.Error, path: Path) -> Finding:
    if "interrupted" in str(error):
        step = "run `PRAGMA quick_check` on a backup when there is time"
        return Finding(Mark.WARN, "outbox", f"too large to check in {_CHECK_SECONDS:g} s", step)
    return Finding(Mark.FAIL, "outbox", f"{path} cannot be read: {error}", f"{_WAY_OUT}, or name another file")


def _without_schema(connection: sqlite3.Connection, path: Path) -> Finding:
    if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        detail = f"{path} is a database, but not emailhub's"
        return Finding(Mark.FAIL, "outbox", detail, "point EMAILHUB_DATABASE at another file")
    return Finding(Mark.OK, "outbox", f"{path} is empty; `emailhub serve` fills it")


def _soundness(connection: sqlite3.Connection) -> Finding:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        return Finding(Mark.FAIL, "outbox", f"damaged: {found}", f"stop the hub; {_WAY_OUT}")
    return Finding(Mark.OK, "outbox", "its pages are sound")


def _ready(hub: Hub) -> Finding:
    status, answer = hub.status_of("health", "ready")
    state = answer.get("status") if isinstance(answer, dict) else None
    if status != 200:
        return Finding(Mark.FAIL, "hub", f"not ready (HTTP {status}, {state})", "look at the dashboard or its log")
    if state in ("degraded", "warn"):
        return Finding(Mark.WARN, "hub", "ready, but degraded", "look at the dashboard or its log")
    return Finding(Mark.OK, "hub", "ready")


def _key(hub: Hub) -> Finding:
    status, _ = hub.status_of("breakers")
    if status == 200:
        return Finding(Mark.OK, "hub", "the API lets this command in")
    step = "set EMAILHUB_API_KEY to one of the hub's EMAILHUB_API_KEYS"
    return Finding(Mark.FAIL, "hub", f"the API does not let this command in (HTTP {status})", step)


def _megabytes(count: int) -> str:
    return f"{count / 2**20:,.0f} MiB" if count >= 2**20 else f"{count / 1024:,.0f} KiB"
