"""Users over the API: added, changed, removed, logged out."""

from __future__ import annotations

from typing import Any

import pytest

from emailhub.engine.logins import Attempt
from tests.support.web_hub import WebHub

OLGA = {"name": "olga", "role": "operator", "password": "a long password"}


async def log_in(hub: WebHub, name: str = "olga", password: str = "a long password") -> str:
    return await hub.faces.logins.log_in(Attempt(name=name, password=password, client="10.0.0.9", agent="Firefox"))


async def test_a_user_is_added_and_listed_without_the_password(hub: WebHub) -> None:
    added = await hub.client.post("/users", json=OLGA | {"reason": "joined"})
    assert added.status_code == 200, added.text
    olga = {
        "object": "user",
        "name": "olga",
        "role": "operator",
        "source": "database",
        "created_at": "2027-01-15T08:00:00.000Z",
        "last_login_at": None,
        "sessions": 0,
    }
    assert added.json() == olga
    await log_in(hub)
    listed = await hub.client.get("/users")
    assert listed.json()["data"] == [olga | {"last_login_at": "2027-01-15T08:00:00.000Z", "sessions": 1}]
    assert listed.headers["vary"] == "accept"
    entries = (await hub.client.get("/audit?target=olga")).json()["data"]
    assert [(one["what"], one["actor"], one["reason"]) for one in entries] == [("user.add", "local", "joined")]


async def test_a_change_ends_the_log_ins(hub: WebHub) -> None:
    await hub.client.post("/users", json=OLGA)
    await hub.client.post("/users", json=OLGA | {"name": "vera", "role": "viewer"})
    for change in ({"role": "operator"}, {"password": "another long password"}):
        token = await log_in(hub, "vera")
        changed = await hub.client.patch("/users/vera", json=change)
        assert (changed.status_code, changed.json()["sessions"]) == (200, 0)
        assert hub.faces.users.use(token, hub.clock()) is None
    assert await log_in(hub, "vera", "another long password")


async def test_both_may_be_changed_at_once(hub: WebHub) -> None:
    await hub.client.post("/users", json=OLGA)
    await hub.client.post("/users", json=OLGA | {"name": "vera", "role": "viewer"})
    answer = await hub.client.patch("/users/vera", json={"role": "operator", "password": "another long password"})
    assert answer.json()["role"] == "operator"
    assert await log_in(hub, "vera", "another long password")


async def test_a_user_is_logged_out_and_removed(hub: WebHub) -> None:
    await hub.client.post("/users", json=OLGA)
    token = await log_in(hub)
    assert (await hub.client.delete("/users/olga/sessions?reason=lost+laptop")).json()["sessions"] == 0
    assert hub.faces.users.use(token, hub.clock()) is None
    removed = await hub.client.delete("/users/olga")
    assert removed.json() == {"object": "user", "name": "olga", "deleted": True}
    assert (await hub.client.get("/users")).json()["data"] == []
    entries = (await hub.client.get("/audit?what=session.end_all")).json()["data"]
    assert [(one["target"], one["reason"], one["detail"]) for one in entries] == [("olga", "lost laptop", "1 log-in")]


@pytest.mark.parametrize(
    ("body", "status", "name", "fields"),
    (
        ({}, 422, "missing_required_field", ["name", "role", "password"]),
        ({"name": "olga"}, 422, "missing_required_field", ["role", "password"]),
        (OLGA | {"role": "boss"}, 422, "validation_error", ["role"]),
        (OLGA | {"role": 1, "password": 2}, 422, "validation_error", ["role", "password"]),
        (OLGA | {"name": "Olga!"}, 422, "validation_error", ["name"]),
        (OLGA | {"password": "short"}, 422, "validation_error", ["password"]),
        (OLGA | {"admin": True}, 422, "validation_error", ["admin"]),
        (OLGA | {"reason": "two\nlines"}, 422, "validation_error", ["reason"]),
        (OLGA | {"role": "viewer"}, 422, "validation_error", ["role"]),
    ),
)
async def test_what_is_wrong_is_named_field_by_field(
    hub: WebHub, body: dict[str, Any], status: int, name: str, fields: list[str]
) -> None:
    answer = await hub.client.post("/users", json=body)
    assert (answer.status_code, answer.json()["name"]) == (status, name)
    assert [one["field"] for one in answer.json()["errors"]] == fields
    assert (await hub.client.get("/users")).json()["data"] == []


async def test_a_change_names_what_is_wrong_with_it(hub: WebHub) -> None:
    await hub.client.post("/users", json=OLGA)
    for body, field in (({}, "role"), ({"role": "viewer"}, "role"), ({"password": "x"}, "password"), ({"x": 1}, "x")):
        answer = await hub.client.patch("/users/olga", json=body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    for method, path in (("PATCH", "/users/eve"), ("DELETE", "/users/eve"), ("DELETE", "/users/eve/sessions")):
        assert (await hub.client.request(method, path, json={"role": "viewer"})).status_code == 404
