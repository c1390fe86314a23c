"""The file of relays changes while mail flows: no message is lost or sent twice, and a mistake changes nothing."""

from __future__ import annotations

import asyncio
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import trustme

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def servers() -> AsyncIterator[tuple[SmtpServer, SmtpServer, SmtpServer]]:
    """Three listening SMTP servers."""
    async with AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(SmtpServer()) for _ in range(3)]
        yield first, second, third


def relay(name: str, server: SmtpServer, **more: object) -> str:
    """A table of the file."""
    lines = [f'name = "{name}"', 'host = "127.0.0.1"', f"port = {server.port}", 'tls = "none"']
    lines += [f"{key} = {toml(value)}" for key, value in more.items()]
    return "\n".join(["[[relay]]", *lines, ""])


def toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)


class Reloading:
    """A hub with a file of relays, and the command that has it read again."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub

    def write(self, *tables: str) -> None:
        (self.hub.folder / "emailhub.toml").write_text("\n".join(tables))

    async def reload(self, *tables: str, url: str = "", folder: Path | None = None) -> tuple[int, str]:
        """Write `tables` and run `emailhub reload`; its exit code and what it said."""
        self.write(*tables)
        env = self.hub.env | ({"EMAILHUB_URL": url} if url else {})
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "emailhub", "reload"),
            cwd=folder or self.hub.folder,
            env=env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    async def pause(self, name: str) -> None:
        answer = await self.hub.post(f"/breakers/{name}", {"state": "open", "reason": "test"})
        assert answer.status_code == 200, answer.text

    async def resume(self, name: str) -> None:
        answer = await self.hub.post(f"/breakers/{name}", {"state": "auto", "reason": "test"})
        assert answer.status_code == 200, answer.text

    async def send(self, count: int, sender: str = "hub@example.org") -> list[str]:
        return await asyncio.gather(
            *(self.hub.send(to=f"u{number}@example.net", **{"from": sender}) for number in range(count))
        )


@pytest_asyncio.fixture
async def reloading(make_hub: Callable[..., Hub]) -> Reloading:
    """A hub that is not started yet."""
    return Reloading(make_hub(None, EMAIL_FROM="hub@example.org", EMAILHUB_FAILOVER_AFTER="1h"))


def subjects(server: SmtpServer) -> int:
    ids = [message.message_id for message in server.messages]
    assert len(ids) == len(set(ids)), "a message came twice"
    return len(ids)


async def test_relays_are_added_changed_and_drained_while_mail_waits(
    reloading: Reloading, servers: tuple[SmtpServer, SmtpServer, SmtpServer]
) -> None:
    first, second, third = servers
    hub = reloading.hub
    reloading.write(relay("a", first, from_domains=["example.org"]))
    await hub.start()
    await reloading.send(1)
    await first.wait_for(1)
    unknown = await hub.post("/emails", {"from": "x@brand.example", "to": "u@example.net", "subject": "s", "text": "t"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "from")

    # Added, and another one held to a rate: both at once, by name.
    brand = relay("brand", second, from_domains=["brand.example"])
    code, said = await reloading.reload(relay("a", first, from_domains=["example.org"], rate="1000/h"), brand)
    assert (code, said.splitlines()) == (
        0,
        ["relay a: rate: not set -> 1000/h", f"relay brand: added at 127.0.0.1:{second.port}"],
    )
    await reloading.send(3, "x@brand.example")
    await second.wait_for(3)
    (limit,) = (await hub.get("/relays/a"))["limits"]
    assert (limit["limit"], limit["seconds"]) == (1000, 3600.0)

    # Drained: what waits for it still goes out over it, what comes now goes elsewhere.
    await reloading.pause("a")
    await reloading.send(5)
    heir = relay("heir", third, from_domains=["example.org"])
    drained = relay("a", first, from_domains=["example.org"], rate="1000/h", drain=True)
    code, said = await reloading.reload(drained, brand, heir)
    assert code == 0, said
    assert "relay a: drain: false -> true" in said
    await reloading.send(4)
    await third.wait_for(4)
    assert subjects(first) == 1
    await reloading.resume("a")
    await first.wait_for(6)
    await hub.settled(13, final=("sent",))
    assert (subjects(first), subjects(second), subjects(third)) == (6, 3, 4)
    assert (await hub.get("/relays/a"))["draining"] is True


async def test_mail_of_a_relay_that_is_removed_goes_over_another_and_none_is_lost(
    reloading: Reloading, servers: tuple[SmtpServer, SmtpServer, SmtpServer]
) -> None:
    first, second, _ = servers
    reloading.write(relay("a", first), relay("b", second, priority=1))
    await reloading.hub.start()
    await reloading.pause("a")
    ids = await reloading.send(30)
    assert second.count == 0
    code, said = await reloading.reload(relay("b", second, priority=1))
    assert (code, said) == (0, "relay a: removed\n")
    await second.wait_for(30)
    await reloading.hub.settled(30, final=("sent",))
    assert (subjects(first), subjects(second)) == (0, 30)
    names = [one["name"] for one in (await reloading.hub.get("/relays"))["data"]]
    assert "a" not in names
    assert (await reloading.hub.get(f"/emails/{ids[0]}"))["attempts"] == 1

    # And back again, under a load that does not stop meanwhile.
    sending = asyncio.create_task(reloading.send(60))
    assert (await reloading.reload(relay("a", first), relay("b", second, priority=1)))[0] == 0
    assert (await breaker(reloading.hub, "a"))["forced"] == "open", "the pause is not forgotten with the table"
    await reloading.resume("a")
    assert (await reloading.reload(relay("a", first), relay("b", second, priority=1, connections=2)))[0] == 0
    await sending
    await reloading.hub.settled(90, final=("sent",))
    assert subjects(first) + subjects(second) == 90


async def test_a_file_that_does_not_work_is_refused_whole(
    reloading: Reloading, servers: tuple[SmtpServer, SmtpServer, SmtpServer], tmp_path: Path
) -> None:
    first, second, _ = servers
    hub = reloading.hub
    reloading.write(relay("a", first))
    await hub.start()
    before = await hub.get("/relays")
    broken = (relay("a", second, rate="fast"), relay("b", second, from_domain="x.org"))

    # The command that reads the same file, and one that only knows where the hub is.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    url = str(hub.client.base_url)
    for folder in (hub.folder, elsewhere):
        code, said = await reloading.reload(*broken, url=url, folder=folder)
        assert code == 78
        assert 'relay[1] "a".rate (file emailhub.toml): ' in said
        assert 'relay[2] "b".from_domain (file emailhub.toml): there is no such key. Did you mean from_domains?' in said

    # The signal has nobody to answer to but the log.
    assert hub.process is not None
    refused = len(refusals(hub))
    hub.process.send_signal(signal.SIGHUP)

    async def told() -> bool:
        return len(refusals(hub)) > refused

    await hub.until(told, "the log says that the settings were refused")
    line = refusals(hub)[-1]
    assert line["by"] == "the signal SIGHUP"
    assert len(line["problems"]) == 2

    assert [one["host"] for one in (await hub.get("/relays"))["data"]] == [one["host"] for one in before["data"]]
    await reloading.send(2)
    await first.wait_for(2)
    assert second.count == 0

    # Repaired, the same signal applies it.
    reloading.write("suppress_refused = true", relay("a", second))
    hub.process.send_signal(signal.SIGHUP)

    async def applied() -> bool:
        return any(line["event"] == "settings read again" and line["applied"] for line in hub.log())

    await hub.until(applied, "the log says what changed")
    second.on("RCPT", "550 5.1.1 User unknown", to="u0@example.net")
    await reloading.send(2)
    await second.wait_for(1)
    await hub.settled(4)
    listed = (await hub.get("/suppressions"))["data"]
    assert [(one["email"], one["added_over"]) for one in listed] == [("u0@example.net", "automatic")]


async def breaker(hub: Hub, name: str) -> dict[str, Any]:
    found: dict[str, Any] = await hub.get(f"/breakers/{name}")
    return found


def refusals(hub: Hub) -> list[dict[str, Any]]:
    return [line for line in hub.log() if line["event"] == "settings refused"]


@pytest.mark.nightly
async def test_a_renewed_authority_under_the_same_name_is_trusted_after_a_reload(
    reloading: Reloading, tmp_path: Path
) -> None:
    old, new, file = trustme.CA(), trustme.CA(), tmp_path / "ca.pem"
    old.cert_pem.write_to_path(file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    new.issue_cert("127.0.0.1").configure_cert(context)
    async with SmtpServer(tls="starttls", context=context) as server:
        lines = f'[[relay]]\nname = "a"\nhost = "127.0.0.1"\nport = {server.port}\ntls = "starttls"\nca = "{file}"\n'
        reloading.write(lines)
        await reloading.hub.start()
        (id,) = await reloading.send(1)

        async def refused() -> bool:
            return (await reloading.hub.get(f"/emails/{id}"))["status"] == "deferred"

        await reloading.hub.until(refused, "the certificate is not trusted")
        assert (await reloading.reload(lines))[1].strip() == "nothing has changed"
        new.cert_pem.write_to_path(file)
        code, said = await reloading.reload(lines)
        assert (code, said.strip()) == (0, f"relay a: ca: {file} holds something else")
        await reloading.send(1)
        await server.wait_for(1, timeout=10)
