"""What is sent: distinct plain messages of about 2 KB for one recipient each."""

from __future__ import annotations

import json

SENDER = "hub@bench.example"
_LINE = "The quick brown fox jumps over the lazy dog, and nobody is surprised.\n"


def address(number: int) -> str:
    """The recipient of message `number`; the sink reads the number back from it."""
    return f"m{number}@bench.example"


def text(number: int) -> str:
    return f"Message {number}\n\n" + _LINE * 28


def body(number: int) -> bytes:
    """Message `number` as JSON, as the original endpoint takes it."""
    fields = {
        "to": address(number), "subject": f"Message {number}", "body": text(number), "request_id": f"bench-{number}"
    }  # fmt: skip
    return json.dumps(fields).encode()


def rfc5322(number: int) -> bytes:
    """Message `number` as it goes over SMTP: complete, lines ended by CRLF, no line that begins with a dot."""
    head = (
        f"From: {SENDER}\nTo: {address(number)}\nSubject: Message {number}\nDate: Tue, 24 Nov 2026 08:00:00 +0000\n"
        f"Message-ID: <{number}@bench.example>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n"
    )
    return (head + text(number)).replace("\n", "\r\n").encode()
