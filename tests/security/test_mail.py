"""What a sender writes stays what it is: no header, recipient, command or second message comes out of it.

Everything here goes in over HTTP, through the real process, and is read where it arrives: by an SMTP server.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import httpx
import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import Message, SmtpServer

TO = "ada@example.org"
VICTIM = "victim@evil.test"
STORY = {"to": TO, "subject": "Hello", "text": "Hi."}
CHARS = ("\r\n", "\n", "\r", "\x00", "\u2028")
TRICK = f"Bcc: {VICTIM}"
ENCODED = (
    f"=?utf-8?q?x=0ABcc:_{VICTIM}?=",
    f"=?utf-8?q?x=0D=0ABcc:_{VICTIM}?=",
    "=?utf-8?b?eA1CY2M6IHZpY3RpbUBldmlsLnRlc3Q=?=",
    f"=?us-ascii?Q?=0A?= =?us-ascii?Q?Bcc=3A_{VICTIM}?=",
    f"=?utf-7?q?+AA0ACg-Bcc:_{VICTIM}?=",
)
ENDINGS = (
    "\r\n.\r\n",
    "\n.\n",
    "\n.\r\n",
    "\r\n.\n",
    "\r.\r",
    "\r.\r\n",
    "\r\n.\r",
    "\r\r\n.\r\r\n",
    "\n\n.\r\n",
    "\n.\r",
    "\x00\r\n.\r\n",
)
SMUGGLED = f"MAIL FROM:<evil@evil.test>\r\nRCPT TO:<{VICTIM}>\r\nDATA\r\nSubject: smuggled\r\n\r\nevil\r\n.\r\n"
HEADERS = {
    "date",
    "from",
    "to",
    "subject",
    "message-id",
    "auto-submitted",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
}


def with_breaks() -> Iterator[dict[str, Any]]:
    """Every field that reaches a header, with every character that could end a line in it."""
    for char in CHARS:
        text = f"a{char}{TRICK}"
        for field in (
            "subject",
            "to",
            "cc",
            "bcc",
            "reply_to",
            "from",
            "unsubscribe_url",
            "request_id",
            "correlation_id",
        ):
            yield {field: text}
            if field in {"to", "cc", "reply_to", "from"}:
                yield {field: f'"{text}" <{TO}>'}
                yield {field: f"{text} <{TO}>"}
        yield {"headers": {"X-A": text}}
        yield {"headers": {f"X-A{char}{TRICK}": "a"}}
        yield {"tags": [{"name": "a", "value": text}]}
        for part in ("filename", "content_id", "content_type"):
            yield {"attachments": [{"filename": "a.txt", "content": "QQ==", part: text}]}


def confused() -> Iterator[dict[str, Any]]:
    """Addresses that one reader takes for another one's, and headers that are not a sender's to set."""
    for address in (
        f"{TO}, {VICTIM}", f"{TO};{VICTIM}", f"<{TO}><{VICTIM}>", f"@relay.test:{VICTIM}", f"<@relay.test:{VICTIM}>",
        f"{TO}> SIZE=1", f'"{VICTIM}"@example.org', f"{TO} ({VICTIM})", f"a:{VICTIM};", f"ada@example.org\\@{VICTIM}",
        f"ada%{VICTIM}@", "ada@[127.0.0.1]", f"=?utf-8?q?{VICTIM}?=@example.org", f"{TO}\u200b,{VICTIM}",
        f"{TO}>\u2028RCPT TO:<{VICTIM}",
    ):  # fmt: skip
        yield {"to": address}
    for name in (
        "Bcc",
        "bCC",
        "To",
        "Cc",
        "From",
        "Sender",
        "Return-Path",
        "Received",
        "Resent-To",
        "DKIM-Signature",
        "Content-Type",
    ):
        yield {"headers": {name: VICTIM}}
    for name in ("X-A:", "X A", "X-A\u00a0", "", ":", "X-A\x00", "Bcc\u200b"):
        yield {"headers": {name: VICTIM}}
    for name in ("../../etc/passwd", "a/b", "a\\b", "..", "cod\u202efdp.exe", "a\x00.txt", "x" * 300):
        yield {"attachments": [{"filename": name, "content": "QQ=="}]}


def strange() -> Iterator[dict[str, Any]]:
    """What may be sent, and must arrive as what it is."""
    for text in ENCODED:
        yield {"subject": text}
        yield {"from": f'"{text}" <hub@example.org>'}
        yield {"to": f'"{text}" <{TO}>'}
        yield {"headers": {"X-A": text}}
        yield {"attachments": [{"filename": text, "content": "QQ=="}]}
    for ending, field in itertools.product(ENDINGS, ("text", "html")):
        yield {field: f"before{ending}{SMUGGLED}"}
    yield {"attachments": [{"filename": 'quo"te;name=x.txt', "content": "Lg0KLg0K"}]}
    yield {"bcc": ["hidden@example.org"]}
    yield {"text": ".\r\n..\r\n.", "html": "<p>\r\n.\r\n</p>"}


def assert_harmless(message: Message) -> EmailMessage:
    """A single message of ours, to those it was for, with our headers and no other."""
    assert VICTIM not in message.recipients
    head, _, _ = message.data.partition(b"\r\n\r\n")
    assert message.data.count(b"\r\n") == message.data.count(b"\n") == message.data.count(b"\r")
    assert message.data.isascii()
    assert b"\x00" not in message.data
    for how in (policy.SMTP, policy.default, policy.compat32):
        parsed = message_from_bytes(message.data, policy=how)
        names = [name.lower() for name in parsed]
        assert set(names) <= HEADERS | {"x-a"}, names
        assert len(set(names)) == len(names)
        # Whoever decodes and writes it anew gets no header more.
        again = message_from_bytes(parsed.as_bytes(), policy=how)
        assert [name.lower() for name in again] == names
    assert b"hidden@example.org" not in head
    return message_from_bytes(message.data, policy=policy.default)  # type: ignore[return-value]


async def answers(hub: Hub, changes: Sequence[dict[str, Any]]) -> list[httpx.Response]:
    """What the hub says to a message with each of `changes`."""
    found = []
    for start in range(0, len(changes), 20):
        found += await asyncio.gather(*(hub.post("/emails", STORY | fields) for fields in changes[start : start + 20]))
    return found


@pytest.mark.parametrize(
    "chunking",
    (pytest.param(False, id="DATA"), pytest.param(True, id="BDAT", marks=pytest.mark.nightly)),
)
async def test_what_a_sender_writes_is_refused_or_arrives_as_what_it_is(
    make_hub: Callable[..., Hub], chunking: bool
) -> None:
    async with SmtpServer(chunking=chunking) as smtp:
        hub = make_hub(smtp)
        await hub.start()
        bad = [*with_breaks(), *confused()]
        for fields, answer in zip(bad, await answers(hub, bad), strict=True):
            assert answer.status_code == 422, (fields, answer.text)
            assert answer.json()["errors"], fields
        sent = list(strange())
        given = [STORY | fields for fields in sent]
        for fields, answer in zip(given, await answers(hub, sent), strict=True):
            assert answer.status_code == 200, (fields, answer.text)
        await smtp.wait_until(lambda: smtp.count >= len(given))
        assert await hub.stop() == 0
    assert smtp.count == len(given)
    subjects = sorted(str(assert_harmless(message)["subject"]) for message in smtp.messages)
    assert subjects == sorted(fields["subject"] for fields in given)
    said = [command for session in smtp.sessions for command in session.commands]
    assert {command.split()[0] for command in said} <= {"EHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "NOOP", "QUIT"}
    wanted = {f"RCPT TO:<{address}>" for address in (TO, "hidden@example.org")}
    assert {command for command in said if command.startswith("RCPT")} == wanted
    assert {command.split(" ")[1] for command in said if command.startswith("MAIL")} == {"FROM:<hub@example.org>"}
    hidden = [message for message in smtp.messages if "hidden@example.org" in message.recipients]
    assert len(hidden) == 1
    assert b"hidden@" not in hidden[0].data
