"""`emailhub reload`."""

from __future__ import annotations

import json
from typing import Any

from tests.support.fake_hub import FakeHub, Run

ANSWER: dict[str, Any] = {
    "object": "reload",
    "applied": [{"what": "relay ses", "text": "rate: 10/s -> 20/s"}, {"what": "relay old", "text": "removed"}],
    "restart": [{"what": "EMAILHUB_PORT", "text": "8000 -> 9000"}],
    "warnings": ["REDIS_URL: set and unused: one replica needs no Redis"],
}


def test_it_tells_what_changed_and_what_needs_a_restart(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/reload"] = ANSWER
    result = run("reload", "--url", hub.url)
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        [
            "relay ses: rate: 10/s -> 20/s",
            "relay old: removed",
            "needs a restart: EMAILHUB_PORT: 8000 -> 9000",
        ],
    )
    assert "warning: REDIS_URL" in result.stderr
    assert json.loads(run("reload", "--url", hub.url, "--json").stdout) == ANSWER
    run("reload", "--url", hub.url, "--reason", "higher rate")
    assert [one.document for one in hub.asked] == [{}, {}, {"reason": "higher rate"}]


def test_nothing_new_is_said_too(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/reload"] = {"object": "reload", "applied": [], "restart": [], "warnings": []}
    assert run("reload", "--url", hub.url).stdout == "nothing has changed\n"


def test_settings_that_do_not_work_end_it_with_78_and_every_problem(run: Run, hub: FakeHub) -> None:
    problems = [
        {"field": 'relay[1] "ses".rate (file hub.toml)', "message": "expected rates such as 10/s"},
        {"field": "EMAILHUB_PORT (.env)", "message": "expected a whole number"},
    ]
    refusal = {"statusCode": 422, "name": "invalid_settings", "message": "Nothing was changed.", "errors": problems}
    hub.answers["POST", "/reload"] = (422, refusal)
    result = run("reload", "--url", hub.url)
    assert result.exit_code == 78
    assert "Nothing was changed." in result.stderr
    for problem in problems:
        assert f"{problem['field']}: {problem['message']}" in result.stderr


def test_any_other_refusal_is_no_fault_of_the_settings(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/reload"] = (403, {"name": "invalid_api_key", "message": "The API key is not one of ours."})
    assert run("reload", "--url", hub.url).exit_code == 1
    hub.close()
    assert run("reload", "--url", hub.url).exit_code == 69
