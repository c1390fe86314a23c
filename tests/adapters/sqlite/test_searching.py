"""Searching the outbox: every field, right after acceptance, whatever is typed, and as long as a message is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emailhub.adapters.sqlite import endings, narrowing, searching, stretches
from emailhub.adapters.sqlite.bulk import SqliteBulk
from emailhub.core.delivery import State
from emailhub.core.errors import OutboxError
from emailhub.core.query import Count, parse
from emailhub.core.records import Filter
from tests.support.factories import DAY, NOW, REFUSED, REPORT, SENT, Store, failing, opened, parcel, results

LATER = NOW + 1000


async def found(store: Store, text: str, **exact: object) -> str:
    """The ids a search finds, newest first, joined."""
    query = parse(text, LATER)
    assert query.mistakes == ()
    page = await store.history.page(Filter(terms=query.terms, **exact), before=None, after=None, limit=50)  # type: ignore[arg-type]
    assert await store.history.count(Filter(terms=query.terms, **exact), 50) == Count(len(page.items))  # type: ignore[arg-type]
    return "".join(item.id for item in page.items)


@pytest_asyncio.fixture(scope="module")
async def store(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Store]:
    """Five messages that differ in what can be asked for."""
    async with opened(tmp_path_factory.mktemp("search") / "hub.db") as store:
        await store.outbox.add(
            [
                parcel("A", to=("bob@x.test",), bcc=("Ada@Example.net",), subject="Your order 17 has shipped", files=1),
                parcel("B", to=("bob@x.test",), subject="Rechnung für März 100%", accepted_at=NOW + 10),
                parcel("C", to=("adam@example.net.test",), subject="Hi", request_id="order-7", relay="spare"),
                parcel("D", subject="Hi", tags=(("category", "welcome"), ("tenant", "acme")), accepted_at=NOW + 20),
                parcel("E", subject="ordered", sender="shop@shop.test", from_header="Shop <shop@shop.test>"),
            ]
        )
        for job in await store.claim(LATER, ids=["A", "B"], limit=2):
            text = "550 5.1.1 <ada@example.net>: user unknown" if job.id == "A" else "250 2.0.0 queued as 5501"
            await store.finish(job, REFUSED if job.id == "A" else SENT, LATER, text)
        yield store


@pytest.mark.parametrize(
    ("text", "ids"),
    (
        ("order", "EA"),
        ('"order"', "A"),
        ("ORDER 17", "A"),
        ("order -shipped", "E"),
        ('"order 17"', "A"),
        ('"17 order"', ""),
        ("fur marz", "B"),
        ("100%", "B"),
        ("order-7", "C"),
        ("c-D", "D"),
        ("d", "D"),
        ("ada@example.net", "A"),
        ("ada@", "A"),
        ("ada", "CA"),
        ("to:ada@example.net", "A"),
        ("to:ADA@EXAMPLE.NET", "A"),
        ("to:example.net", "CA"),
        ("-to:bob@x.test", "EDC"),
        ("to:order", ""),
        ("subject:hi", "DC"),
        ("from:shop", "E"),
        ("-from:hub", "E"),
        ("id:b", "B"),
        ("id:<b@example.org>", "B"),
        ("request:order-7", "C"),
        ("-request:order-7", "EDBA"),
        ("request:order", ""),
        ("tag:category", "D"),
        ("tag:category=welcome", "D"),
        ("tag:category=wel", ""),
        ("tag:tenant=welcome", ""),
        ("-tag:category", "ECBA"),
        ("relay:spare", "C"),
        ("state:sent,failed", "BA"),
        ("-state:queued", "BA"),
        ("code:550", "A"),
        ("code:5.1.1", "A"),
        ("code:5xx", "A"),
        ("code:250", "B"),
        ("code:2xx", "B"),
        ("code:551", ""),
        ("-code:550", "EDCB"),
        ("has:attachment", "A"),
        ("-has:attachment", "EDCB"),
        ("after:995s", "DB"),
        ("before:990s", "ECA"),
        ("after:990s before:980s", "B"),
        ("after:2001-01-01", "EDCBA"),
        ("before:2001-01-01", ""),
        ("to:bob order state:failed code:550 has:attachment", "A"),
        ("x'; DROP TABLE message; --x", ""),
        ("a* OR b NEAR(c)", ""),
        ('subject:"people : x', None),
    ),
)  # fmt: skip
async def test_a_search_finds_what_it_says(store: Store, text: str, ids: str | None) -> None:
    if ids is None:
        assert parse(text, LATER).mistakes
        return
    assert await found(store, text) == ids


async def test_a_code_is_found_that_only_one_of_several_recipients_got(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", to=("a@x.test", "b@x.test"))])
        (job,) = await store.claim(LATER)
        refused, _ = results(job, REFUSED, text="550 5.1.1 unknown")
        _, taken = results(job, SENT, text="250 ok")
        await store.outbox.record(job, [refused, taken], REPORT, LATER)
        assert await found(store, "code:5.1.1") == "A"
        assert await found(store, "code:250") == "A"
        assert await found(store, "code:551") == ""


async def test_a_search_within_a_state_is_the_same_however_many_messages_it_has(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for few in (0, narrowing.FEW):
        monkeypatch.setattr(narrowing, "FEW", few)
        assert await found(store, "order", state=State.QUEUED) == "E"
        assert await found(store, "order state:failed,sent") == "A"


@pytest.mark.parametrize("text", ("order", "test", "zz", "hi state:queued", "-order", "code:550", "tag:category"))
async def test_what_would_be_done_to_all_that_match_is_told_by_state(store: Store, text: str) -> None:
    wanted = Filter(terms=parse(text, LATER).terms)
    items = (await store.history.page(wanted, before=None, after=None, limit=50)).items
    bulk = SqliteBulk(store.database)
    assert (await bulk.preview(wanted)).by_state == Counter(item.state for item in items)
    early = Counter(item.state for item in items if item.seq <= 2)
    assert (await bulk.preview(wanted, 2)).by_state == early


@pytest.mark.parametrize("text", ("o", "ord", "ORDER 1", "to:ad", "from:sh", "subject:h", "-or", "zz", "or hi", "mär"))
async def test_a_word_that_is_begun_finds_the_same_however_many_words_begin_so(
    store: Store, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    one_by_one = await found(store, text)
    monkeypatch.setattr(endings, "MOST", 0)
    assert await found(store, text) == one_by_one


async def test_a_search_that_runs_out_of_patience_says_how_far_it_came_and_goes_on_from_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stretches, "FIRST", 2)
    odd = Filter(terms=parse("-even", LATER).terms)
    async with opened(tmp_path / "hub.db") as store:
        given = [parcel(f"M{n}", subject=("even", "odd")[n % 2], accepted_at=NOW + n) for n in range(6)]
        await store.outbox.add(given)
        assert await store.history.count(odd, 9, patience=0.0) == Count(1, whole=False)
        assert await store.history.count(odd, 9) == Count(3)
        assert await store.history.count(odd, 2) == Count(2, whole=False)
        pages, older = [], None
        for _ in range(3):
            page = await store.history.page(odd, before=older, after=None, limit=5, patience=0.0)
            pages.append(([item.id for item in page.items], page.reached))
            older = page.older
        assert pages == [(["M5"], NOW + 4), (["M3"], NOW + 2), (["M1"], None)]
        assert older is None
        whole = await store.history.page(odd, before=None, after=None, limit=5)
        assert ([item.id for item in whole.items], whole.reached) == (["M5", "M3", "M1"], None)
        full = await store.history.page(odd, before=None, after=None, limit=1, patience=0.0)
        assert ([item.id for item in full.items], full.older) == (["M5"], "M4")


@pytest.mark.parametrize(
    "text",
    (
        "A",
        "c-A",
        "r-1",
        "id:A",
        "request:r-1",
        "to:ada@x.test",
        "relay:ses",
        "state:failed",
        "code:550",
        "has:attachment",
        "first",
        "request:r-1 relay:ses",
        "to:ada@x.test state:failed first",
        "A -zz code:550",
        "id:A first -relay:default",
        "before:999s",
    ),
)
async def test_what_an_index_brings_is_found_however_old_it_is_and_without_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(stretches, "FIRST", 1)
    rare = {"to": ("ada@x.test",), "request_id": "r-1", "relay": "ses", "files": 1}
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", subject="first", **rare)])
        (job,) = (await store.outbox.claim("ses", limit=1, now=NOW)).jobs
        await store.finish(job, REFUSED, text="550 5.1.1 unknown")
        await store.outbox.add([parcel(id, accepted_at=NOW + 50) for id in "BCD"])
        wanted = Filter(terms=parse(text, LATER).terms)
        page = await store.history.page(wanted, before=None, after=None, limit=5, patience=0.0)
        assert ([item.id for item in page.items], page.reached) == (["A"], None)


async def test_pages_of_a_search_run_both_ways(store: Store) -> None:
    wanted = Filter(terms=parse("test", LATER).terms)
    page = await store.history.page(wanted, before=None, after=None, limit=2)
    assert ([i.id for i in page.items], page.older) == (["C", "B"], "B")
    page = await store.history.page(wanted, before="B", after=None, limit=2)
    assert ([i.id for i in page.items], page.newer) == (["A"], "A")
    page = await store.history.page(wanted, before=None, after="A", limit=2)
    assert [i.id for i in page.items] == ["C", "B"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.sampled_from("ab@.-\"'*():^{}%_\\ \0é0" + "ＡＮＤ"), max_size=24),
    st.sampled_from(("", "to:", "-subject:", "tag:", "code:", "id:")),
)
async def test_no_text_breaks_a_search_or_finds_what_is_not_there(store: Store, text: str, field: str) -> None:
    query = parse(field + text, LATER)
    if not query.mistakes:
        page = await store.history.page(Filter(terms=query.terms), before=None, after=None, limit=50)
        assert len(page.items) <= 5


async def test_a_message_is_found_as_soon_as_it_is_accepted_and_no_longer_than_it_is_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", subject="hello"), parcel("B", subject="hello")])
        assert await found(store, "hello") == "BA"
        (job,) = await store.claim(ids=["A"], limit=1)
        await store.finish(job, SENT)
        await store.upkeep.erase_messages(NOW + DAY)
        assert await found(store, "hello") == "B"
        assert await store.rows("SELECT rowid FROM search") == [(2,)]
        # Raises when the index holds what its table does not.
        await store.database.write(
            lambda tx: tx.execute("INSERT INTO search (search) VALUES ('integrity-check')").close()
        )


async def test_what_comes_in_after_everything_was_erased_is_found(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", subject="hello"), parcel("B", subject="hello")])
        assert await found(store, "hello") == "BA"
        for job in await store.claim():
            await store.finish(job, SENT)
        await store.upkeep.erase_messages(NOW + DAY)
        await store.outbox.add([parcel("C", subject="hello")])
        assert await found(store, "hello") == "C"
        assert await store.history.not_searchable() == 0


async def test_words_are_indexed_a_batch_at_a_time_behind_the_mail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "BATCH", 2)
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(f"M{number}") for number in range(5)])
        assert await store.rows("SELECT count(*) FROM search") == [(0,)]
        assert [await store.upkeep.index() for _ in range(4)] == [True, True, True, False]
        assert await store.rows("SELECT rowid FROM search") == [(1,), (2,), (3,), (4,), (5,)]


async def test_what_was_there_before_the_index_follows_the_newest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(searching, "BATCH", 2)
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel(f"M{number}", subject="hello") for number in range(5)])

        await store.database.write(lambda tx: tx.execute("UPDATE searchable SET since = 6, until = 5").rowcount)
        await store.outbox.add([parcel("N", subject="hello")])
        assert await found(store, "hello") == "N"
        assert await store.history.not_searchable() == 5
        assert await store.upkeep.index()
        assert await found(store, "hello") == "NM4M3"
        while await store.upkeep.index():
            pass
        assert await found(store, "hello") == "NM4M3M2M1M0"
        assert await store.history.not_searchable() == 0


async def test_an_outbox_that_cannot_be_written_is_searched_as_far_as_it_is_indexed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await store.outbox.add([parcel("A", subject="hello")])
        assert await found(store, "hello") == "A"
        await store.outbox.add([parcel("B", subject="hello")])
        monkeypatch.setattr(searching, "_index", failing(13))
        with pytest.raises(OutboxError):
            await store.upkeep.index()
        assert await found(store, "hello") == "A"


async def test_times_are_found_by_halves_and_survive_a_clock_that_was_set_back(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        ages = [500, 400, 4000, 300, 200]
        await store.outbox.add([parcel(f"M{number}", accepted_at=LATER - age) for number, age in enumerate(ages)])
        assert await found(store, "after:450s") == "M4M3M1"
        assert await found(store, "before:450s") == "M2M0"
