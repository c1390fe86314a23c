"""`emailhub suppress` and `emailhub lift`."""

from __future__ import annotations

import json
from typing import Any

from tests.support.fake_hub import FakeHub, Run


def entry(email: str, **more: Any) -> dict[str, Any]:
    plain = {"object": "suppression", "id": "1", "origin": "manual", "created_at": "2026-11-24T12:00:00.000Z"}
    return {**plain, "email": email, "reason": "", **more}


def test_suppress_names_the_addresses_with_origin_and_reason(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/suppressions/batch/add"] = {"data": [entry("ada@example.org", reason="asked")]}
    options = ("--origin", "complaint", "--reason", "asked")
    result = run("suppress", "Ada@example.org", "bob@example.org", *options, "--url", hub.url)
    assert (result.exit_code, result.stdout) == (0, "ada@example.org  manual  2026-11-24T12:00:00.000Z  asked\n")
    assert hub.asked[0].document == {
        "emails": ["Ada@example.org", "bob@example.org"],
        "origin": "complaint",
        "reason": "asked",
    }


def test_suppress_without_an_address_shows_the_list(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/suppressions?limit=100"] = [{"data": [entry("a@example.org")]}, {"data": []}]
    assert run("suppress", "--url", hub.url).stdout == "a@example.org  manual  2026-11-24T12:00:00.000Z\n"
    assert run("suppress", "--url", hub.url).stdout == "nobody is on the list\n"


def test_lift_says_what_was_lifted_and_fails_when_one_was_not_there(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/suppressions/batch/remove"] = {"data": [{"id": "1", "email": "ada@example.org"}]}
    assert run("lift", "ada@example.org", "ADA@example.org", "--url", hub.url).exit_code == 0
    result = run("lift", "ada@example.org", "bob@example.org", "--reason", "back", "--url", hub.url)
    assert (result.exit_code, result.stdout) == (1, "ada@example.org  lifted\n")
    assert "1 of 2 not on the list" in result.stderr
    assert hub.asked[-1].document == {"emails": ["ada@example.org", "bob@example.org"], "reason": "back"}


def test_scripts_get_the_answer_of_the_api_and_refusals_its_sentence(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/suppressions/batch/add"] = [{"data": []}, (422, {"message": "emails[0]: is not an address"})]
    assert json.loads(run("suppress", "a@example.org", "--json", "--url", hub.url).stdout) == {"data": []}
    result = run("suppress", "nonsense", "--url", hub.url)
    assert result.exit_code == 1
    assert "is not an address" in result.stderr


def test_lift_needs_an_address(run: Run, hub: FakeHub) -> None:
    assert run("lift", "--url", hub.url).exit_code == 2
