"""Files that senders name by URL: fetched before anything is stored, once for each key, or refused by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from emailhub.core.errors import BatchRefused, FetchFailed, IdempotencyConflict, InvalidMessage, Refused
from emailhub.core.message import Attachment, Key, Submission
from emailhub.core.records import Origin, Receipt
from emailhub.engine import fetching
from emailhub.engine.intake import Item
from tests.engine.test_intake import Door, submission
from tests.support.factories import Store, opened

ORIGIN = Origin("http", "corr")
URL = "https://files.example.org/a.pdf"


class Web:
    """What can be fetched, by URL; `asked` keeps the URLs and the room there was."""

    def __init__(self, **files: bytes) -> None:
        self.files = files
        self.asked: list[tuple[str, int]] = []
        self.both = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()
        self.busy = 0

    async def fetch(self, url: str, most_bytes: int) -> bytes:
        self.asked.append((url, most_bytes))
        if len(self.asked) == 2:
            self.both.set()
        await self.open.wait()
        if self.busy:
            self.busy -= 1
            raise FetchFailed("the server answered 503", passing=True)
        name = url.rpartition("/")[2].removesuffix(".pdf")
        if name not in self.files:
            raise FetchFailed("the server answered 404")
        return self.files[name]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path / "hub.db") as found:
        yield found


def with_files(*paths: str, key: str | None = None, **given: object) -> Submission:
    files = [Attachment(filename=path.rpartition("/")[2], path=path) for path in paths]
    return submission(attachments=tuple(files), key=Key(key) if key else None, **given)


def door(store: Store, web: Web | None) -> Door:
    found = Door(store)
    found.intake.fetcher = web
    return found


async def files_of(store: Store, id: str) -> dict[str, bytes]:
    content = await store.history.content(id)
    assert content is not None
    parts = message_from_bytes(content, policy=default).iter_attachments()
    return {str(part.get_filename()): part.get_payload(decode=True) for part in parts}  # type: ignore[misc]


async def test_a_file_is_fetched_into_the_message(store: Store) -> None:
    web = Web(a=b"%PDF", b=b"B" * 100)
    given = with_files(URL, "https://files.example.org/b.pdf")
    receipt = await door(store, web).intake.accept(given, ORIGIN)
    assert await files_of(store, receipt.id) == {"a.pdf": b"%PDF", "b.pdf": b"B" * 100}
    assert [room for _, room in web.asked] == [3000, 2996]


async def test_without_the_setting_the_answer_says_which_it_is(store: Store) -> None:
    with pytest.raises(InvalidMessage, match=r"attachments\[0\].path: is a URL.*EMAILHUB_ATTACHMENT_URLS"):
        await door(store, None).intake.accept(with_files(URL), ORIGIN)
    assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_a_file_that_cannot_be_fetched_is_named_and_nothing_is_stored(store: Store) -> None:
    given = with_files(URL, "https://files.example.org/gone.pdf")
    with pytest.raises(InvalidMessage, match=r"attachments\[1\].path: cannot be fetched: the server answered 404"):
        await door(store, Web(a=b"x")).intake.accept(given, ORIGIN)
    assert await store.rows("SELECT count(*) FROM message") == [(0,)]


async def test_a_file_that_makes_the_message_too_large_is_named(store: Store) -> None:
    with pytest.raises(InvalidMessage, match=r"attachments\[0\].path: makes a message of .* the limit is 4000"):
        await door(store, Web(a=b"x" * 3000)).intake.accept(with_files(URL), ORIGIN)


async def test_the_files_of_a_message_have_a_time_together(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PATIENCE", 0.01)
    web = Web(a=b"x")
    web.open.clear()
    with pytest.raises(InvalidMessage, match=r"attachments\[0\].path: cannot be fetched: .* longer than 0.01 s"):
        await door(store, web).intake.accept(with_files(URL), ORIGIN)


async def test_the_same_request_gets_its_answer_though_the_file_is_gone_by_now(store: Store) -> None:
    web = Web(a=b"x")
    found = door(store, web)
    first = await found.intake.accept(with_files(URL, key="k-1"), ORIGIN)
    web.files.clear()
    assert await found.intake.accept(with_files(URL, key="k-1"), ORIGIN) == Receipt(first.id, replayed=True)
    items = [(with_files(URL, key="k-1"), ORIGIN, None), (submission(), ORIGIN, None)]
    again, fresh = await found.intake.accept_all(items)
    assert (again, fresh.replayed) == (Receipt(first.id, replayed=True), False)
    assert await found.intake.accept_all(items[:1]) == [Receipt(first.id, replayed=True)]
    with pytest.raises(IdempotencyConflict):
        await found.intake.accept(with_files(URL, key="k-1", subject="Other"), ORIGIN)
    with pytest.raises(BatchRefused):
        await found.intake.accept_all([(with_files(URL, key="k-1", subject="Other"), ORIGIN, None)])
    assert len(web.asked) == 1


async def test_messages_given_together_do_not_wait_for_each_others_files(store: Store) -> None:
    web = Web(a=b"x")
    web.open.clear()
    items = [(with_files(URL), ORIGIN, None), (with_files(URL), ORIGIN, None)]
    task = asyncio.create_task(door(store, web).intake.accept_many(items))
    await web.both.wait()
    web.open.set()
    answers = await task
    assert [type(answer) for answer in answers] == [Receipt, Receipt]


async def test_the_url_and_not_what_it_leads_to_is_what_the_sender_gave(store: Store) -> None:
    found = door(store, Web(a=b"x"))
    other = submission(attachments=(Attachment(filename="a.pdf", content=b"x"),), key=Key("k-1"))
    await found.intake.accept(other, ORIGIN)
    with pytest.raises(IdempotencyConflict):
        await found.intake.accept(with_files(URL, key="k-1"), ORIGIN)


@pytest.mark.parametrize(("busy", "asked", "taken"), ((0, 1, True), (1, 2, True), (2, 3, True), (3, 3, False)))
async def test_a_file_whose_server_is_busy_is_asked_for_three_times_before_the_message_is_refused(
    store: Store, monkeypatch: pytest.MonkeyPatch, busy: int, asked: int, taken: bool
) -> None:
    monkeypatch.setattr(fetching, "WAITS", (0.0, 0.0))
    web = Web(a=b"A")
    web.busy = busy
    (answer,) = await door(store, web).intake.accept_many([(with_files(URL), ORIGIN, None)])
    assert isinstance(answer, Receipt if taken else InvalidMessage)
    assert len(web.asked) == asked


async def test_a_file_that_is_not_there_is_asked_for_once(store: Store) -> None:
    web = Web()
    (answer,) = await door(store, web).intake.accept_many([(with_files(URL), ORIGIN, None)])
    assert isinstance(answer, InvalidMessage)
    assert len(web.asked) == 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All files together may have no more than one message, 4000 bytes."""
    monkeypatch.setattr(fetching, "MOST", 1)


def named(count: int) -> list[Item]:
    return [(with_files(f"https://files.example.org/{name}.pdf"), ORIGIN, None) for name in "abcdef"[:count]]


@pytest.mark.usefixtures("small")
async def test_the_files_of_a_batch_are_not_fetched_beyond_what_all_may_have_together(store: Store) -> None:
    web = Web(**dict.fromkeys("abcdef", b"x" * 1900))
    found = door(store, web)
    with pytest.raises(Refused, match=r"more than 0\.0038147 MiB: give fewer") as caught:
        await found.intake.accept_all(named(6))
    assert (caught.value.status, await store.rows("SELECT count(*) FROM message")) == (413, [(0,)])
    answers = await found.intake.accept_many(named(6))
    assert [type(answer) for answer in answers] == [Receipt, Receipt, Refused, Refused, Refused, Refused]
    assert len(await found.intake.accept_all(named(2))) == 2, "what is stored is not counted any more"


@pytest.mark.usefixtures("small")
async def test_while_the_files_of_others_take_all_the_room_a_message_is_for_later(store: Store) -> None:
    found = door(store, Web(a=b"x" * 1900))
    with found.intake._larder.shelf(4000) as others:
        others.put(3000)
        with pytest.raises(Refused, match="are being fetched already") as caught:
            await found.intake.accept(with_files(URL), ORIGIN)
        assert (caught.value.status, caught.value.name) == (503, "service_unavailable")
    assert await found.intake.accept(with_files(URL), ORIGIN)
