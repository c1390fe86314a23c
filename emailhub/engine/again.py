"""Sending a message again, to the same people or to others, as a message of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from emailhub import logs
from emailhub.core.errors import InvalidMessage, Problem, WrongState
from emailhub.core.message import Again, Limits, Mailbox, Priority, Submission
from emailhub.core.records import Detail, Origin, Receipt
from emailhub.core.view import read
from emailhub.engine.desk import Actor
from emailhub.engine.ports import History

log = logs.get("again")


class Door(Protocol):
    """The intake."""

    limits: Limits

    async def accept(self, submission: Submission, origin: Origin) -> Receipt: ...


async def resend(
    history: History,
    intake: Door,
    id: str,
    actor: Actor,
    origin: Origin,
    *,
    to: Sequence[Mailbox] = (),
    note: str = "",
) -> Receipt:
    """Accept what is in message `id` for `to`, or for everybody it was for, under a new id and Message-ID.

    It goes the way of every message: rules, limits, suppression list, signature; no key holds it back, since sending it
    twice is what is asked for. Both messages name each other. Raises NotFound; WrongState when its content was erased
    or may not be read; InvalidMessage, Refused and OutboxError as the intake does.
    """
    detail, content = await history.find(id), await history.content(id)
    if content is None:
        raise WrongState("resend", id, "empty", "its content was erased, or is for nobody to read (store_body)")
    files = len((await asyncio.to_thread(read, content)).files)
    boxes = {box.address: box for box in reversed(to)}
    if len(boxes) > intake.limits.recipients:
        raise InvalidMessage((Problem("to", f"has {len(boxes)} recipients; at most {intake.limits.recipients}"),))
    same = not boxes or boxes.keys() == {one.address for one in detail.recipients}
    again = Again(id=id, content=content, renamed=not same, files=files, actor=str(actor), note=note)
    submission = _submission(detail, again, () if same else tuple(reversed(boxes.values())))
    where = Origin(origin.face, detail.summary.correlation_id, f"{COPY_OF}{id}", origin.principal)
    receipt = await intake.accept(submission, where)
    log.info(
        "sent again",
        message_id=id,
        copy=receipt.id,
        correlation_id=detail.summary.correlation_id,
        actor=str(actor),
        note=note,
    )
    return receipt


COPY_OF = "copy of "
"""With what the origin of a message begins that has the content of another."""


def _submission(detail: Detail, again: Again, to: tuple[Mailbox, ...]) -> Submission:
    summary = detail.summary
    known = {one.address for one in detail.recipients}
    return Submission(
        to=to or _named(detail, "to"),
        cc=() if to else _named(detail, "cc"),
        bcc=() if to else _named(detail, "bcc"),
        sender=Mailbox(detail.sender, _display(summary.from_header).name),
        reply_to=tuple(map(_display, summary.reply_to)),
        subject=summary.subject,
        # What the beginning of the text is read from; the content has it whole.
        text=detail.snippet,
        made=summary.made,
        tags=detail.tags,
        metadata=detail.metadata,
        # Who asks after the request wants to know of those it was for.
        request_id=summary.request_id if known.issuperset(box.address for box in to) else None,
        on_unknown=detail.on_unknown,
        priority=Priority(summary.priority),
        again=again,
    )


def _named(detail: Detail, kind: str) -> tuple[Mailbox, ...]:
    return tuple(Mailbox(one.address) for one in detail.recipients if one.kind == kind)


def _display(text: str) -> Mailbox:
    """The mailbox as `header.display` wrote it; its address is what stands in the last brackets."""
    name, bracket, address = text.rpartition(" <")
    return Mailbox(address.removesuffix(">"), name) if bracket else Mailbox(text)
