"""Whoever is logged in gives themselves another password: operator and viewer, and nobody in their place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from emailhub.core.access import Role
from emailhub.core.audit import AuditFilter
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access
from tests.support.web_hub import WebHub, web_hub
from tests.web.pages.reading import HTML

HOST = "http://10.0.0.5:8000"
FORM = HTML | {"origin": HOST, "sec-fetch-site": "same-origin"}
OLD = "the long password of vera"
OLDER = "the long password of bob"
NEW = "a quite different sentence"


@pytest_asyncio.fixture
async def hub(tmp_path: Path) -> AsyncIterator[WebHub]:
    async with web_hub(
        tmp_path, Access(listen="0.0.0.0", admin_password="secret of admin", api_keys=("k" * 32,))
    ) as hub:
        await hub.faces.users.add("vera", Role.VIEWER, OLD, Actor("admin"))
        yield hub


async def logged_in(hub: WebHub, name: str = "vera", password: str = OLD) -> httpx.AsyncClient:
    client = hub.client_from("10.9.9.9", HOST)
    answer = await client.post("/login", data={"username": name, "password": password}, headers=FORM)
    assert answer.status_code == 303, answer.text
    return client


async def change(client: httpx.AsyncClient, **fields: str) -> httpx.Response:
    given = {"current": OLD, "password": NEW, "again": NEW} | fields
    return await client.post("/account/password", data=given, headers=FORM)


async def test_a_viewer_changes_their_own_password_and_every_log_in_with_the_old_one_ends(hub: WebHub) -> None:
    here, elsewhere = await logged_in(hub), await logged_in(hub)
    assert "/account/password" in (await here.get("/account", headers=HTML)).text
    answer = await change(here)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    for client in (here, elsewhere):
        assert (await client.get("/messages", headers=HTML)).status_code == 303
    await logged_in(hub, password=NEW)
    page = await hub.faces.audit.page(AuditFilter(what="user.password"), limit=5)
    assert [(e.deed.actor, e.deed.peer, e.deed.target, e.deed.result) for e in page.items] == [
        ("vera", "10.9.9.9", "vera", "done")
    ]


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    (
        ({"current": "a guess of mine"}, 403, "The password you have now is not right."),
        ({"again": "something else entirely"}, 422, "is not the same as above"),
        ({"password": "short", "again": "short"}, 422, "12 to"),
        ({"password": "vera", "again": "vera"}, 422, "12 to"),
    ),
)
async def test_what_is_wrong_is_said_and_changes_nothing(
    hub: WebHub, fields: dict[str, str], status: int, said: str
) -> None:
    client = await logged_in(hub)
    answer = await change(client, **fields)
    assert answer.status_code == status
    assert said in answer.text
    assert not any(value in answer.text for value in (OLD, NEW, *fields.values()) if len(value) > 8)
    assert (await client.get("/account", headers=HTML)).status_code == 200
    await logged_in(hub)


async def test_a_log_in_left_open_is_no_way_to_guess_the_password(hub: WebHub) -> None:
    client = await logged_in(hub)
    answers = [(await change(client, current=f"guess number {number}")).status_code for number in range(7)]
    assert answers[:5] == [403] * 5
    assert answers[-1] == 429
    assert (await change(client)).status_code == 429, "not even the right one is looked at"
    page = await hub.faces.audit.page(AuditFilter(what="user.password"), limit=9)
    assert {(e.deed.actor, e.deed.result) for e in page.items} == {("vera", "refused")}


async def test_nobody_changes_the_password_of_somebody_else_whatever_the_form_says(hub: WebHub) -> None:
    await hub.faces.users.add("bob", Role.OPERATOR, OLDER, Actor("admin"))
    client = await logged_in(hub)
    for field in ("name", "username", "user"):
        assert (await change(client, current=OLDER, **{field: "bob"})).status_code == 403, field
    await logged_in(hub, "bob", OLDER)


async def test_the_password_of_admin_is_a_setting(hub: WebHub) -> None:
    admin = await logged_in(hub, "admin", "secret of admin")
    page = (await admin.get("/account", headers=HTML)).text
    assert "EMAILHUB_ADMIN_PASSWORD" in page
    assert "/account/password" not in page
    assert (await change(admin, current="secret of admin")).status_code == 422
    await logged_in(hub, "admin", "secret of admin")


async def test_who_is_not_logged_in_has_no_account(hub: WebHub, tmp_path: Path) -> None:
    keyed = hub.client_from("10.9.9.9", HOST, authorization=f"Bearer {'k' * 32}")
    assert (await keyed.get("/account")).status_code in {401, 403}
    async with web_hub(tmp_path / "open") as everybody:
        page = await everybody.client.get("/account", headers=HTML)
        assert "Nobody logs in here" in page.text
        assert "/account/password" not in page.text
        ours = HTML | {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin"}
        assert (await everybody.client.post("/account/password", data={}, headers=ours)).status_code == 404
