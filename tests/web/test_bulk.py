"""Many messages at once over the API: asked, begun, watched, stopped; and every mistake named."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.web_hub import WebHub


@asynccontextmanager
async def working(hub: WebHub) -> AsyncIterator[None]:
    """Let the jobs be worked on."""
    task = asyncio.create_task(hub.faces.bulk.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def bulk(hub: WebHub, status: int = 200, **body: Any) -> Any:
    answer = await hub.client.post("/emails/bulk", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def ended(hub: WebHub, id: str) -> Any:
    while (job := (await hub.client.get(f"/bulk/{id}")).json())["status"] == "running":
        pass
    return job


async def test_a_job_is_begun_over_the_api_and_read_until_it_is_done(hub: WebHub) -> None:
    ids = [await hub.send(subject="Sale") for _ in range(3)]
    await hub.send(subject="Other")
    begun = await bulk(hub, action="hold", query="subject:sale", reason="wrong price", pace=500)
    assert (begun["changed"], begun["unchanged"]) == ({"queued": 3}, {})
    job = begun["job"]
    assert (job["status"], job["total"], job["done"], job["pace"], job["reason"]) == (
        "running",
        3,
        0,
        500,
        "wrong price",
    )
    async with working(hub):
        done = await ended(hub, job["id"])
    assert (done["status"], done["done"], done["skipped"], done["left"]) == ("done", 3, 0, 0)
    states = [(await hub.client.get(f"/emails/{id}")).json()["status"] for id in ids]
    assert states == ["held"] * 3
    assert (await hub.client.get("/bulk")).json()["data"] == [done]


async def test_a_dry_run_says_how_many_and_does_nothing(hub: WebHub) -> None:
    id = await hub.send()
    await hub.client.post(f"/emails/{id}/cancel", json={})
    await hub.send()
    found = await bulk(hub, action="retry", query="to:ada", dry_run=True)
    assert found == {"object": "bulk", "changed": {"canceled": 1}, "unchanged": {"queued": 1}, "job": None}
    assert (await hub.client.get("/bulk")).json()["data"] == []


async def test_messages_may_be_named_instead(hub: WebHub) -> None:
    ids = [await hub.send() for _ in range(3)]
    job = (await bulk(hub, action="cancel", ids=ids[:2]))["job"]
    async with working(hub):
        await ended(hub, job["id"])
    states = [(await hub.client.get(f"/emails/{id}")).json()["status"] for id in ids]
    assert states == ["canceled", "canceled", "queued"]


async def test_a_job_is_stopped_once(hub: WebHub) -> None:
    await hub.send()
    job = (await bulk(hub, action="hold", query="to:ada"))["job"]
    stopped = (await hub.client.post(f"/bulk/{job['id']}/stop", json={"reason": "no"})).json()
    assert (stopped["status"], stopped["left"], stopped["ended_by"]) == ("stopped", 0, "local from 127.0.0.1")
    again = await hub.client.post(f"/bulk/{job['id']}/stop")
    assert (again.status_code, again.json()["name"]) == (409, "invalid_state")
    assert again.json()["message"] == f"The job {job['id']} is stopped already."
    for method, path in (("GET", "/bulk/none"), ("POST", "/bulk/none/stop")):
        answer = await hub.client.request(method, path)
        assert (answer.status_code, answer.json()["message"]) == (404, "There is no bulk job 'none'.")


@pytest.mark.parametrize(
    ("body", "field", "says"),
    (
        ({"query": "to:ada"}, "action", "is required: one of retry, hold, release, cancel"),
        ({"action": "delete", "query": "to:ada"}, "action", "must be one of retry, hold, release, cancel"),
        ({"action": "retry"}, "query", "is required: the search, or else `ids`"),
        ({"action": "retry", "query": "to:a", "ids": ["A"]}, "query", "is given together with ids"),
        ({"action": "retry", "query": "  "}, "query", "must be a search that is not empty"),
        ({"action": "retry", "query": "state:sendt"}, "query", "did you mean sent?"),
        ({"action": "retry", "ids": []}, "ids", "must be a list of 1 to 100 ids of messages"),
        ({"action": "retry", "ids": ["A"] * 101}, "ids", "has 101 items; at most 100 are allowed"),
        ({"action": "retry", "ids": ["A", 1]}, "ids[1]", "is no id of a message, such as 01M86ZVV9FQESMTXYZCHHA5N7M"),
        ({"action": "retry", "ids": ["ä"]}, "ids[0]", "is no id of a message, such as 01M86ZVV9FQESMTXYZCHHA5N7M"),
        ({"action": "retry", "query": "a", "pace": 0}, "pace", "messages a second, from 0.01 to 1000"),
        ({"action": "retry", "query": "a", "pace": True}, "pace", "must be a number of messages a second"),
        ({"action": "retry", "query": "a", "dry_run": "no"}, "dry_run", "must be true or false"),
        ({"action": "retry", "query": "a", "reason": "x" * 501}, "reason", "must be one line of at most 500"),
        ({"action": "retry", "query": "a", "when": 1}, "when", "is not a field of this request"),
    ),
)  # fmt: skip
async def test_a_mistake_begins_nothing_and_is_named(hub: WebHub, body: dict[str, Any], field: str, says: str) -> None:
    await hub.send()
    found = await bulk(hub, 422, **body)
    assert [says in error["message"] for error in found["errors"] if error["field"] == field] == [True]
    assert (await hub.client.get("/bulk")).json()["data"] == []
