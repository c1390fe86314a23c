"""`emailhub keys`."""

from __future__ import annotations

import json
from typing import Any

from tests.support.fake_hub import FakeHub, Run

MADE = {"object": "api_key", "id": "01K", "token": "eh_live_secret", "name": "billing", "start": "eh_live_secr"}


def key(name: str = "billing", **more: Any) -> dict[str, Any]:
    plain = {"id": "01K", "name": name, "state": "live", "source": "hub", "scopes": ["send"], "from_domains": []}
    return {**plain, "rate": None, "daily_quota": None, "expires_at": None, "last_used_at": None, **more}


def test_a_new_key_is_written_alone_so_that_a_script_can_take_it(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/api-keys"] = MADE
    result = run("keys", "create", "billing", "--url", hub.url)
    assert (result.exit_code, result.stdout) == (0, "eh_live_secret\n")
    assert "cannot be shown again" in result.stderr
    assert hub.asked[0].document == {"name": "billing", "scopes": ["send"]}


def test_everything_a_key_is_held_to_is_asked_for(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/api-keys"] = MADE
    scopes = ("--scope", "send", "--scope", "read", "--from-domain", "example.com", "--rate", "10/s")
    more = ("--daily-quota", "500", "--expires-at", "2027-01-31T09:30:00Z", "--reason", "new", "--json")
    result = run("keys", "create", "billing", *scopes, *more, "--url", hub.url)
    assert json.loads(result.stdout) == MADE
    assert hub.asked[0].document == {
        "name": "billing",
        "scopes": ["send", "read"],
        "from_domains": ["example.com"],
        "rate": "10/s",
        "daily_quota": 500,
        "expires_at": "2027-01-31T09:30:00Z",
        "reason": "new",
    }


def test_list_shows_what_works_and_everything_when_asked(run: Run, hub: FakeHub) -> None:
    old = key("old", state="revoked", last_used_at="2026-11-24T12:00:00.000Z")
    fixed = key("key 1", id="settings-1", source="settings", scopes=["send", "read", "admin"])
    hub.answers["GET", "/api-keys"] = {"data": [fixed, key(rate="10/s", from_domains=["example.com"]), old]}
    assert run("keys", "list", "--url", hub.url).stdout == (
        "key 1  live  send,read,admin  never used  from settings\n"
        "billing  live  send  from example.com  10/s  never used  01K\n"
    )
    assert "old  revoked  send  last used 2026-11-24" in run("keys", "list", "--all", "--url", hub.url).stdout


def test_a_key_is_rotated_and_revoked_by_its_name_or_id(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/api-keys"] = {"data": [key(id="01J", state="revoked"), key(id="01K")]}
    hub.answers["POST", "/api-keys/01K/rotate"] = MADE
    hub.answers["DELETE", "/api-keys/01K?reason=leaked"] = key(state="revoked")
    assert run("keys", "rotate", "billing", "--grace", "1h", "--url", hub.url).stdout == "eh_live_secret\n"
    assert hub.asked[-1].document == {"grace": "1h"}
    assert run("keys", "revoke", "01K", "--reason", "leaked", "--url", hub.url).stdout == "billing  revoked\n"


def test_a_key_that_is_not_there_changes_nothing(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/api-keys"] = {"data": [key()]}
    result = run("keys", "revoke", "shop", "--url", hub.url)
    assert result.exit_code == 1
    assert "there is no key 'shop'" in result.stderr
    assert {asked.method for asked in hub.asked} == {"GET"}


def test_without_a_key_a_command_logs_in_with_the_password_and_out_again(run: Run, hub: FakeHub) -> None:
    hub.cookies["POST", "/login"] = "emailhub_session=t0k3n; Path=/"
    hub.answers["POST", "/login"] = {}
    hub.answers["POST", "/logout"] = {}
    hub.answers["POST", "/api-keys"] = MADE
    result = run("keys", "create", "billing", "--url", hub.url, EMAILHUB_ADMIN_PASSWORD="correct horse")
    assert (result.exit_code, result.stdout) == (0, "eh_live_secret\n")
    assert [asked.path for asked in hub.asked] == ["/login", "/api-keys", "/logout"]
    assert hub.asked[0].document == "password=correct+horse"
    assert [asked.headers.get("Cookie") for asked in hub.asked[1:]] == ["emailhub_session=t0k3n"] * 2
    assert {asked.headers["Origin"] for asked in hub.asked} == {hub.url}


def test_a_key_goes_before_the_password(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/api-keys"] = {"data": []}
    environ = {"EMAILHUB_ADMIN_PASSWORD": "correct horse", "EMAILHUB_API_KEY": "eh_key_0123456789"}
    assert run("keys", "list", "--url", hub.url, **environ).stdout == "no key works\n"
    (asked,) = hub.asked
    assert asked.headers["Authorization"] == "Bearer eh_key_0123456789"
    assert "Origin" not in asked.headers


def test_a_wrong_password_ends_the_command_with_the_hubs_words(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/login"] = (401, {"name": "invalid_password", "message": "The password is not right."})
    result = run("keys", "list", "--url", hub.url, EMAILHUB_ADMIN_PASSWORD="correct horse")
    assert result.exit_code == 1
    assert "The password is not right." in result.stderr
