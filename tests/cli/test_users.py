"""`emailhub users`."""

from __future__ import annotations

import json
from typing import Any

from argon2 import PasswordHasher

from tests.support.fake_hub import FakeHub, Run

PASSWORD = "correct horse battery"


def user(**more: Any) -> dict[str, Any]:
    plain = {"object": "user", "name": "vera", "role": "viewer", "source": "database", "sessions": 0}
    return {**plain, "created_at": "2026-11-24T12:00:00.000Z", "last_login_at": None, **more}


def test_add_asks_for_the_password_and_never_shows_it(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/users"] = user()
    result = run("users", "add", "vera", "--reason", "joined", "--url", hub.url, stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert (result.exit_code, result.stdout) == (0, "vera  viewer  may log in\n")
    assert PASSWORD not in result.output
    assert hub.asked[0].document == {"name": "vera", "role": "viewer", "password": PASSWORD, "reason": "joined"}


def test_scripts_give_the_password_on_standard_input(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/users"] = user(role="operator")
    options = ("--role", "operator", "--password-stdin", "--json")
    result = run("users", "add", "vera", *options, "--url", hub.url, stdin=f"{PASSWORD}\n")
    assert json.loads(result.stdout)["role"] == "operator"
    assert hub.asked[0].document == {"name": "vera", "role": "operator", "password": PASSWORD}


def test_a_short_password_is_refused_before_anything_is_sent(run: Run, hub: FakeHub) -> None:
    result = run("users", "password", "vera", "--password-stdin", "--url", hub.url, stdin="short\n")
    assert result.exit_code == 1
    assert "at least 12 characters" in result.stderr
    assert hub.asked == []


def test_list_shows_role_last_log_in_and_what_goes_on(run: Run, hub: FakeHub) -> None:
    admin = user(name="admin", role="operator", source="settings", created_at=None)
    vera = user(last_login_at="2026-11-24T13:00:00.000Z", sessions=2)
    hub.answers["GET", "/users"] = [{"data": [admin, vera]}, {"data": []}]
    assert run("users", "list", "--url", hub.url).stdout == (
        "admin  operator  no log-in yet  from settings\n"
        "vera  viewer  last log-in 2026-11-24T13:00:00.000Z  2 going on\n"
    )
    assert "nobody logs in" in run("users", "list", "--url", hub.url).stdout


def test_role_password_and_removal_say_what_follows(run: Run, hub: FakeHub) -> None:
    hub.answers["PATCH", "/users/vera"] = user(role="operator")
    hub.answers["DELETE", "/users/vera?reason=left"] = {"object": "user", "name": "vera", "deleted": True}
    changed = run("users", "role", "vera", "operator", "--reason", "on call", "--url", hub.url)
    assert changed.stdout == "vera  operator  has to log in again\n"
    run("users", "password", "vera", "--password-stdin", "--url", hub.url, stdin=f"{PASSWORD}\n")
    removed = run("users", "remove", "vera", "--reason", "left", "--url", hub.url)
    assert removed.stdout == "vera  removed\n"
    assert [one.document for one in hub.asked] == [
        {"role": "operator", "reason": "on call"},
        {"password": PASSWORD},
        None,
    ]


def test_hash_writes_what_may_stand_in_the_settings(run: Run) -> None:
    result = run("users", "hash", "--password-stdin", stdin=f"{PASSWORD}\n")
    assert result.exit_code == 0
    assert PasswordHasher().verify(result.stdout.strip(), PASSWORD)


def test_a_refusal_of_the_hub_is_told_in_its_words(run: Run, hub: FakeHub) -> None:
    hub.answers["PATCH", "/users/admin"] = (422, {"message": "name: is the operator of the settings"})
    result = run("users", "role", "admin", "viewer", "--url", hub.url)
    assert result.exit_code == 1
    assert "is the operator of the settings" in result.stderr
