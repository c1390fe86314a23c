"""A staging hub on production data mails no customer: over no door, in no state, and not after its rules are gone."""

from __future__ import annotations

import re
from collections.abc import Callable
from email import message_from_bytes
from typing import Any

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.adapters.dkim import DkimKey, load, record
from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

DEV = "dev@team.test"


def reached(smtp: SmtpServer) -> set[str]:
    """Every address that was so much as named to the server."""
    commands = [command for session in smtp.sessions for command in session.commands]
    return {found[1] for command in commands if (found := re.match(r"RCPT TO:<(.*?)>", command))}


async def kept_back(hub: Hub, id: str) -> str:
    """The id of the part of message `id` that is captured."""
    events = (await hub.get(f"/emails/{id}/events"))["data"]
    return str(next(event["data"]["companion"] for event in events if event["kind"] == "accepted"))


async def over_every_door(hub: Hub, queue: Any) -> None:
    """The same mail to a customer over both APIs and the queue."""
    await hub.send(to=["ann@customer.org", "me@team.test"], bcc=["blind@customer.org"], subject="api")
    contract = {"to": "ann@customer.org", "subject": "contract", "body": "Hi", "request_id": "r-1"}
    assert (await hub.post("/send_email/", contract)).status_code == 200
    await queue.publish({"to": "ann@customer.org", "subject": "queue", "body": "Hi", "request_id": "r-2"})


async def test_diverted_mail_reaches_one_address_over_every_door_and_nobody_else_after_the_rule_is_gone(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_DIVERT_TO=DEV, SMTP_RETRY_DELAY_SECONDS="1")
    later = smtp.on("RCPT", "451 4.3.0 Try again", to=DEV)
    signing = {"EMAILHUB_DKIM_DOMAIN": "example.org", "EMAILHUB_DKIM_SELECTOR": "s1", "EMAILHUB_DKIM_KEY": pem}
    await hub.start(**signing)
    await hub.consuming()
    await over_every_door(hub, await queue_at(rabbit_vhost))
    await smtp.wait_until(lambda: later.hits >= 3)
    await hub.stop()
    smtp.rules.clear()
    await hub.start(EMAILHUB_DIVERT_TO="")
    messages = await smtp.wait_for(3)
    await hub.settled(3, final=("sent",))
    assert reached(smtp) == {DEV}
    by_subject = {str(message_from_bytes(one.data)["Subject"]): one.data for one in messages}
    assert by_subject.keys() == {"api", "contract", "queue"}
    api = by_subject["api"]
    assert message_from_bytes(api)["To"] == "ann@customer.org, me@team.test"
    assert b"blind@customer.org" not in api
    assert DEV.encode() not in api
    published = record(load(DkimKey("example.org", "s1", pem))).encode()
    assert all(dkim.verify(data, dnsfunc=lambda *_, **__: published) for data in by_subject.values())
    listed = (await hub.get("/emails", limit=10))["data"]
    id = next(email["id"] for email in listed if email["subject"] == "api")
    shown = await hub.get(f"/emails/{id}")
    assert shown["diverted_from"] == ["ann@customer.org", "me@team.test", "blind@customer.org"]
    assert [one["address"] for one in shown["recipients"]] == [DEV]
    # A sender that sends it again is answered with what was accepted, whatever the rules are by now.
    repeated = {"to": "ann@customer.org", "subject": "contract", "body": "Hi", "request_id": "r-1"}
    assert (await hub.post("/send_email/", repeated)).status_code == 200
    assert (await hub.post("/status/", {"request_id": "r-1"})).json()["status"] == "delivered"
    assert await hub.counts() == {"sent": 3}
    assert reached(smtp) == {DEV}


async def test_allowed_recipients_get_their_mail_and_the_rest_is_captured_until_somebody_sends_it_for_real(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost, EMAILHUB_ALLOW_RECIPIENTS="team.test")
    await hub.start()
    await hub.consuming()
    await over_every_door(hub, await queue_at(rabbit_vhost))
    await smtp.wait_for(1)
    await hub.settled(4, final=("sent",))
    listed = (await hub.get("/emails", limit=10))["data"]
    relays = sorted((email["subject"], email["relay"]) for email in listed)
    assert relays == [("api", "capture"), ("api", "default"), ("contract", "capture"), ("queue", "capture")]
    assert reached(smtp) == {"me@team.test"}
    assert (await hub.post("/status/", {"request_id": "r-1"})).json()["status"] == "delivered"
    await hub.stop()
    await hub.start(EMAILHUB_ALLOW_RECIPIENTS="")
    real = next(email["id"] for email in listed if email["relay"] == "default")
    kept = await kept_back(hub, real)
    assert (await hub.post(f"/emails/{kept}/retry")).status_code == 409
    await hub.send(to="me@team.test", subject="after")
    await smtp.wait_for(2)
    assert reached(smtp) == {"me@team.test"}
    answer = await hub.client.post(f"/messages/{kept}/send", follow_redirects=False)
    assert answer.status_code == 303, answer.text
    (_, _, sent) = await smtp.wait_for(3)
    assert sent.recipients == ["ann@customer.org", "blind@customer.org"]


async def test_what_waits_for_the_capture_relay_never_fails_over_to_one_that_sends(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(smtp, EMAILHUB_ALLOW_RECIPIENTS="team.test", EMAILHUB_FAILOVER_AFTER="0s")
    await hub.start()
    assert (await hub.post("/breakers/capture", {"state": "open", "reason": "test"})).status_code == 200
    kept = await hub.send(to="ann@customer.org")
    await hub.send(to="me@team.test")
    await smtp.wait_for(1)
    await hub.stop()
    await hub.start(EMAILHUB_ALLOW_RECIPIENTS="")
    await hub.send(to="me@team.test", subject="again")
    await smtp.wait_for(2)
    assert reached(smtp) == {"me@team.test"}
    assert (await hub.get(f"/emails/{kept}"))["status"] == "queued"


async def test_mail_of_the_chaos_relay_stays_captured_when_the_hub_begins_to_send(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(None, EMAILHUB_CHAOS="permanent=100%")
    await hub.start()
    failed = await hub.send(to="ann@customer.org")
    await hub.settled(1, final=("failed",))
    await hub.stop()
    await hub.start(SMTP_HOST="127.0.0.1", SMTP_PORT=str(smtp.port), EMAIL_FROM="hub@example.org", EMAILHUB_CHAOS="")
    assert (await hub.post(f"/emails/{failed}/retry")).status_code == 200
    await hub.settled(1, final=("sent",))
    assert (await hub.get(f"/emails/{failed}"))["reason"] == "captured"
    assert smtp.sessions == []
