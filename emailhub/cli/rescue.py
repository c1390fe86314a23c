"""A damaged outbox to a new one: where it goes, that nobody else works on it, and what is told of it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from emailhub.adapters.sqlite.salvage import Saved, save
from emailhub.cli import exits
from emailhub.cli.copy import to_disk


class Rescued(NamedTuple):
    """Where the new outbox is, its size in bytes, the folder of loose contents, and what was saved."""

    path: Path
    size: int
    loose: Path
    saved: Saved

    def lines(self) -> Iterator[str]:
        """What was saved and what was lost, a sentence each."""
        saved = self.saved
        of = f" of {saved.told:,}" if saved.told is not None else ""
        yield f"saved: {saved.messages:,}{of} messages, {saved.unfinished:,} of them unfinished"
        others = [f"{count:,} {name}" for name, count in sorted(saved.rows.items()) if count and name in _SHOWN]
        yield f"saved: {', '.join(others) or 'nothing else'}"
        lost = ", ".join(f"{count:,} {name}" for name, count in sorted(saved.dropped.items())) or "none"
        yield f"lost: {saved.damaged:,} of {saved.pages:,} pages; rows that are there and broken: {lost}"
        if saved.rebuilt:
            yield f"rebuilt: {saved.rebuilt:,} recipients from an index, in the state that their message shows"
        if saved.bare:
            yield f"lost: the content of {saved.bare:,} messages; {saved.bare_unfinished:,} of them can never be sent"
        if saved.loose:
            yield f"apart: {saved.loose:,} contents in {self.loose}, damaged or of messages that are lost"

    def next_step(self) -> str:
        return (
            f"start the hub with EMAILHUB_DATABASE={self.path}; what is unfinished is held there, retry it or cancel it"
        )

    def document(self) -> dict[str, Any]:
        """All of it, for scripts."""
        found: dict[str, Any] = msgspec.to_builtins(self.saved)
        loose = str(self.loose) if self.saved.loose else None
        return {"target": str(self.path), "bytes": self.size, "loose_folder": loose} | found


_SHOWN = ("recipient", "attempt", "event", "idempotency_key", "publication", "suppression", "template")


def rescue(source: Path, to: Path | None, now: float) -> Rescued:
    """Save what can be read of the outbox at `source` to `to`, a new file."""
    if not source.is_file():
        step = "name it with --database or EMAILHUB_DATABASE"
        raise exits.Stop(exits.FAILED, f"there is no outbox at {source}", step)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    path = to or source.with_name(f"{source.stem}.recovered-{stamp}.db")
    loose = path.with_name(f"{path.name}.loose")
    if path.exists() or loose.exists():
        there = path if path.exists() else loose
        raise exits.Stop(exits.FAILED, f"{there} exists already: nothing is overwritten", "name a new file with --to")
    with _alone(source):
        return _rescue(source, path, loose, now)


def _rescue(source: Path, path: Path, loose: Path, now: float) -> Rescued:
    # Under another name until it is whole, as a backup is made.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        saved = save(source, partial, loose, now)
        to_disk(partial)
        partial.rename(path)
        to_disk(path.parent)
    except BaseException as error:
        shutil.rmtree(loose, ignore_errors=True)
        if isinstance(error, OSError | sqlite3.Error):
            text = f"{path} cannot be written: {getattr(error, 'strerror', None) or error}"
            raise exits.Stop(exits.FAILED, text, "name a new file on a disk with room for it") from error
        raise
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{partial}{end}").unlink(missing_ok=True)
    return Rescued(path, path.stat().st_size, loose, saved)


@contextlib.contextmanager
def _alone(source: Path) -> Iterator[None]:
    """While a hub works on the file its pages change under whoever reads them."""
    lock = Path(f"{source}.lock")
    with lock.open("rb") if lock.exists() else contextlib.nullcontext() as held:
        try:
            if held is not None:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise exits.Stop(exits.BUSY, f"a hub has {source} open", "stop it first") from None
        yield
