"""What a viewer may do: see everything that is shown, change nothing, and not be offered what is refused."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from litestar.routes import HTTPRoute

from emailhub.core.access import Role, Scope
from emailhub.core.breaker import Mode
from emailhub.core.suppression import Listing
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access, Area
from emailhub.web.guard import area_of
from emailhub.web.scopes import PUBLIC, needed
from tests.support.web_hub import GOOD, WebHub, web_hub
from tests.web.pages.reading import HTML

HOST = "http://10.0.0.5:8000"
SAME = {"origin": HOST, "sec-fetch-site": "same-origin"}
ADMIN = Actor("admin")
OWN = {"/theme", "/logout", "/logout-everywhere", "/account/password"}
"""What everybody may change: how they see it, and whether they stay."""


class Team:
    """A hub with something on every page, and a viewer and an operator who are logged in."""

    def __init__(self, hub: WebHub) -> None:
        self.hub = hub
        self.viewer = hub.client_from("10.9.9.9", HOST)
        self.operator = hub.client_from("10.9.9.9", HOST)
        self.message = self.template = ""

    async def settle(self) -> None:
        for name, role, client in (("vera", Role.VIEWER, self.viewer), ("olga", Role.OPERATOR, self.operator)):
            await self.hub.faces.users.add(name, role, f"the long password of {name}", ADMIN)
            form = {"username": name, "password": f"the long password of {name}"}
            assert (await client.post("/login", data=form, headers=SAME)).status_code == 303
        service = self.hub.client_from("10.9.9.9", HOST, authorization=f"Bearer {'k' * 32}")
        self.message = (await service.post("/emails", json=GOOD | {"scheduled_at": "in 1 hour"})).json()["id"]
        await self.hub.faces.suppressions.add([Listing("x@example.org")], ADMIN)
        await self.hub.faces.desk.force("capture", Mode.OPEN, actor=ADMIN, note="upkeep", until=None)
        template = {"name": "Hello", "html": "<p>Hi</p>", "subject": "Hi"}
        self.template = (await service.post("/templates", json=template)).json()["id"]

    @property
    def pages(self) -> list[str]:
        shown = ("/", "/messages", "/relays", "/suppressions", "/templates", "/relays/capture")
        return [*shown, f"/messages/{self.message}", f"/templates/{self.template}"]


@pytest_asyncio.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", admin_password="secret", api_keys=("k" * 32,))) as hub:
        found = Team(hub)
        await found.settle()
        yield found


def forms(html: str) -> set[str]:
    return set(re.findall(r'<form[^>]*method="post"[^>]*action="([^"]*)"', html))


async def test_a_viewer_sees_every_page_and_is_offered_no_change_on_it(team: Team) -> None:
    for path in team.pages:
        response = await team.viewer.get(path, headers=HTML)
        assert response.status_code == 200, path
        assert forms(response.text) <= OWN, path
        assert not re.search('href="/(send|new-template|api-keys|users|audit)|/edit"', response.text), path


async def test_an_operator_is_offered_changes_on_every_page(team: Team) -> None:
    offered = set()
    for path in team.pages:
        offered |= forms((await team.operator.get(path, headers=HTML)).text)
    for start in ("/messages/", "/relays/", "/suppressions/", "/templates/"):
        assert any(one.startswith(start) for one in offered), start


async def test_every_change_a_viewer_asks_for_is_refused_with_a_sentence(team: Team) -> None:
    asked = 0
    for route in team.hub.app.routes:
        for method in route.methods if isinstance(route, HTTPRoute) else ():
            path, need = route.path_format, needed(route.path_format, str(method))
            if method in {"GET", "HEAD", "OPTIONS"} or need == PUBLIC or Scope.READ in need:
                continue
            address = re.sub(r"\{[^}]*\}", "x", path)
            answer = await team.viewer.request(str(method), address, headers=SAME)
            if area_of(address, {}) is Area.SEND:
                assert answer.status_code == 401, "no log-in opens what is for services"
                continue
            assert answer.status_code == 403, (method, path, answer.status_code)
            assert answer.json()["message"] == "vera may not do that: it needs the role operator.", (method, path)
            asked += 1
    assert asked > 30
    assert (await team.hub.faces.history.find(team.message)).summary.state == "scheduled"


@pytest.mark.parametrize("path", ("/audit", "/audit/csv", "/users", "/api-keys", "/send", "/new-template"))
async def test_a_viewer_does_not_see_who_may_come_in_and_what_they_did(team: Team, path: str) -> None:
    answer = await team.viewer.get(path, headers=HTML)
    assert answer.status_code == 403
    assert "vera may not do that" in answer.text
    assert (await team.operator.get(path, headers=HTML)).status_code == 200


async def test_what_an_operator_does_is_told_with_their_name(team: Team) -> None:
    answer = await team.operator.post(f"/messages/{team.message}/hold", data={}, headers=SAME)
    assert answer.status_code == 303
    page = await team.operator.get("/audit?actor=olga", headers=HTML)
    assert "Held a message" in page.text
    assert "Logged in" in page.text


async def live(client: httpx.AsyncClient) -> int:
    return (await client.get("/messages", headers=HTML)).status_code


async def test_a_role_that_is_taken_away_counts_for_the_next_request(team: Team) -> None:
    assert await live(team.operator) == 200
    await team.hub.faces.users.set_role("olga", Role.VIEWER, ADMIN)
    assert await live(team.operator) == 303
    assert await live(team.viewer) == 200


async def test_everywhere_means_every_browser_of_that_person(team: Team) -> None:
    other = team.hub.client_from("10.9.9.10", HOST)
    form = {"username": "vera", "password": "the long password of vera"}
    await other.post("/login", data=form, headers=SAME)
    assert await live(other) == 200
    answer = await team.viewer.post("/logout-everywhere", headers=SAME)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")
    assert [await live(client) for client in (other, team.viewer, team.operator)] == [303, 303, 200]
