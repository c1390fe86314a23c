"""Bodies that could not be read are kept beyond their publication, settled once, and erased in time."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.adapters.sqlite import letters
from emailhub.adapters.sqlite.letters import SqliteLetters
from emailhub.core.errors import LetterSettled, NotFound
from emailhub.core.letters import MESSAGE_ID, REQUEST_ID, ROUTING_KEY, LetterStatus
from emailhub.core.records import DeadLetter
from tests.support.factories import DAY, NOW, opened

OPEN, RESENT, DISCARDED = LetterStatus
HEADERS = {"x-tenant": "a", REQUEST_ID: "r-1", MESSAGE_ID: "m-1", ROUTING_KEY: "email"}


def unread(body: bytes = b"\xff\x00", *, at: float = NOW, keep: bool = True) -> DeadLetter:
    return DeadLetter(
        id=0, at=at, reason="no json", body=body, headers=HEADERS, content_type="text/x", correlation_id="c", keep=keep
    )


def decided(**changes: object) -> dict[str, object]:
    return {"now": NOW, "actor": "op", "face": "http", "note": "a test", "message": None, **changes}


async def test_a_body_stays_readable_after_rabbitmq_has_it_and_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.upkeep.bury([unread()])
        (pending,) = await store.upkeep.pending_letters(10)
        await store.upkeep.confirm_letter(pending, NOW)
    async with opened(tmp_path / "hub.db") as store:
        letter = await SqliteLetters(store.database).find(1)
        assert (letter.body, letter.size, letter.reason, letter.status) == (b"\xff\x00", 2, "no json", OPEN)
        assert (letter.request_id, letter.routing_key, letter.given) == ("r-1", "email", {"x-tenant": "a"})
        assert letter.properties.message_id == "m-1"


async def test_a_body_that_is_not_to_be_kept_is_published_and_nowhere_else(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.upkeep.bury([unread(b"secret", keep=False)])
        (pending,) = await store.upkeep.pending_letters(10)
        assert pending.body == b"secret"
        letter = await SqliteLetters(store.database).find(1)
        assert (letter.body, letter.size) == (None, 6)


async def test_a_letter_is_settled_once_and_both_are_told_with_who_and_why(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        kept = SqliteLetters(store.database)
        await store.upkeep.bury([unread(), unread()])
        sent = await kept.settle(1, RESENT, **decided(message="M"))
        assert (sent.status, sent.message, sent.actor, sent.note, sent.settled_at) == (RESENT, "M", "op", "a test", NOW)
        await kept.settle(2, DISCARDED, **decided())
        with pytest.raises(LetterSettled, match="dead letter 1 is resent already"):
            await kept.settle(1, DISCARDED, **decided())
        with pytest.raises(NotFound):
            await kept.settle(3, DISCARDED, **decided())
        assert await kept.counts() == {OPEN: 0, RESENT: 1, DISCARDED: 1}
        told = [(event.kind, event.data["letter"]) for event in store.events if event.kind.startswith("letter_")]
        assert told == [("letter_resent", "1"), ("letter_discarded", "2")]
        deeds = await store.rows("SELECT what, target, actor, reason, detail FROM audit ORDER BY id")
        assert deeds == [
            ("letter.resend", "1", "op", "a test", "as M"),
            ("letter.discard", "2", "op", "a test", ""),
        ]


async def test_pages_go_on_after_an_id_in_both_directions(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        kept = SqliteLetters(store.database)
        await store.upkeep.bury([unread(b"x" * 1000) for _ in range(5)])
        await kept.settle(3, DISCARDED, **decided())
        first = await kept.page(OPEN, before=None, after=None, limit=2)
        assert ([one.id for one in first.items], first.older, first.newer) == ([5, 4], 4, None)
        second = await kept.page(OPEN, before=first.older, after=None, limit=2)
        assert ([one.id for one in second.items], second.older, second.newer) == ([2, 1], None, 2)
        back = await kept.page(OPEN, before=None, after=second.newer, limit=2)
        assert ([one.id for one in back.items], back.older, back.newer) == ([5, 4], 4, None)
        assert [len(one.body or b"") for one in first.items] == [300, 300]


async def test_bodies_go_after_the_decision_and_letters_after_their_time(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        kept = SqliteLetters(store.database)
        await store.upkeep.bury([unread(), unread(), unread(at=NOW + 80 * DAY)])
        await kept.settle(2, DISCARDED, **decided())
        assert await store.upkeep.erase_letters(bodies=NOW + DAY, all=NOW) == 1
        assert [(await kept.find(id)).body for id in (1, 2, 3)] == [b"\xff\x00", None, b"\xff\x00"]
        assert await store.upkeep.erase_letters(bodies=NOW + DAY, all=NOW) == 0
        assert await store.upkeep.erase_letters(bodies=NOW, all=NOW + DAY) == 2
        assert await kept.counts() == {OPEN: 1, RESENT: 0, DISCARDED: 0}


@pytest.mark.parametrize(("limit", "value"), (("MOST", 2), ("MOST_BYTES", 20)))
async def test_the_oldest_go_when_there_are_more_than_may_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    monkeypatch.setattr(letters, limit, value)
    async with opened(tmp_path / "hub.db") as store:
        await store.upkeep.bury([unread(b"x" * 10) for _ in range(4)])
        assert await store.upkeep.erase_letters(bodies=NOW, all=NOW) == 2
        page = await SqliteLetters(store.database).page(None, before=None, after=None, limit=9)
        assert [one.id for one in page.items] == [4, 3]
