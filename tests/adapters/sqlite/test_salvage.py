"""A damaged outbox: all that can be read of it is in the new one, nothing is invented, and the old one is untouched."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from emailhub.adapters.sqlite.salvage import Saved, save
from emailhub.core.delivery import Reason, State
from emailhub.core.errors import WrongState
from tests.support.factories import DAY, NOW, opened, parcel
from tests.support.full_outbox import STATES, UNFINISHED, fill, full_file
from tests.support.old_outbox import add, old_file

PAGE = 4096
LATER = NOW + 5 * DAY
MESSAGES = 27
Break = Callable[[bytearray, int], None]


def _with_ones(raw: bytearray, page: int) -> None:
    raw[(page - 1) * PAGE : page * PAGE] = b"\xff" * PAGE


def _with_zeros(raw: bytearray, page: int) -> None:
    raw[(page - 1) * PAGE : page * PAGE] = bytes(PAGE)


def _with_noise(raw: bytearray, page: int) -> None:
    raw[(page - 1) * PAGE : page * PAGE] = random.Random(page).randbytes(PAGE)


BREAKS: tuple[Break, ...] = (_with_ones, _with_zeros, _with_noise)


class Rescue(NamedTuple):
    """What came of a rescue: the numbers, and every row of the new file by table."""

    saved: Saved
    rows: dict[str, set[tuple[Any, ...]]]
    loose: dict[str, bytes]


def rescue(source: Path, target: Path) -> Rescue:
    """Save `source` to `target`, which is whole; `source` and its log are as before."""
    files = [path for path in (source, Path(f"{source}-wal")) if path.exists()]
    before = [path.read_bytes() for path in files]
    loose = target.with_suffix(".loose")
    saved = save(source, target, loose, LATER)
    assert [path.read_bytes() for path in files] == before
    with closing(sqlite3.connect(target)) as file:
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert file.execute("PRAGMA foreign_key_check").fetchall() == []
    return Rescue(saved, tables(target), {path.name: path.read_bytes() for path in loose.glob("*.eml")})


def tables(path: Path) -> dict[str, set[tuple[Any, ...]]]:
    """Every row of every table, but for the mark of a restored file."""
    with closing(sqlite3.connect(path)) as file:
        names = [row[0] for row in file.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = {name: set(file.execute(f"SELECT * FROM {name}")) for name in names}
    found["meta"] = {row for row in found["meta"] if row[0] not in ("restored", "proven")}
    return found


@pytest_asyncio.fixture(scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An outbox with everything in it; not to be changed."""
    path = tmp_path_factory.mktemp("whole") / "hub.db"
    await full_file(path)
    return path


def test_of_a_sound_file_everything_is_saved(whole: Path, tmp_path: Path) -> None:
    found = rescue(whole, tmp_path / "new.db")
    assert found.rows == tables(whole)
    assert (found.saved.messages, found.saved.told, found.saved.unfinished) == (MESSAGES, MESSAGES, 15)
    assert (found.saved.damaged, found.saved.bare, found.saved.loose, found.saved.dropped) == (0, 0, 0, {})


async def test_what_is_only_in_the_log_is_saved_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "source.db") as store:
        await fill(store, 2)
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"source.db{end}", tmp_path / f"hub.db{end}")
    assert (tmp_path / "hub.db-wal").stat().st_size > 10 * PAGE
    found = rescue(tmp_path / "hub.db", tmp_path / "new.db")
    assert found.rows == tables(tmp_path / "source.db")


async def test_a_log_that_breaks_off_is_read_up_to_its_last_whole_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "source.db") as store:
        await store.outbox.add([parcel("A")])
        for end in ("", "-wal"):
            shutil.copy(tmp_path / f"source.db{end}", tmp_path / f"hub.db{end}")
        await store.outbox.add([parcel("B", content=b"x" * 20_000)])
        torn = (tmp_path / "source.db-wal").read_bytes()[:-5000]
    (tmp_path / "hub.db-wal").write_bytes(torn)
    found = rescue(tmp_path / "hub.db", tmp_path / "new.db")
    assert found.saved.messages == found.saved.told == 1


def _check(found: Rescue, whole: dict[str, set[tuple[Any, ...]]]) -> None:
    """Whatever is in the new file was in the old one, and each content is there, or apart, or told as lost."""
    if not found.saved.rebuilt:
        assert found.rows["recipient"] <= whole["recipient"]
    for name in ("attempt", "event", "idempotency_key", "publication", "suppression"):
        assert found.rows[name] <= whole[name], f"{name}: a row that never was"
    ids = {row[1] for row in found.rows["message"]}
    assert ids <= {row[1] for row in whole["message"]}
    contents = {row[0]: row[1] for row in whole["body"]}
    bare = 0
    for seq, content, *_ in found.rows["body"]:
        assert content in (b"", contents[seq]), "a content that never was"
        bare += not content
    assert {row[0] for row in found.rows["message"]} == {row[0] for row in found.rows["body"]}
    assert found.saved.bare == bare
    assert found.saved.messages == len(found.rows["message"])


def broken(whole: Path, folder: Path, pages: Iterable[int], how: Break) -> Path:
    """A copy of the outbox with these pages broken."""
    raw = bytearray(whole.read_bytes())
    for page in pages:
        how(raw, page)
    path = folder / "broken.db"
    path.write_bytes(raw)
    return path


def _each_page(whole: Path, folder: Path, every: int, hows: Iterable[Break]) -> None:
    before = tables(whole)
    for how in hows:
        for page in range(1, whole.stat().st_size // PAGE + 1, every):
            target = folder / f"{page}-{how.__name__}.db"
            found = rescue(broken(whole, folder, [page], how), target)
            _check(found, before)
            assert found.saved.messages + found.saved.loose >= MESSAGES, f"page {page}: {found.saved}"
            for end in ("", "-wal", "-shm"):
                Path(f"{target}{end}").unlink(missing_ok=True)
            shutil.rmtree(target.with_suffix(".loose"), ignore_errors=True)


def test_whichever_page_is_damaged_the_rest_is_saved(whole: Path, tmp_path: Path) -> None:
    _each_page(whole, tmp_path, 17, (_with_ones, _with_noise))


@pytest.mark.nightly
def test_whichever_page_is_damaged_in_whatever_way_the_rest_is_saved(whole: Path, tmp_path: Path) -> None:
    _each_page(whole, tmp_path, 1, BREAKS)


def test_without_its_first_page_everything_is_saved(whole: Path, tmp_path: Path) -> None:
    found = rescue(broken(whole, tmp_path, [1], _with_noise), tmp_path / "new.db")
    assert found.rows == tables(whole)


def test_a_file_that_was_cut_short_gives_what_is_before_the_cut(whole: Path, tmp_path: Path) -> None:
    raw = whole.read_bytes()
    (tmp_path / "hub.db").write_bytes(raw[: len(raw) * 2 // 3 + 77])
    found = rescue(tmp_path / "hub.db", tmp_path / "new.db")
    _check(found, tables(whole))
    assert found.saved.messages


def test_of_what_is_no_database_nothing_is_saved_and_nothing_invented(tmp_path: Path) -> None:
    (tmp_path / "letter").write_bytes(b"this is a letter, not a database. " * 1000)
    found = rescue(tmp_path / "letter", tmp_path / "new.db")
    assert (found.saved.messages, found.saved.told, found.loose) == (0, None, {})


@pytest.mark.parametrize("table", ("message", "recipient"))
async def test_below_a_damaged_branch_every_row_is_found(tmp_path: Path, table: str) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel(f"M{number:03}") for number in range(300)])
        root = (await store.rows("SELECT rootpage FROM sqlite_schema WHERE name = ?", table))[0][0]
    found = rescue(broken(path, tmp_path, [root], _with_ones), tmp_path / "new.db")
    assert found.saved.damaged == 1
    assert found.rows[table] == tables(path)[table]
    assert found.saved.messages == 300


async def test_recipients_whose_rows_are_lost_are_known_from_an_index(whole: Path, tmp_path: Path) -> None:
    async with opened(whole) as store:
        root = (await store.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'recipient'"))[0][0]
    found = rescue(broken(whole, tmp_path, [root], _with_ones), tmp_path / "new.db")
    assert (found.saved.messages, found.saved.rebuilt, found.saved.unfinished) == (MESSAGES, MESSAGES, 15)
    kept = {row[0]: (row[1], row[2], row[4]) for row in tables(whole)["recipient"]}
    assert {row[0]: (row[1], row[2], row[4]) for row in found.rows["recipient"]} == kept
    async with opened(tmp_path / "new.db") as store:
        assert await store.verbs.hold_restored(LATER) == 15
        assert await store.claim(LATER + DAY) == []


async def test_contents_whose_message_is_lost_are_kept_as_files(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    contents = {f"{number}.eml": b"Subject: %d\r\n\r\nx\r\n" % number for number in range(1, 41)}
    async with opened(path) as store:
        await store.outbox.add([parcel(name, content=content) for name, content in contents.items()])
        pages = await store.rows("SELECT pageno FROM dbstat WHERE name = 'message'")
    found = rescue(broken(path, tmp_path, [page for (page,) in pages], _with_zeros), tmp_path / "new.db")
    assert found.saved.messages == 0
    assert found.saved.told == found.saved.loose == 40
    assert found.loose == contents
    lines = (tmp_path / "new.loose" / "recipients.tsv").read_text().splitlines()
    assert lines[1] == "1.eml\tto\t1.eml@example.com\tqueued\t"
    assert len(lines) == 41
    assert (tmp_path / "new.loose").stat().st_mode & 0o777 == 0o700
    assert {kept.stat().st_mode & 0o777 for kept in (tmp_path / "new.loose").iterdir()} == {0o600}


async def test_a_hub_that_opens_it_holds_what_is_unfinished_and_sends_nothing_by_itself(
    whole: Path, tmp_path: Path
) -> None:
    found = rescue(whole, tmp_path / "new.db")
    async with opened(tmp_path / "new.db") as store:
        assert await store.verbs.hold_restored(LATER) == found.saved.unfinished
        assert await store.verbs.expire(LATER) == ()
        assert await store.claim(LATER + DAY) == []
        assert await store.outbox.open_jobs() == []
        for state in STATES:
            (now,) = await store.states(f"{state}-0")
            assert now.value == ("held" if state in UNFINISHED else state)
        assert (await store.history.find("queued-1")).summary.reason is Reason.RESTORED
        by_state = (await store.history.totals()).by_state
        assert by_state[State.HELD] == found.saved.unfinished


async def test_a_message_whose_content_is_lost_cannot_be_sent_empty_and_can_be_canceled(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    async with opened(path) as store:
        await store.outbox.add([parcel("A", content=b"A" * 50_000)])
        (page,) = (await store.rows("SELECT max(pageno) FROM dbstat WHERE name = 'body' AND pagetype = 'overflow'"))[0]
    for how in BREAKS:
        found = rescue(broken(path, tmp_path, [page - 3], how), tmp_path / f"{how.__name__}.db")
        assert (found.saved.bare, found.saved.bare_unfinished) == (1, 1), how
    async with opened(tmp_path / f"{BREAKS[0].__name__}.db") as store:
        await store.verbs.hold_restored(LATER)
        retry: dict[str, Any] = {"relays": ["default"], "now": LATER, "expires_at": LATER + DAY}
        with pytest.raises(WrongState, match="content"):
            await store.verbs.retry("A", **retry, actor="op", note="")
        await store.verbs.cancel("A", now=LATER, actor="op", note="")
        assert await store.states("A") == [State.CANCELED]


async def test_an_outbox_of_the_first_version_is_saved_as_that_and_brought_up_to_date_when_it_is_opened(
    tmp_path: Path,
) -> None:
    with closing(old_file(tmp_path / "hub.db")) as connection:
        add(connection, "A", "hub@Example.org")
    found = rescue(tmp_path / "hub.db", tmp_path / "new.db")
    assert (found.saved.version, found.saved.unfinished) == (1, 1)
    async with opened(tmp_path / "new.db") as store:
        assert await store.verbs.hold_restored(LATER) == 1
        assert await store.rows("SELECT domain FROM message") == [("example.org",)]
