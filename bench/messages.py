"""What is sent: distinct plain messages of about 2 KB for one recipient each, as the original endpoint takes them."""

from __future__ import annotations

import json

_LINE = "The quick brown fox jumps over the lazy dog, and nobody is surprised.\n"


def address(number: int) -> str:
    """The recipient of message `number`."""
    return f"m{number}@bench.example"


def body(number: int) -> bytes:
    """Message `number` as JSON."""
    text = f"Message {number}\n\n" + _LINE * 28
    fields = {"to": address(number), "subject": f"Message {number}", "body": text, "request_id": f"bench-{number}"}
    return json.dumps(fields).encode()
