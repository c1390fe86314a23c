"""API keys over the command line and real requests, through a crash."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from tests.acceptance.hub import Hub

PASSWORD = "correct horse battery"
MAIL = {"from": "a@shop.example", "to": "ada@example.org", "subject": "Hello", "text": "Hi"}


async def run(hub: Hub, *arguments: str) -> str:
    """What the command writes on standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "emailhub", *arguments),
        cwd=hub.folder,
        env=hub.env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode().strip()


async def test_the_first_key_is_made_with_the_password_and_outlives_a_crash(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None)
    await hub.start(EMAILHUB_ADMIN_PASSWORD=PASSWORD, EMAILHUB_HOST="0.0.0.0")
    assert (await hub.post("/emails", MAIL)).status_code in {401, 403}
    token = await run(hub, "keys", "create", "shop", "--from-domain", "shop.example", "--daily-quota", "2")
    bearer = {"Authorization": f"Bearer {token}"}
    assert (await hub.post("/emails", MAIL, **bearer)).status_code == 200
    assert (await hub.post("/emails", MAIL | {"from": "a@other.example"}, **bearer)).status_code == 422
    assert (await hub.client.get("/emails", headers=bearer)).json()["name"] == "restricted_api_key"

    await hub.kill9()
    await hub.start()
    assert [(await hub.post("/emails", MAIL, **bearer)).status_code for _ in range(2)] == [200, 429]
    new = await run(hub, "keys", "rotate", "shop", "--grace", "0", "--reason", "leaked")
    assert (await hub.post("/emails", MAIL, **bearer)).json()["name"] == "invalid_api_key"
    assert (await hub.post("/emails", MAIL, Authorization=f"Bearer {new}")).json()["name"] == "daily_quota_exceeded"
    assert "shop  live  send  from shop.example  2 a day" in await run(hub, "keys", "list")
    assert await run(hub, "keys", "revoke", "shop") == "shop  revoked"
    assert (await hub.post("/emails", MAIL, Authorization=f"Bearer {new}")).json()["name"] != "daily_quota_exceeded"
    assert token not in hub.output()
    assert new not in hub.output()
