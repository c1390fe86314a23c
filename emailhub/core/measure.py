"""How large a message has become, and what makes it so."""

from __future__ import annotations

from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.message import Submission


def check_size(submission: Submission, content: bytes, most: int) -> None:
    """Raises InvalidMessage, naming the largest field, when the finished `content` has more than `most` bytes."""
    if len(content) > most:
        larger, _ = max(_sizes(submission), key=lambda part: part[1])
        sentence = f"makes a message of {len(content)} bytes, the limit is {most} (EMAILHUB_MAX_MESSAGE_SIZE)"
        raise InvalidMessage((Problem(larger, sentence),))


def _sizes(submission: Submission) -> list[tuple[str, int]]:
    """The fields that make a message large, with their characters or bytes."""
    files = [
        (f"attachments[{at}].{'content' if file.path is None else 'path'}", len(file.content))
        for at, file in enumerate(submission.attachments)
    ]
    return [("text", len(submission.text or "")), ("html", len(submission.html or "")), *files]
