"""What may be done about bodies from the queue that could not be read: look, mend and send, or discard."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec.structs import replace

from emailhub import logs
from emailhub.core import parse, shapes
from emailhub.core.errors import InvalidMessage, LetterSettled, NotFound, Problem
from emailhub.core.letters import Letter, LetterPage, LetterStatus
from emailhub.core.message import Key, Limits, Submission
from emailhub.core.records import Origin, Receipt
from emailhub.core.shapes import Unreadable
from emailhub.engine.desk import Actor

log = logs.get("letters")


class Letters(Protocol):
    """The letters in the outbox."""

    async def find(self, id: int) -> Letter: ...
    async def page(
        self, status: LetterStatus | None, *, before: int | None, after: int | None, limit: int
    ) -> LetterPage: ...
    async def counts(self) -> dict[LetterStatus, int]: ...
    async def settle(
        self, id: int, status: LetterStatus, *, now: float, actor: str, face: str, note: str, message: str | None
    ) -> Letter: ...


class Door(Protocol):
    """The intake."""

    limits: Limits

    async def accept(self, submission: Submission, origin: Origin) -> Receipt: ...


class DeadLetters:
    """The letters in `store`; what is mended goes in by the same door, `intake`, as everything else."""

    def __init__(self, store: Letters, intake: Door, *, now: Callable[[], float]) -> None:
        self._store = store
        self._intake = intake
        self._now = now
        # Two people who send the same letter at once must not make two messages of it.
        self._deciding = asyncio.Lock()

    async def find(self, id: str) -> Letter:
        """The letter with the id `id`, whole. Raises NotFound."""
        return await self._store.find(_number(id))

    async def page(
        self, status: LetterStatus | None, *, before: int | None = None, after: int | None = None, limit: int
    ) -> LetterPage:
        """Newest first: those older than the letter with the id `before`, or the ones just newer than `after`."""
        return await self._store.page(status, before=before, after=after, limit=limit)

    async def counts(self) -> dict[LetterStatus, int]:
        """How many there are of each status."""
        return await self._store.counts()

    async def resend(
        self, id: str, actor: Actor, origin: Origin, *, body: bytes | None = None, note: str = ""
    ) -> Letter:
        """Accept `body`, or the letter as it came when that is None, as a message, and settle the letter with it.

        A crash between the two leaves the letter open; sending the same again finds the message that was made.
        Raises NotFound; LetterSettled; InvalidMessage, IdempotencyConflict, Refused and OutboxError as the intake does.
        """
        async with self._deciding:
            letter = await self._open(id)
            submission = await asyncio.to_thread(self._read, letter, letter.body if body is None else body)
            where = replace(origin, correlation_id=letter.correlation_id, detail=f"{OF_LETTER}{letter.id}")
            receipt = await self._intake.accept(submission, where)
            return await self._settle(letter, LetterStatus.RESENT, actor, note, receipt.id)

    async def discard(self, id: str, actor: Actor, note: str) -> Letter:
        """Decide that nothing comes of it. Raises NotFound; LetterSettled; InvalidMessage when no reason is given."""
        if not note:
            raise InvalidMessage((Problem("reason", "is required: whoever misses this mail will ask"),))
        async with self._deciding:
            return await self._settle(await self._open(id), LetterStatus.DISCARDED, actor, note, None)

    async def _open(self, id: str) -> Letter:
        letter = await self.find(id)
        if letter.status is not LetterStatus.OPEN:
            raise LetterSettled(letter.id, letter.status.value)
        return letter

    async def _settle(
        self, letter: Letter, status: LetterStatus, actor: Actor, note: str, message: str | None
    ) -> Letter:
        settled = await self._store.settle(
            letter.id, status, now=self._now(), actor=str(actor), face=actor.face, note=note, message=message
        )
        log.info(
            "dead letter resent" if message else "dead letter discarded",
            letter=letter.id,
            message_id=message,
            correlation_id=letter.correlation_id,
            actor=str(actor),
            note=note,
        )
        return settled

    def _read(self, letter: Letter, body: bytes | None) -> Submission:
        """As the queue is read, so that what its publishers mean is meant here too. Raises InvalidMessage."""
        if body is None:
            raise InvalidMessage((Problem("body", "is required: that of the dead letter is not kept"),))
        request = shapes.read(body, letter.properties)
        if isinstance(request, Unreadable):
            raise InvalidMessage((Problem("body", request.reason),))
        # The same text sent twice from one letter is one message, whatever ids it carries.
        key = request.key or Key(f"letter:{letter.id}", explicit=False)
        return parse.submission(request.fields, self._intake.limits, now=self._now(), key=key)


OF_LETTER = "dead letter "
"""With what the origin of a message begins that was made of one."""


def _number(id: str) -> int:
    if not (id.isascii() and id.isdecimal() and len(id) < 19):
        raise NotFound("dead letter", id)
    return int(id)
