"""People at the real process: added by command, logged in, at work, and still there after it was killed."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import httpx
import pytest

from tests.acceptance.hub import Hub

SECRET = "the secret of admin"
PASSWORD = "a sentence only olga knows"
HTML = {"accept": "text/html"}


async def command(hub: Hub, *arguments: str, stdin: str = "") -> str:
    """What `emailhub` says, as somebody runs it beside the hub."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "emailhub", *arguments),
        cwd=hub.folder,
        env=hub.env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(stdin.encode())
    assert process.returncode == 0, said.decode()
    return said.decode()


class Browser:
    """A browser at the hub's dashboard."""

    def __init__(self, hub: Hub) -> None:
        origin = f"http://127.0.0.1:{hub.port}"
        self.client = httpx.AsyncClient(base_url=origin, headers={**HTML, "origin": origin}, trust_env=False)

    async def log_in(self, name: str, password: str) -> int:
        answer = await self.client.post("/login", data={"username": name, "password": password})
        return answer.status_code

    async def page(self, path: str) -> tuple[int, str]:
        answer = await self.client.get(path)
        return answer.status_code, answer.text


@pytest.mark.nightly
async def test_a_log_in_and_what_was_done_with_it_outlive_kill_9(make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(None, EMAILHUB_ADMIN_PASSWORD=SECRET)
    await hub.start()
    assert "olga  operator" in await command(
        hub, "users", "add", "olga", "--role", "operator", "--password-stdin", stdin=f"{PASSWORD}\n"
    )
    olga, admin = Browser(hub), Browser(hub)
    assert await olga.log_in("olga", "a sentence nobody knows") == 401
    assert await olga.log_in("olga", PASSWORD) == 303
    assert await admin.log_in("admin", SECRET) == 303
    id = await hub.send(scheduled_at="in 1 hour")
    assert (await olga.client.post(f"/messages/{id}/hold", data={})).status_code == 303

    await hub.kill9()
    await hub.start()
    status, log = await olga.page("/audit?actor=olga")
    assert status == 200
    assert "Held a message" in log
    assert "Tried to log in" in log
    assert (await admin.page("/users"))[0] == 200
    assert "olga" in await command(hub, "users", "list")

    # Another password in the settings, now as a hash, ends what was begun with the one before.
    other = (await command(hub, "users", "hash", "--password-stdin", stdin="another secret of admin\n")).strip()
    await hub.stop()
    await hub.start(EMAILHUB_ADMIN_PASSWORD=other)
    assert (await admin.page("/users"))[0] == 303
    assert (await olga.page("/users"))[0] == 200
    assert await admin.log_in("admin", SECRET) == 401
    assert await admin.log_in("admin", other) == 401, "a hash is no password"
    assert await admin.log_in("admin", "another secret of admin") == 303

    assert "olga" in await command(hub, "users", "list"), (
        "the API is open on loopback, and no hash is tried as a password"
    )

    tokens = [browser.client.cookies["emailhub_session"] for browser in (olga, admin)]
    for browser in (olga, admin):
        await browser.client.aclose()
    kept = b"".join(path.read_bytes() for path in hub.folder.glob("emailhub.db*"))
    for text in (SECRET, PASSWORD, *tokens):
        assert text.encode() not in kept
        assert text not in hub.output()
