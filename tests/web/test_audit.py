"""The audit log over HTTP: as JSON, as CSV, and only for who may change things."""

from __future__ import annotations

import csv
import io
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from emailhub.core.access import Scope
from emailhub.core.api_key import Grant
from emailhub.core.audit import REFUSED, AuditFilter, Deed
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access
from emailhub.web import scopes
from tests.support.web_hub import GOOD, START, WebHub, web_hub

ALL = AuditFilter()
HOST = "http://10.0.0.5:8000"
FORM = {"content-type": "application/x-www-form-urlencoded", "sec-fetch-site": "same-origin"}
ANN = Actor("ann", "dashboard", "10.0.0.7")


async def listed(hub: WebHub, query: str = "") -> list[dict[str, Any]]:
    answer = await hub.client.get(f"/audit{query}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


async def test_an_action_over_the_api_is_told_with_who_from_where_what_and_why(hub: WebHub) -> None:
    id = await hub.send(scheduled_at="in 1 hour")
    await hub.client.post(f"/emails/{id}/hold", json={"reason": "wrong price"})
    (entry,) = await listed(hub)
    assert entry == {
        "object": "audit_entry",
        "id": "1",
        "created_at": "2027-01-15T08:00:00.000Z",
        "actor": "local",
        "peer": "127.0.0.1",
        "what": "message.hold",
        "target": id,
        "reason": "wrong price",
        "result": "done",
        "detail": "",
    }


async def test_what_cannot_be_done_as_things_stand_is_told_as_refused_with_who_and_why(hub: WebHub) -> None:
    id = await hub.send()
    await hub.client.post(f"/emails/{id}/cancel")
    assert (await hub.client.post(f"/emails/{id}/hold")).status_code == 409
    assert (await hub.client.post(f"/messages/{id}/hold", headers=FORM)).status_code == 303
    told = [[entry[name] for name in ("actor", "peer", "what", "target", "result")] for entry in await listed(hub)]
    assert told == [
        ["local", "127.0.0.1", "action.refuse", f"POST /messages/{id}/hold", "refused"],
        ["local", "127.0.0.1", "action.refuse", f"POST /emails/{id}/hold", "refused"],
        ["local", "127.0.0.1", "message.cancel", id, "done"],
    ]
    assert all("canceled" in entry["detail"] for entry in (await listed(hub))[:2])


async def test_asking_for_a_page_one_may_not_see_is_no_action(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=("k" * 32,))) as hub:
        made = await hub.faces.keyring.create(Grant(name="shop", scopes=frozenset({Scope.SEND})), ANN)
        shop = hub.client_from("10.9.9.9", authorization=f"Bearer {made.secret}")
        assert (await shop.get("/audit")).status_code == 403
        assert (await shop.post("/reload")).status_code == 403
        assert (await shop.post("/emails", json=GOOD | {"from": "x@elsewhere.example"})).status_code == 200
        page = await hub.faces.audit.page(AuditFilter(what="action"), limit=9)
        (deed,) = (entry.deed for entry in page.items)
        assert (deed.actor, deed.peer, deed.target) == ("key shop", "10.9.9.9", "POST /reload")
        assert "admin" in deed.detail


async def test_a_form_of_another_site_is_told_with_whose_browser_sent_it(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", admin_password="secret of admin")) as hub:
        page = hub.client_from("10.9.9.9", HOST)
        form = {"username": "admin", "password": "secret of admin"}
        same = {"origin": HOST, "sec-fetch-site": "same-origin"}
        assert (await page.post("/login", data=form, headers=same)).status_code == 303
        evil = {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        assert (await page.post("/theme", data={"theme": "dark"}, headers=evil)).status_code == 403
        page.cookies.clear()
        assert (await page.post("/logout", headers=evil)).status_code == 403
        found = await hub.faces.audit.page(AuditFilter(what="action"), limit=9)
        assert [(e.deed.actor, e.deed.peer, e.deed.target) for e in found.items] == [
            ("unknown", "10.9.9.9", "POST /logout"),
            ("admin", "10.9.9.9", "POST /theme"),
        ]


async def test_what_another_site_asks_for_is_told_with_the_address_behind_the_proxy_and_in_plain_characters(
    tmp_path: Path,
) -> None:
    proxy = ip_network("10.0.0.1/32")
    access = Access(listen="0.0.0.0", admin_password="secret of admin", trusted_proxies=(proxy,))
    async with web_hub(tmp_path, access) as hub:
        headers = {"x-forwarded-for": "203.0.113.7", "origin": "https://evil.example", "sec-fetch-site": "cross-site"}
        page = hub.client_from("10.0.0.1", HOST)
        assert (await page.post("/reload%0d%0a%e2%80%aeforged", headers=headers)).status_code == 403
        (entry,) = (await hub.faces.audit.page(ALL, limit=9)).items
        assert (entry.deed.peer, entry.deed.target) == ("203.0.113.7", "POST /reload%0D%0A%E2%80%AEforged")


async def test_a_stranger_who_shows_nothing_writes_nothing_into_the_log(tmp_path: Path) -> None:
    async with web_hub(
        tmp_path, Access(listen="0.0.0.0", admin_password="secret of admin", api_keys=("k" * 32,))
    ) as hub:
        stranger = hub.client_from("10.9.9.9", HOST)
        for path in ("/emails", "/messages", "/reload"):
            assert (await stranger.post(path, json={})).status_code == 401
            assert (await stranger.post(path, json={}, headers={"authorization": "Bearer x"})).status_code in {401, 403}
        assert (await hub.faces.audit.page(ALL, limit=9)).items == ()


async def test_the_list_is_narrowed_and_paged_by_the_url(hub: WebHub) -> None:
    for number in range(5):
        await hub.faces.audit.record(ANN, "template.publish", f"t{number}")
    await hub.faces.audit.record(Actor("bob"), "settings.reload", result=REFUSED, detail="no")
    assert [entry["result"] for entry in await listed(hub, "?actor=bob")] == ["refused"]
    assert len(await listed(hub, "?what=template")) == 5
    assert [entry["actor"] for entry in await listed(hub, "?what=template.publish&target=t3")] == ["ann"]
    first = (await hub.client.get("/audit?limit=4")).json()
    assert first["has_more"]
    rest = (await hub.client.get(f"/audit?limit=4&after={first['data'][-1]['id']}")).json()
    assert [entry["target"] for entry in rest["data"]] == ["t1", "t0"]
    assert not rest["has_more"]


@pytest.mark.parametrize("query", ("limit=0", "after=x", "before=1&after=2", "who=ann", "actor=a&actor=b"))
async def test_a_parameter_that_breaks_a_rule_is_named(hub: WebHub, query: str) -> None:
    answer = await hub.client.get(f"/audit?{query}")
    assert (answer.status_code, answer.json()["name"]) == (422, "invalid_parameter")


async def test_the_export_is_csv_that_computes_nothing(hub: WebHub) -> None:
    await hub.faces.audit.record(ANN, "message.retry", "M", reason='=HYPERLINK("https://evil.example")')
    answer = await hub.client.get("/audit/csv?actor=ann")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="audit.csv"'
    assert answer.headers["cache-control"] == "no-store"
    head, row = csv.reader(io.StringIO(answer.text, newline=""))
    assert head == ["time", "who", "from", "what", "target", "why", "result", "detail"]
    assert row[1:] == ["ann", "10.0.0.7", "message.retry", "M", '\'=HYPERLINK("https://evil.example")', "done", ""]
    assert (await hub.client.get("/audit/csv?limit=1")).status_code == 422


async def test_an_export_reaches_over_many_pages_in_order(hub: WebHub) -> None:
    deeds = [Deed(at=START, actor="ann", what="x.y", target=str(number)) for number in range(1203)]
    await hub.database.write(lambda tx: [tx.record(deed) for deed in deeds])
    rows = list(csv.reader(io.StringIO((await hub.client.get("/audit/csv")).text, newline="")))[1:]
    assert [row[4] for row in rows] == [str(number) for number in reversed(range(1203))]
    kept = [entry.deed.target async for entry in hub.faces.audit.newest(ALL, 501)]
    assert (len(kept), kept[-1]) == (501, "702")


async def test_only_who_may_change_things_sees_who_did(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=("k" * 32,))) as hub:
        stranger = hub.client_from("10.0.0.1", "http://10.0.0.5:8000")
        for path in ("/audit", "/audit/csv"):
            assert (await stranger.get(path)).status_code == 401
            key = {"authorization": f"Bearer {'k' * 32}"}
            assert (await stranger.get(path, headers=key)).status_code == 200
            assert scopes.needed(path, "GET") == {Scope.ADMIN}
