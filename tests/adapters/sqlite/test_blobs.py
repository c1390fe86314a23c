"""The bytes of messages come out as they went in, whatever their size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emailhub.adapters.sqlite import blobs
from tests.support.factories import NOW, opened, parcel


async def test_contents_of_every_size_are_claimed_and_read_back(tmp_path: Path) -> None:
    sizes = [1, 5000, blobs.LARGE, blobs.LARGE + 1, 2 * blobs.LARGE, 2_500_001]
    given = {f"M{size}": bytes(range(256)) * (size // 256) + b"x" * (size % 256) for size in sizes}
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(id, content=content) for id, content in given.items()])
        claimed = await store.outbox.claim("default", limit=10, now=NOW)
        assert {job.id: job.content for job in claimed.jobs} == given
        assert {id: await store.history.content(id) for id in given} == given


async def test_no_more_than_a_few_megabytes_are_handed_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    largest: list[int] = []
    content = bytes(range(256)) * 30_000

    class Watched:
        def __init__(self, tx: Any) -> None:
            self._tx = tx

        def execute(self, sql: str, values: Any) -> Any:
            largest.append(max(memoryview(value).nbytes for value in values if isinstance(value, bytes | memoryview)))
            return self._tx.execute(sql, values)

    insert = blobs.insert
    monkeypatch.setattr(blobs, "insert", lambda tx, into, rows: insert(Watched(tx), into, rows))
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("M1", content=content), parcel("M2", content=b"small")])
        assert await store.history.content("M1") == content
    assert sorted(largest) == [5, 2 * blobs.LARGE]
