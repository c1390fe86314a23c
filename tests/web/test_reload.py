"""`POST /reload`: who may ask, what is answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from emailhub.core.errors import BadSettings, Problem
from emailhub.core.reloaded import Change, Reloaded
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access
from emailhub.web.site import create_app
from tests.support.web_hub import WebHub, web_hub


def reloading(hub: WebHub, answer: Reloaded | Exception) -> list[tuple[str, str]]:
    """Let `hub` answer so; who asks it, and why."""
    asked: list[tuple[str, str]] = []

    async def reload(actor: Actor, reason: str) -> Reloaded:
        asked.append((str(actor), reason))
        if isinstance(answer, Exception):
            raise answer
        return answer

    hub.faces = replace(hub.faces, reload=reload)
    hub.app = create_app(hub.faces)
    hub.client = hub.client_from()
    return asked


async def test_the_answer_lists_what_changed(hub: WebHub) -> None:
    change, later = Change("relay ses", "rate: 10/s -> 20/s"), Change("EMAILHUB_PORT", "8000 -> 9000")
    asked = reloading(hub, Reloaded((change,), (later,), ("look at this",)))
    answer = await hub.client.post("/reload")
    assert answer.status_code == 200
    assert answer.json() == {
        "object": "reload",
        "applied": [{"what": "relay ses", "text": "rate: 10/s -> 20/s"}],
        "restart": [{"what": "EMAILHUB_PORT", "text": "8000 -> 9000"}],
        "warnings": ["look at this"],
    }
    assert asked == [("local from 127.0.0.1", "")]
    assert (await hub.client.post("/reload", json={"reason": "higher rate"})).status_code == 200
    assert asked[1:] == [("local from 127.0.0.1", "higher rate")]


async def test_settings_that_do_not_work_are_a_422_with_every_problem(hub: WebHub) -> None:
    problems = (Problem('relay[1] "ses".rate (file x.toml)', "expected rates"), Problem("EMAILHUB_PORT", "expected"))
    reloading(hub, BadSettings(problems))
    answer = await hub.client.post("/reload", json={})
    assert (answer.status_code, answer.json()["name"]) == (422, "invalid_settings")
    assert answer.json()["message"] == "Nothing was changed: 2 settings need your attention."
    assert [found["field"] for found in answer.json()["errors"]] == [problem.field for problem in problems]


async def test_the_request_has_a_reason_and_nothing_else(hub: WebHub) -> None:
    asked = reloading(hub, Reloaded())
    answer = await hub.client.post("/reload", json={"force": True})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "force")
    for reason in ("x" * 501, "two\nlines", 5):
        answer = await hub.client.post("/reload", json={"reason": reason})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "reason")
    assert (await hub.client.get("/reload")).status_code == 405
    assert asked == []


async def test_only_who_has_a_key_may_ask(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=("k" * 16,))) as hub:
        asked = reloading(hub, Reloaded())
        assert (await hub.client.post("/reload")).status_code == 401
        keyed = hub.client_from("10.0.0.9", Authorization=f"Bearer {'k' * 16}")
        assert (await keyed.post("/reload")).status_code == 200
        assert asked == [("key 1 from 10.0.0.9", "")]
