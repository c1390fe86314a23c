"""Many messages in one request: all or none, or as many as are good; and keys that stand for the whole list."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from emailhub.core.message import Limits
from emailhub.web.emails import batch
from tests.support.web_hub import GOOD, WebHub, web_hub


def messages(count: int) -> list[dict[str, Any]]:
    return [GOOD | {"subject": f"Number {number}"} for number in range(count)]


async def send(hub: WebHub, document: object, **headers: str) -> httpx.Response:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return await hub.client.post("/emails/batch", json=document, headers=given)


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [one["id"] for one in response.json()["data"]]


async def test_a_hundred_messages_are_accepted_in_their_order(hub: WebHub) -> None:
    response = await send(hub, messages(100))
    assert set(response.json()) == {"data"}
    found = ids(response)
    assert len(set(found)) == 100
    for number in (0, 57, 99):
        email = (await hub.client.get(f"/emails/{found[number]}")).json()
        assert (email["subject"], email["status"]) == (f"Number {number}", "queued")
    assert await hub.stored() == 100


async def test_every_message_of_a_batch_may_have_every_field(hub: WebHub) -> None:
    later = GOOD | {"scheduled_at": "in 1 hour", "priority": "low", "tags": [{"name": "a", "value": "b"}]}
    first, second = ids(await send(hub, [later, GOOD | {"request_id": "r-1"}]))
    assert (await hub.client.get(f"/emails/{first}")).json()["last_event"] == "scheduled"
    assert (await hub.client.get("/emails?request_id=r-1")).json()["data"][0]["id"] == second


@pytest.mark.parametrize(
    ("document", "field"),
    (
        ([], "$"),
        (GOOD, "$"),
        ("text", "$"),
        (messages(101), "$"),
        ([GOOD, "text"], "[1]"),
        ([GOOD, None], "[1]"),
        ([GOOD, [GOOD]], "[1]"),
        ([GOOD, GOOD | {"to": ["ada@example.org", "nobody"]}], "[1].to[1]"),
        ([GOOD | {"colour": "red"}, GOOD], "[0].colour"),
    ),
    ids=lambda value: str(value)[:20],
)
async def test_one_bad_message_refuses_the_whole_batch_and_is_named(hub: WebHub, document: object, field: str) -> None:
    response = await send(hub, document)
    assert (response.status_code, response.json()["name"]) == (422, "validation_error")
    assert [problem["field"] for problem in response.json()["errors"]] == [field]
    assert await hub.stored() == 0


async def test_what_is_only_found_out_while_a_message_is_built_refuses_the_batch_too(tmp_path: Path) -> None:
    async with web_hub(tmp_path, limits=Limits(size=2000)) as hub:
        document = [GOOD, GOOD | {"text": "x" * 1990}, GOOD]
        response = await send(hub, document)
        assert [problem["field"] for problem in response.json()["errors"]] == ["[1].text"]
        assert await hub.stored() == 0
        response = await send(hub, document, x_batch_validation="permissive")
        assert len(ids(response)) == 2
        assert [error["index"] for error in response.json()["errors"]] == [1]
        assert await hub.stored() == 2


async def test_messages_that_only_lack_something_are_missing_fields(hub: WebHub) -> None:
    response = await send(hub, [{"to": "ada@example.org"}, {"to": "bob@example.org", "text": "x"}])
    assert response.json()["name"] == "missing_required_field"
    assert {problem["field"] for problem in response.json()["errors"]} == {"[0].subject", "[0].text", "[1].subject"}


async def test_permissive_validation_takes_the_good_ones_and_says_why_not_the_others(hub: WebHub) -> None:
    document = [GOOD, GOOD | {"to": "nobody"}, {"to": "ada@example.org"}, 7, GOOD | {"subject": "Last"}]
    response = await send(hub, document, x_batch_validation="permissive")
    first, last = ids(response)
    assert (await hub.client.get(f"/emails/{first}")).json()["subject"] == GOOD["subject"]
    assert (await hub.client.get(f"/emails/{last}")).json()["subject"] == "Last"
    errors = response.json()["errors"]
    assert [(error["index"], error["name"]) for error in errors] == [
        (1, "validation_error"),
        (2, "missing_required_field"),
        (3, "validation_error"),
    ]
    assert errors[0]["errors"][0]["field"] == "to"
    assert "to" in errors[0]["message"]
    assert await hub.stored() == 2


async def test_permissive_validation_of_nothing_good_takes_nothing_and_of_all_good_tells_no_errors(hub: WebHub) -> None:
    response = await send(hub, [{}, 1], x_batch_validation="permissive")
    assert (response.status_code, response.json()["data"], len(response.json()["errors"])) == (200, [], 2)
    response = await send(hub, [GOOD], x_batch_validation="Permissive")
    assert response.json() == {"data": [{"id": ids(response)[0]}], "errors": []}


async def test_a_validation_that_does_not_exist_is_refused(hub: WebHub) -> None:
    response = await send(hub, [GOOD], x_batch_validation="lenient")
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "x-batch-validation"


@pytest.mark.parametrize("validation", ("strict", "permissive"))
async def test_a_key_stands_for_the_whole_list(hub: WebHub, validation: str) -> None:
    document = messages(5)

    async def again(changed: list[dict[str, Any]]) -> httpx.Response:
        return await send(hub, changed, idempotency_key="newsletter/1", x_batch_validation=validation)

    first = await again(document)
    assert "idempotency-replayed" not in first.headers
    second = await again([dict(reversed(one.items())) for one in document])
    assert ids(second) == ids(first)
    assert second.headers["idempotency-replayed"] == "true"
    for other in (
        document[:4],
        [*document, GOOD],
        document[::-1],
        [*document[:4], document[4] | {"text": "Other"}],
        [document[0] | {"text": "Other"}, *document[1:]],
    ):
        response = await again(other)
        assert (response.status_code, response.json()["name"]) == (409, "invalid_idempotent_request")
    assert await hub.stored() == 5


async def test_a_key_of_a_batch_and_of_a_single_message_are_in_one_namespace(hub: WebHub) -> None:
    await send(hub, [GOOD], idempotency_key="k")
    single = await hub.client.post("/emails", json=GOOD, headers={"idempotency-key": "k"})
    assert single.status_code == 409
    await hub.client.post("/emails", json=GOOD, headers={"idempotency-key": "other"})
    assert (await send(hub, [GOOD, GOOD], idempotency_key="other")).status_code == 409
    assert await hub.stored() == 2


async def test_without_a_key_of_the_batch_each_message_has_its_own(hub: WebHub) -> None:
    document = [GOOD | {"request_id": "a"}, GOOD | {"idempotency_key": "b"}, GOOD]
    first, again = ids(await send(hub, document)), ids(await send(hub, document))
    assert first[:2] == again[:2]
    assert first[2] != again[2]
    assert await hub.stored() == 4


async def test_a_conflict_of_one_message_leaves_the_others_unsent_unless_validation_is_permissive(hub: WebHub) -> None:
    await hub.send(request_id="taken")
    document = [GOOD | {"request_id": "new"}, GOOD | {"request_id": "taken", "text": "Other"}]
    response = await send(hub, document)
    assert (response.status_code, response.json()["name"]) == (409, "invalid_idempotent_request")
    assert [problem["field"] for problem in response.json()["errors"]] == ["[1]"]
    assert await hub.stored() == 1
    response = await send(hub, document, x_batch_validation="permissive")
    assert len(ids(response)) == 1
    assert [(error["index"], error["name"]) for error in response.json()["errors"]] == [
        (1, "invalid_idempotent_request")
    ]
    assert await hub.stored() == 2


async def test_two_messages_of_a_batch_under_one_key_are_one_when_they_are_the_same(hub: WebHub) -> None:
    one, same = ids(await send(hub, [GOOD | {"request_id": "r"}] * 2))
    assert one == same
    response = await send(hub, [GOOD | {"request_id": "s"}, GOOD | {"request_id": "s", "text": "Other"}])
    assert response.status_code == 409
    assert await hub.stored() == 1


async def test_the_same_batch_twenty_times_at_once_is_sent_once(hub: WebHub) -> None:
    answers = await asyncio.gather(*(send(hub, messages(10), idempotency_key="k") for _ in range(20)))
    assert len({tuple(ids(answer)) for answer in answers}) == 1
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert await hub.stored() == 10


async def test_other_requests_have_their_turn_while_a_large_batch_is_read_and_built(
    hub: WebHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns, write, read_list = 0, hub.database.write, batch.read_list
    parsed, built = asyncio.Event(), asyncio.Event()

    async def read(request: Any, most: int) -> list[object]:
        found = await read_list(request, most)
        parsed.set()
        return found

    async def stored(*args: Any, **kwargs: Any) -> Any:
        built.set()
        return await write(*args, **kwargs)

    async def others() -> None:
        nonlocal turns
        await parsed.wait()
        while not built.is_set():
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(batch, "read_list", read)
    monkeypatch.setattr(hub.database, "write", stored)
    other = asyncio.create_task(others())
    answer = await send(hub, [GOOD | {"text": "word " * 40_000} for _ in range(20)])
    await other
    assert len(ids(answer)) == 20
    # Once for each message that is read, and once for at most every second one that is built.
    assert turns > 25


async def test_a_batch_is_one_commit(hub: WebHub, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = []
    write = hub.database.write

    async def counted(*args: Any, **kwargs: Any) -> Any:
        commits.append(args)
        return await write(*args, **kwargs)

    monkeypatch.setattr(hub.database, "write", counted)
    monkeypatch.setattr(hub.database, "write_one", None)
    await send(hub, messages(100))
    assert len(commits) == 1
    assert await hub.stored() == 100
