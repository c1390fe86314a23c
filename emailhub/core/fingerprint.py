"""The fingerprint of a message: the same for the same content, however, wherever and whenever it is given again."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from msgspec import json

from emailhub.core.message import Attachment, Submission
from emailhub.core.slices import SLICE, slices


def fingerprint(submission: Submission) -> bytes:
    """SHA-256 of what the recipients would see and when: 32 bytes.

    In it: from, to, cc, bcc, reply_to, subject, text, html, attachments, headers, tags, metadata, and scheduled_at as
    given; the order of headers, metadata and variables does not matter, a file to fetch counts by its URL, and a
    template by its id, language and variables, not by what it makes of them today. Not in it: the face, the hub's
    defaults (its sender, its expiry), the ids and the key themselves, and how the message is carried (priority,
    on_unknown, expiry), which a client that tries again often computes afresh. What a key of a batch stands for is the
    batch.
    """
    given = submission.original or submission
    content: tuple[object, ...] = (
        given.sender,
        (given.to, given.cc, given.bcc, given.reply_to),
        (given.subject, _text(given.text), _text(given.html)),
        (sorted(given.headers), given.tags, sorted(given.metadata)),
        given.scheduled_as or given.scheduled_at,
    )
    if given.attachments:
        content += (tuple(map(_file, given.attachments)),)
    if given.template:
        content += (given.template.id, given.template.language, given.template.variables)
    found = sha256(json.encode(content, order="deterministic" if given.template else None)).digest()
    return sha256(found + given.key.batch).digest() if given.key and given.key.batch else found


def of_batch(submissions: Sequence[Submission]) -> bytes:
    """SHA-256 of what the messages of a batch are, one after the other: 32 bytes. Their own keys play no part."""
    return sha256(b"".join(map(fingerprint, submissions))).digest()


def _text(given: str | None) -> str | tuple[str] | None:
    """A long text by its hash: the rest of what is encoded as one piece is small."""
    if given is None or len(given) <= SLICE:
        return given
    found = sha256()
    for piece in slices(given):
        found.update(piece.encode())
    return (found.hexdigest(),)


def _file(given: Attachment) -> tuple[str | None, ...]:
    source = sha256(given.content).hexdigest() if given.path is None else given.path
    return given.filename, given.content_type, given.content_id, source
