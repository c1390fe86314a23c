"""A message sent again by the real process: what arrives is a message of its own, signed as one."""

from __future__ import annotations

from collections.abc import Callable
from email import message_from_bytes

import dkim
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.adapters.dkim import DkimKey, load, record
from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


async def test_what_is_sent_again_has_one_signature_that_an_independent_verifier_accepts(
    smtp: SmtpServer, make_hub: Callable[..., Hub]
) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    hub = make_hub(smtp, EMAILHUB_DKIM_DOMAIN="example.org", EMAILHUB_DKIM_SELECTOR="s1", EMAILHUB_DKIM_KEY=pem)
    await hub.start()
    id = await hub.send(to="ada@example.net", html="<p>Grüße</p>", attachments=[{"filename": "a", "content": "QQ=="}])
    for body in ({}, {"to": "Bob <bob@example.net>", "reason": "he asked for it"}):
        assert (await hub.post(f"/emails/{id}/resend", body)).status_code == 200
    arrived = [one.data for one in await smtp.wait_for(3)]
    published = record(load(DkimKey("example.org", "s1", pem))).encode()
    for data in arrived:
        assert len(message_from_bytes(data).get_all("DKIM-Signature", [])) == 1
        assert dkim.verify(data, dnsfunc=lambda *_, **__: published)
    assert len({str(message_from_bytes(data)["DKIM-Signature"]) for data in arrived}) == 3
    assert len({str(message_from_bytes(data)["Message-ID"]) for data in arrived}) == 3
    assert sorted(str(message_from_bytes(data)["To"]) for data in arrived) == [
        "Bob <bob@example.net>",
        "ada@example.net",
        "ada@example.net",
    ]
