"""The audit log in the outbox: written by the commit of what was done, paged, narrowed, erased by age."""

from __future__ import annotations

from pathlib import Path

import pytest

from emailhub.adapters.sqlite.audit import SqliteAudit
from emailhub.core.audit import AuditFilter, Deed
from emailhub.core.delivery import State
from emailhub.core.errors import OutboxError, WrongState
from emailhub.core.suppression import Listing
from tests.support.factories import DAY, NOW, SENT, Store, opened, parcel

ALL = AuditFilter()
ANN = "ann from 10.0.0.7"


async def logged(store: Store, wanted: AuditFilter = ALL) -> list[tuple[str, str, str, str]]:
    page = await SqliteAudit(store.database).page(wanted, before=None, after=None, limit=100)
    return [(e.deed.actor, e.deed.what, e.deed.target, e.deed.reason) for e in reversed(page.items)]


async def test_what_somebody_does_is_in_the_log_by_the_same_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        await store.verbs.hold("A", now=NOW + 1, actor=ANN, note="odd")
        await store.verbs.retry("A", relays=("default",), now=NOW + 2, expires_at=NOW + DAY, actor=ANN, note="fine")
        await store.suppressions.add([Listing("x@y.test", note="asked")], now=NOW, face="http", actor="key 1")
        assert await logged(store) == [
            ("ann", "message.hold", "A", "odd"),
            ("ann", "message.retry", "A", "fine"),
            ("key 1", "suppression.add", "x@y.test", "asked"),
        ]


async def test_what_cannot_be_logged_is_not_done(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        full = "CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'full'); END"
        await store.database.write(lambda tx: tx.execute(full))
        with pytest.raises(OutboxError):
            await store.verbs.hold("A", now=NOW, actor=ANN, note="")
        assert await store.states("A") == [State.QUEUED]


async def test_what_the_hub_does_by_itself_is_not_in_the_log(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        (job,) = await store.claim()
        await store.finish(job, SENT)
        assert await logged(store) == []


async def test_what_was_not_done_is_not_in_the_log_whatever_shared_its_commit(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        await store.verbs.cancel("A", now=NOW, actor=ANN, note="")
        with pytest.raises(WrongState):
            await store.verbs.hold("A", now=NOW, actor=ANN, note="")
        assert [what for _, what, _, _ in await logged(store)] == ["message.cancel"]


async def test_the_log_outlives_what_it_tells_of(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A")])
        await store.verbs.cancel("A", now=NOW, actor=ANN, note="")
        assert await store.upkeep.erase_messages(NOW + 1) == 1
        assert [what for _, what, _, _ in await logged(store)] == ["message.cancel"]


async def test_entries_are_erased_by_age_and_by_nothing_else(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        for at in (NOW, NOW + 5):
            await SqliteAudit(store.database).record(Deed(at=at, actor="ann", what="settings.reload"))
        assert await store.upkeep.erase_audit(NOW + 5) == 1
        assert await store.upkeep.erase_audit(NOW + 5) == 0
        assert len(await logged(store)) == 1


@pytest.mark.parametrize(
    ("wanted", "found"),
    (
        (AuditFilter(actor="ann"), "ab"),
        (AuditFilter(what="template"), "bc"),
        (AuditFilter(what="template.publish"), "b"),
        (AuditFilter(target="T"), "bc"),
        (AuditFilter(actor="ann", what="template", target="T"), "b"),
        (AuditFilter(what="templat"), ""),
        (AuditFilter(actor="' OR 1 --"), ""),
    ),
)
async def test_a_filter_narrows_by_who_what_and_target(tmp_path: Path, wanted: AuditFilter, found: str) -> None:
    deeds = (
        Deed(at=NOW, actor="ann", what="settings.reload", reason="a"),
        Deed(at=NOW, actor="ann", what="template.publish", target="T", reason="b"),
        Deed(at=NOW, actor="bob", what="template.delete", target="T", reason="c"),
    )
    async with opened(tmp_path / "hub.db") as store:
        for deed in deeds:
            await SqliteAudit(store.database).record(deed)
        assert "".join(reason for *_, reason in await logged(store, wanted)) == found


async def test_pages_go_back_and_forth_without_a_gap(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        audit = SqliteAudit(store.database)
        for number in range(5):
            await audit.record(Deed(at=NOW, actor="ann", what="x.y", target=str(number)))

        async def page(before: int | None, after: int | None) -> tuple[str, int | None, int | None]:
            found = await audit.page(ALL, before=before, after=after, limit=2)
            return "".join(entry.deed.target for entry in found.items), found.older, found.newer

        assert await page(None, None) == ("43", 4, None)
        assert await page(4, None) == ("21", 2, 3)
        assert await page(2, None) == ("0", None, 1)
        assert await page(None, 1) == ("21", 2, 3)
