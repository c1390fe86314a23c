"""Files that a sender names by URL, fetched before the message is built."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from emailhub.core.errors import FetchFailed, IdempotencyConflict, InvalidMessage, Problem, Refused
from emailhub.core.fingerprint import fingerprint
from emailhub.core.message import Attachment, Submission
from emailhub.core.records import Receipt
from emailhub.engine.keys import QueueFacts, key_of, key_since
from emailhub.engine.ports import Fetcher, Outbox

PATIENCE = 30.0
"""Seconds for all files of a message: a request must not wait longer, nor the queue behind it."""
WAITS = (1.0, 3.0)
"""Seconds before the further tries of a file whose server fails in passing: what came from the queue is a dead letter
after the last one, and the queue behind it waits meanwhile."""
MOST = 128 * 2**20
"""Bytes of fetched files in memory at a time, over all calls: a request of a few kilobytes can name gigabytes."""
_OFF = "is a URL, and this hub fetches none (EMAILHUB_ATTACHMENT_URLS); give the content in base64"


class Larder:
    """Counts the bytes of fetched files that are in memory."""

    def __init__(self) -> None:
        self.used = 0

    @contextmanager
    def shelf(self, size: int) -> Iterator[Shelf]:
        """The files of one call, until its messages are stored; `size` is what one message may have."""
        shelf = Shelf(self, max(MOST, size))
        try:
            yield shelf
        finally:
            self.used -= shelf.used


class Shelf:
    """The fetched files of one call."""

    def __init__(self, larder: Larder, most: int) -> None:
        self._larder = larder
        self._most = most
        self.used = 0

    def put(self, size: int = 0) -> None:
        """Count a file. Raises Refused when this call or all together have too much; with 0, when they are full."""
        if self.used + size >= self._most:
            text = f"The files that the messages of this call name by URL are more than {_mib(self._most)}: give fewer"
            raise Refused("payload_too_large", text, status=413)
        if self._larder.used + size >= self._most:
            raise Refused("service_unavailable", f"{_mib(self._most)} of files are being fetched already")
        self.used += size
        self._larder.used += size


def names_urls(submission: Submission) -> bool:
    """Whether any file of the message is still to be fetched."""
    return any(file.path is not None for file in submission.attachments)


async def known(
    outbox: Outbox, submission: Submission, queue: QueueFacts | None, now: float
) -> Receipt | IdempotencyConflict | None:
    """The answer under the message's key: when the same request comes again, file or template may be gone, and the
    time it names over."""
    key, _, matches = key_of(submission, queue)
    if key is None or not matches:
        return None
    return await outbox.known(key, fingerprint(submission), key_since(submission, queue, now))


async def fetched(submission: Submission, fetcher: Fetcher | None, most_bytes: int, shelf: Shelf) -> Submission:
    """`submission` with the content of all its files, `most_bytes` in all. Raises InvalidMessage naming the file;
    Refused when there is no more room on the `shelf`.

    The URLs stay beside the content: the fingerprint goes by them, since what they lead to may change.
    """
    numbers = [number for number, file in enumerate(submission.attachments) if file.path is not None]
    if fetcher is None:
        raise InvalidMessage(tuple(Problem(_field(number), _OFF) for number in numbers))
    files = list(submission.attachments)
    number = numbers[0]
    try:
        async with asyncio.timeout(PATIENCE):
            for number in numbers:
                shelf.put()
                files[number] = await _filled(files[number], fetcher, most_bytes - sum(map(_size, files)))
                shelf.put(len(files[number].content))
    except FetchFailed as failed:
        raise InvalidMessage((Problem(_field(number), f"cannot be fetched: {failed}"),)) from None
    except TimeoutError:
        sentence = f"cannot be fetched: the files of this message took longer than {PATIENCE:g} s together"
        raise InvalidMessage((Problem(_field(number), sentence),)) from None
    return replace(submission, attachments=tuple(files))


async def _filled(file: Attachment, fetcher: Fetcher, room: int) -> Attachment:
    assert file.path is not None
    for wait in WAITS:
        try:
            return replace(file, content=await fetcher.fetch(file.path, max(room, 0)))
        except FetchFailed as failed:
            if not failed.passing:
                raise
        await asyncio.sleep(wait)
    return replace(file, content=await fetcher.fetch(file.path, max(room, 0)))


def _mib(size: int) -> str:
    return f"{size / 2**20:g} MiB"


def _size(file: Attachment) -> int:
    return len(file.content)


def _field(number: int) -> str:
    return f"attachments[{number}].path"
