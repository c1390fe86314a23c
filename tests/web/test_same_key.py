"""One key, one message: whoever comes while the first is being stored waits for it and gets its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.web_hub import GOOD, SEED, WebHub, web_hub

TIMES = 50


async def fifty_for_each(hub: WebHub, keys: int) -> None:
    """Fifty requests at once with each key, over every way in: one message, one answer that is not a replay."""

    async def once(key: str, number: int) -> tuple[str, str, bool]:
        if number % 3 == 0:
            batch = await hub.client.post("/emails/batch", json=[GOOD], headers={"idempotency-key": f"batch/{key}"})
            return "batch", batch.json()["data"][0]["id"], "idempotency-replayed" in batch.headers
        if number % 3 == 1:
            single = await hub.client.post("/emails", json=GOOD, headers={"idempotency-key": key})
            return "single", single.json()["id"], "idempotency-replayed" in single.headers
        field = await hub.client.post("/emails", json=GOOD | {"request_id": key})
        return "single", field.json()["id"], "idempotency-replayed" in field.headers

    async def one_key(key: str) -> None:
        answers = await asyncio.gather(*(once(key, number) for number in range(TIMES)))
        for kind in ("single", "batch"):
            assert len({id for given, id, _ in answers if given == kind}) == 1
            assert sum(not replayed for given, _, replayed in answers if given == kind) == 1

    for start in range(0, keys, 10):
        await asyncio.gather(*(one_key(f"order/{number}") for number in range(start, min(start + 10, keys))))
    assert await hub.stored() == 2 * keys


async def test_fifty_at_once_with_each_of_forty_keys_are_one_message_each(hub: WebHub) -> None:
    await fifty_for_each(hub, 40)


@pytest.mark.nightly
async def test_fifty_at_once_with_each_of_two_hundred_keys_are_one_message_each(tmp_path: Path) -> None:
    async with web_hub(tmp_path, max_waiting=10_000) as hub:
        await fifty_for_each(hub, 200)


@pytest.mark.parametrize(
    "times",
    ({"expires_at": "2027-01-15T08:15:00Z"}, {"scheduled_at": "today at 8:15"}),
    ids=lambda times: next(iter(times)),
)
async def test_the_same_request_gets_its_answer_also_when_a_time_it_names_is_over(
    hub: WebHub, times: dict[str, str]
) -> None:
    async def given(key: str, **fields: str) -> Any:
        return await hub.client.post("/emails", json=GOOD | times | fields, headers={"idempotency-key": key})

    first = await given("k")
    hub.clock.at += 1800
    assert first.status_code == 200, first.text
    again = await given("k")
    assert (again.json(), again.headers.get("idempotency-replayed")) == (first.json(), "true")
    assert (await given("k", text="Other")).status_code == 409
    fresh = await given("other")
    assert [error["field"] for error in fresh.json()["errors"]] == [*times]
    assert (await hub.client.post("/emails/batch", json=[GOOD, GOOD | times])).json()["errors"][0]["field"][
        :4
    ] == "[1]."
    assert await hub.stored() == 1


async def test_of_fifty_at_once_with_different_content_one_is_taken_and_the_others_conflict(hub: WebHub) -> None:
    async def once(number: int) -> Any:
        text = {"text": f"Number {number % 2}"}
        return await hub.client.post("/emails", json=GOOD | text, headers={"idempotency-key": "k"})

    answers = await asyncio.gather(*(once(number) for number in range(TIMES)))
    assert Counter(answer.status_code for answer in answers) == {200: 25, 409: 25}
    assert len({answer.json()["id"] for answer in answers if answer.status_code == 200}) == 1
    assert {answer.json()["name"] for answer in answers if answer.status_code == 409} == {"invalid_idempotent_request"}
    assert await hub.stored() == 1


async def test_both_doors_share_their_keys_and_a_key_is_good_after_a_restart(tmp_path: Path) -> None:
    same = {"to": SEED["to"], "subject": SEED["subject"], "text": SEED["body"]}
    async with web_hub(tmp_path) as hub:
        assert (await hub.client.post("/send_email/", json=SEED)).status_code == 200
        first = await hub.client.post("/emails", json=same, headers={"idempotency-key": SEED["request_id"]})
        assert first.headers["idempotency-replayed"] == "true"
    async with web_hub(tmp_path) as hub:
        again = await hub.client.post("/emails", json=same, headers={"idempotency-key": SEED["request_id"]})
        assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
        other = await hub.client.post("/send_email/", json=SEED | {"body": "Other"})
        assert (other.status_code, other.json()["name"]) == (409, "invalid_idempotent_request")
        assert await hub.stored() == 1


async def test_what_was_refused_uses_up_no_key(hub: WebHub) -> None:
    headers = {"idempotency-key": "k"}
    assert (await hub.client.post("/emails", json=GOOD | {"to": "nobody"}, headers=headers)).status_code == 422
    hub.room.stopping = True
    assert (await hub.client.post("/emails", json=GOOD, headers=headers)).status_code == 503
    hub.room.stopping = False
    fresh = await hub.client.post("/emails", json=GOOD, headers=headers)
    assert (fresh.status_code, fresh.headers.get("idempotency-replayed")) == (200, None)


@pytest.mark.parametrize("key", ("", " ", "a b", "ä", "x" * 257, "tab\there"))
async def test_a_key_is_1_to_256_visible_ascii_characters(hub: WebHub, key: str) -> None:
    for path, body in (("/emails", GOOD), ("/emails/batch", [GOOD])):
        response = await hub.client.post(path, json=body, headers={b"idempotency-key": key.encode()})
        assert (response.status_code, response.json()["name"]) == (400, "invalid_idempotency_key"), path
    assert await hub.stored() == 0
    assert (await hub.client.post("/emails", json=GOOD, headers={"idempotency-key": "x" * 256})).status_code == 200
