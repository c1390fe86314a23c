"""The SMTP server goes away and comes back: nothing fails, no attempt is used, one probe leads the way."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

CONNECTIONS = 5


@pytest.mark.timeout(300)
@pytest.mark.parametrize("waiting", (500, pytest.param(5000, marks=pytest.mark.nightly)))
async def test_an_outage_costs_no_message_and_no_attempt(
    smtp: SmtpServer, make_hub: Callable[..., Hub], waiting: int
) -> None:
    await smtp.stop()
    hub = make_hub(
        smtp,
        EMAILHUB_BREAKER_OPEN_FOR="2s",
        EMAILHUB_BREAKER_OPEN_MAX="3s",
        EMAILHUB_SMTP_CONNECTIONS=str(CONNECTIONS),
    )
    await hub.start()
    for start in range(0, waiting, 500):
        await asyncio.gather(*(hub.send(to=f"u{number}@example.org") for number in range(start, start + 500)))

    async def open_and_told() -> dict[str, Any] | None:
        told = "waiting" in (await hub.client.get("/")).text
        # Asked last: its next probe is due two seconds later, and then it is open no more for a moment.
        found: dict[str, Any] = await hub.breaker()
        return found if found["state"] == "open" and told else None

    breaker = await hub.until(open_and_told, "the breaker is open and the first page says so")
    assert "refused" in breaker["cause"].lower()
    assert breaker["next_probe_at"] is not None
    # Through several failing probes; an outage is longer than one.
    refused = await hub.until(lambda: _probes(hub, 4), "four probes failed", 30)
    assert refused >= 4
    emails = (await hub.get("/emails", limit=100))["data"]
    assert {email["status"] for email in emails} <= {"queued", "deferred", "sending"}
    assert {email["attempts"] for email in emails} == {0}

    await smtp.start()
    # Those that met the trouble themselves wait for their own time, half a minute, unless somebody has them sent now.
    put_off = [email["id"] for email in (await hub.get("/emails", limit=100, status="deferred"))["data"]]
    await smtp.wait_for(waiting - len(put_off), timeout=120)
    for id in put_off:
        assert (await hub.post(f"/emails/{id}/retry")).status_code in {200, 409}
    await hub.settled(waiting, final=("sent",))
    first = smtp.sessions[0]
    assert all(other.opened_at >= smtp.messages[0].at for other in smtp.sessions[1:]), "more than one probe"
    assert first.number == smtp.messages[0].connection
    assert len({message.message_id for message in smtp.messages}) == len(smtp.messages) == waiting
    assert _most_at_once(smtp) <= CONNECTIONS
    assert {email["attempts"] for email in (await hub.get("/emails", limit=100))["data"]} == {1}
    assert (await hub.breaker())["state"] == "closed"


def _most_at_once(smtp: SmtpServer) -> int:
    """The most connections that were open at a time."""
    changes = [(session.opened_at, 1) for session in smtp.sessions]
    changes += [(session.closed_at, -1) for session in smtp.sessions if session.closed_at is not None]
    return max(accumulate(change for _, change in sorted(changes)))


async def _probes(hub: Hub, wanted: int) -> int:
    failed = sum(line["event"] == "breaker open" and line.get("was") == "half-open" for line in hub.log())
    return failed if failed >= wanted else 0


async def test_a_rejected_login_opens_the_breaker_at_once_and_fails_nothing(
    tmp_path: Path, make_hub: Callable[..., Hub]
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    async with SmtpServer(tls="starttls", context=context, users={"hub": "right"}) as server:
        hub = make_hub(server, SMTP_USER="hub", SMTP_PASS="wrong-pass-1", EMAILHUB_SMTP_CA=str(tmp_path / "ca.pem"))
        await hub.start()
        id = await hub.send()
        breaker = await hub.until(lambda: _open(hub), "the breaker is open")
        assert breaker["failures"] == 1
        assert "535" in breaker["cause"]
        email = await hub.get(f"/emails/{id}")
        assert (email["status"], email["attempts"]) == ("deferred", 0)
        others = [await hub.send() for _ in range(20)]
        logins = [command for session in server.sessions for command in session.commands if command.startswith("AUTH")]
        assert len(logins) == 1, "a wrong password is not tried again and again"
        assert "login" in (await hub.client.get("/")).text
        await hub.stop()
        assert "wrong-pass-1" not in hub.output()

        await hub.start(SMTP_PASS="right")
        await hub.post("/breakers/default", {"state": "auto", "reason": "password corrected"})
        await server.wait_for(len(others))
        # The one that met the refusal waits for its own time, unless somebody has it sent now.
        assert (await hub.post(f"/emails/{id}/retry")).status_code == 200
        await hub.settled(1 + len(others), final=("sent",))


async def _open(hub: Hub) -> dict[str, Any] | None:
    breaker = await hub.breaker()
    return breaker if breaker["state"] == "open" else None


async def test_a_stopped_relay_keeps_mail_until_it_is_set_free(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(smtp)
    await hub.start()
    forced = await hub.post("/breakers/default", {"state": "open", "reason": "provider maintenance"})
    assert forced.status_code == 200, forced.text
    id = await hub.send()
    await hub.stop()
    await hub.start()
    breaker = await hub.breaker()
    assert (breaker["forced"], breaker["state"]) == ("open", "open")
    assert (await hub.get(f"/emails/{id}"))["status"] == "queued"
    assert not smtp.messages
    await hub.post("/breakers/default", {"state": "auto", "reason": "over"})
    await smtp.wait_for(1)
    await hub.settled(1, final=("sent",))
