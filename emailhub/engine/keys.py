"""Under which key a message is accepted, so that the same one is never accepted twice."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.fingerprint import fingerprint
from emailhub.core.message import Submission

REDELIVERED_WITHIN = 86400.0
"""Seconds in which a queue body without any id that RabbitMQ gives again is the one it gave before: the same text a day
later is more likely a new message."""


class QueueFacts(Struct, frozen=True):
    """What is known of a queue message: its raw `body`, the body's hash, and if RabbitMQ delivered it before."""

    body: bytes
    body_hash: str
    redelivered: bool


def key_of(submission: Submission, queue: QueueFacts | None) -> tuple[str | None, bool, bool]:
    """The key as stored; if other content under it is a conflict; if an older message under it is this one."""
    key = submission.key
    if key is None:
        # Without any id, only RabbitMQ's own word that it delivered this body before makes it a duplicate.
        return (queue.body_hash, False, queue.redelivered) if queue else (None, False, True)
    if key.explicit:
        return key.value, True, True
    return f"{key.value}#{fingerprint(submission).hex()}", False, True


def key_since(submission: Submission, queue: QueueFacts | None, now: float) -> float:
    """Unix seconds: what was accepted under the key before then is another message."""
    return now - REDELIVERED_WITHIN if queue and submission.key is None else 0.0
