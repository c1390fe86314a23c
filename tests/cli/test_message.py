"""`emailhub send` and `emailhub status`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from emailhub.cli.hub import Hub
from emailhub.cli.message import wait_for
from tests.support.fake_hub import FakeHub, Run

KEY = "a-key-of-sixteen-characters"


def email(state: str, **recipient: Any) -> dict[str, Any]:
    one = {"address": "ada@example.org", "state": state, "reason": "", **recipient}
    return {"id": "m1", "status": state, "last_event": state, "recipients": [one]}


def test_send_hands_the_message_to_the_hub_and_prints_its_id(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/emails"] = {"id": "m1"}
    result = run(
        "send", "--to", "ada@example.org", "--to", "bob@example.org", "--cc", "c@example.org",
        "--from", "hub@example.org", "--reply-to", "r@example.org",
        "--subject", "Hello", "--text", "words", "--html", "<p>words", "--key", "k1",
        EMAILHUB_URL=hub.url, EMAILHUB_API_KEY=KEY,
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (0, "m1\n")
    (asked,) = hub.asked
    assert asked.document == {
        "from": "hub@example.org",
        "to": ["ada@example.org", "bob@example.org"],
        "cc": ["c@example.org"],
        "reply_to": "r@example.org",
        "subject": "Hello",
        "text": "words",
        "html": "<p>words",
    }
    assert asked.headers["Idempotency-Key"] == "k1"
    assert asked.headers["Authorization"] == f"Bearer {KEY}"
    assert asked.headers["Content-Type"] == "application/json"


def test_the_text_may_come_from_standard_input(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/emails"] = {"id": "m1"}
    for arguments, name in (((), "text"), (("--text", "-"), "text"), (("--html", "-"), "html")):
        result = run(
            "send", "--to", "a@b.example", "--subject", "s", "--url", hub.url, *arguments, stdin="from a pipe\n"
        )
        assert result.exit_code == 0, result.output
        assert hub.asked[-1].document[name] == "from a pipe\n"


def test_one_standard_input_cannot_be_both_bodies(run: Run) -> None:
    result = run("send", "--to", "a@b.example", "--subject", "s", "--text", "-", "--html", "-", stdin="x")
    assert result.exit_code == 2


def test_a_path_prefix_in_the_url_is_kept(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/mail/emails"] = {"id": "m1"}
    result = run("send", "--to", "a@b.example", "--subject", "s", "--text", "t", "--url", f"{hub.url}/mail/")
    assert result.stdout == "m1\n"


def test_what_the_hub_finds_wrong_is_told_field_by_field(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/emails"] = (
        422,
        {
            "statusCode": 422,
            "name": "validation_error",
            "message": "subject: is too long",
            "errors": [
                {"field": "subject", "message": "is too long"},
                {"field": "to[0]", "message": "is not an address"},
            ],
        },
    )
    result = run("send", "--to", "ada", "--subject", "s", "--text", "t", "--url", hub.url)
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == ["emailhub: subject: is too long", "  to[0]: is not an address"]


def test_a_missing_key_is_told_with_the_setting_to_set(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/emails"] = (401, {"message": "a key is needed"})
    result = run("send", "--to", "a@b.example", "--subject", "s", "--text", "t", "--url", hub.url)
    assert result.exit_code == 1
    assert "next: set EMAILHUB_API_KEY" in result.stderr


def test_a_hub_that_is_not_there_is_exit_69_with_the_next_step(run: Run, nowhere: str) -> None:
    result = run("status", "m1", "--url", nowhere)
    assert result.exit_code == 69
    assert f"no hub answers at {nowhere}: Connection refused" in result.stderr
    assert "next: start it with `emailhub serve`" in result.stderr


def test_something_that_is_no_hub_is_not_mistaken_for_one(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/emails/m1"] = (502, b"<html>Bad Gateway")
    result = run("status", "m1", "--url", hub.url)
    assert result.exit_code == 1
    assert "HTTP 502, and not from a hub" in result.stderr


def test_status_shows_the_message_and_each_recipient(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/emails/m1"] = email(
        "deferred", reason="transient", last_reply="451 try later", next_attempt_at="2026-11-24T03:41:59.123Z"
    )
    result = run("status", "m1", "--url", hub.url)
    assert (result.exit_code, result.stdout) == (
        0,
        "m1  deferred\n  ada@example.org  deferred  transient  451 try later  next attempt 2026-11-24T03:41:59.123Z\n",
    )


def test_status_for_scripts_is_the_document_of_the_api(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/emails/m1"] = email("sent")
    assert json.loads(run("status", "m1", "--json", "--url", hub.url).stdout) == email("sent")


def test_an_unknown_id_is_an_error_and_cannot_leave_its_path(run: Run, hub: FakeHub) -> None:
    result = run("status", "../breakers?x", "--url", hub.url)
    assert result.exit_code == 1
    assert "next: give the id that `emailhub send` printed" in result.stderr
    assert hub.asked[0].path == "/emails/..%2Fbreakers%3Fx"


@pytest.mark.parametrize(("state", "code"), (("sent", 0), ("failed", 1), ("held", 1), ("canceled", 1)))
def test_waiting_ends_with_the_outcome_and_an_exit_code_that_tells_it(
    run: Run, hub: FakeHub, state: str, code: int
) -> None:
    hub.answers["POST", "/emails"] = {"id": "m1"}
    hub.answers["GET", "/emails/m1"] = [email("queued"), email("sending"), email(state)]
    result = run("send", "--to", "a@b.example", "--subject", "s", "--text", "t", "--wait", "60", "--url", hub.url)
    assert result.exit_code == code
    assert result.stdout.startswith(f"m1  {state}\n")


def test_waiting_in_vain_says_what_to_ask_later(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/emails/m1"] = email("queued")
    result = run("status", "m1", "--wait", "0", "--url", hub.url)
    assert result.exit_code == 1
    assert "still queued after the wait" in result.stderr
    assert "`emailhub status m1` later" in result.stderr


def test_waiting_asks_until_its_time_is_over(hub: FakeHub) -> None:
    hub.answers["GET", "/emails/m1"] = email("queued")
    now, naps = 0.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        naps.append(seconds)

    message = wait_for(Hub(hub.url), "m1", 3.0, clock=lambda: now, sleep=sleep)
    assert message["status"] == "queued"
    assert 3.0 <= now < 3.5
    assert len(hub.asked) == len(naps) + 1
