"""Whatever is changed over the API is in the audit log: who, from where, what, to what, and why where one may say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_asyncio

from emailhub.core.audit import AuditFilter, Deed
from emailhub.engine.gate import Access
from tests.support.web_hub import GOOD, WebHub, web_hub

KEY = "k" * 32
WHY = {"reason": "because"}
LATER = GOOD | {"scheduled_at": "in 1 hour"}
VERA = {"name": "vera", "role": "operator", "password": "the first of her sentences"}
OTTO = VERA | {"name": "otto"}
TEMPLATE = {"name": "Hello", "subject": "Hi", "html": "<p>Hi</p>"}


class Trail:
    """Somebody with a key, and what the audit log has of them."""

    def __init__(self, hub: WebHub) -> None:
        self._audit = hub.faces.audit
        self._client = hub.client_from("10.9.9.9", "http://10.0.0.5:8000", authorization=f"Bearer {KEY}")
        self._read = 0

    async def ask(self, method: str, path: str, **given: Any) -> dict[str, Any]:
        """Ask for something; the answer."""
        answer = await self._client.request(method, path, **given)
        assert answer.status_code == 200, (method, path, answer.text)
        found: dict[str, Any] = answer.json()
        return found

    async def told(self) -> list[Deed]:
        """What the log has since the last look, the oldest first."""
        page = await self._audit.page(AuditFilter(), limit=100)
        fresh = [entry.deed for entry in page.items if entry.id > self._read]
        self._read = max((entry.id for entry in page.items), default=0)
        assert {(deed.actor, deed.peer, deed.result) for deed in fresh} <= {("key 1", "10.9.9.9", "done")}
        return fresh[::-1]

    async def change(self, method: str, path: str, *what: str, because: bool = True, **given: Any) -> dict[str, Any]:
        """Ask for a change, which is told as `what`."""
        reason = {"params" if method == "DELETE" else "json": WHY} if because and not given else {}
        answer = await self.ask(method, path, **given, **reason)
        found = await self.told()
        assert sorted(deed.what for deed in found) == sorted(what), (method, path)
        assert {deed.reason for deed in found} == {"because" if because else ""}, (method, path)
        assert all(deed.target for deed in found), (method, path)
        return answer


@pytest_asyncio.fixture
async def trail(tmp_path: Path) -> AsyncIterator[Trail]:
    async with web_hub(tmp_path, Access(listen="0.0.0.0", api_keys=(KEY,))) as hub:
        yield Trail(hub)


async def test_what_is_done_to_messages(trail: Trail) -> None:
    one, other = [(await trail.ask("POST", "/emails", json=LATER))["id"] for _ in range(2)]
    assert await trail.told() == [], "to give a message is no action of an operator"
    await trail.change("PATCH", f"/emails/{one}", "message.reschedule", json={"scheduled_at": "in 2 hours"} | WHY)
    for verb in ("hold", "retry", "cancel", "resend"):
        await trail.change("POST", f"/emails/{one}/{verb}", f"message.{verb}")
    many = {"action": "hold", "ids": [other]} | WHY
    await trail.change("POST", "/emails/bulk", "bulk.start", json=many)


async def test_what_is_done_to_relays_and_addresses(trail: Trail) -> None:
    for state, what in (("open", "breaker.force"), ("closed", "breaker.force"), ("auto", "breaker.release")):
        await trail.change("POST", "/breakers/capture", what, json={"state": state} | WHY)
    await trail.change("POST", "/suppressions", "suppression.add", json={"email": "x@example.org"} | WHY)
    await trail.change("DELETE", "/suppressions/x@example.org", "suppression.lift")
    both = {"emails": ["y@example.org", "z@example.org"]} | WHY
    await trail.change("POST", "/suppressions/batch/add", *["suppression.add"] * 2, json=both)
    await trail.change("POST", "/suppressions/batch/remove", *["suppression.lift"] * 2, json=both)


async def test_what_is_done_to_templates(trail: Trail) -> None:
    made = await trail.change("POST", "/templates", "template.create", because=False, json=TEMPLATE)
    path = f"/templates/{made['id']}"
    await trail.change("PATCH", path, "template.rename", because=False, json={"name": "Bye"})
    await trail.change("PATCH", path, "template.save", because=False, json={"html": "<p>Bye</p>"})
    await trail.change("POST", f"{path}/publish", "template.publish", because=False)
    await trail.change("POST", f"{path}/duplicate", "template.create", because=False)
    await trail.change("DELETE", path, "template.delete", because=False)


async def test_what_is_done_to_keys_and_users(trail: Trail) -> None:
    made = await trail.change("POST", "/api-keys", "key.create", json={"name": "shop"} | WHY)
    await trail.change("POST", f"/api-keys/{made['id']}/rotate", "key.rotate")
    await trail.change("DELETE", f"/api-keys/{made['id']}", "key.revoke")
    for user in (VERA, OTTO):
        await trail.change("POST", "/users", "user.add", json=user | WHY)
    both = {"role": "viewer", "password": "the second of her sentences"} | WHY
    await trail.change("PATCH", "/users/vera", "user.role", "user.password", json=both)
    await trail.change("DELETE", "/users/vera/sessions", "session.end_all")
    await trail.change("DELETE", "/users/vera", "user.remove")
