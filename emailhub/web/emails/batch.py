"""Up to a hundred messages given at once: all or none, or as many as are good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from litestar import Response, post
from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from emailhub.core.errors import BatchRefused, IdempotencyConflict, InvalidMessage, Problem, SenderNotAllowed
from emailhub.core.fingerprint import of_batch
from emailhub.core.message import Key, Submission
from emailhub.core.parse import PROBLEMS
from emailhub.core.records import Origin, Receipt
from emailhub.engine.intake import HEAVY
from emailhub.web.body import as_object, read_list
from emailhub.web.emails.sending import REPLAYED, key_of, read
from emailhub.web.errors import BadParameters, MissingFields, WebError, answer_of
from emailhub.web.faces import API, Faces, GivenFaces
from emailhub.web.shapes import Accepted, AcceptedBatch, BatchError
from emailhub.web.visit import AnyRequest, refuse, visit

MOST: Final = 100
MODES: Final = ("strict", "permissive")
_PART = "\x1f"
"""Between a key and the number of a message in its batch; no key and no request id can have it."""


_Given = Submission | InvalidMessage


@post("/emails/batch", status_code=200)
async def send_batch(request: AnyRequest, faces: GivenFaces) -> Response[AcceptedBatch]:
    """Take up to a hundred messages in one commit; the answer comes once all are durable."""
    permissive, key, origin = _permissive(request), key_of(request), visit(request).origin(API)
    given = await _read_all(await read_list(request, MOST), faces)
    errors: list[BatchError] | UnsetType = UNSET
    if permissive:
        receipts, bad = await _take_good(given, key, faces, origin)
        errors = [_error(index, bad[index]) for index in sorted(bad)]
        if (foreign := _foreign(bad)) is not None:
            refuse(request.scope, str(foreign))
    else:
        receipts = await _take_all(given, key, faces, origin)
    answer = AcceptedBatch([Accepted(receipt.id) for receipt in receipts], errors)
    replayed = bool(receipts) and all(receipt.replayed for receipt in receipts)
    return Response(answer, headers=REPLAYED if replayed else None)


def _permissive(request: AnyRequest) -> bool:
    given = request.headers.get("x-batch-validation", "strict").strip().lower()
    if given not in MODES:
        raise BadParameters(Problem("x-batch-validation", f"must be one of {', '.join(MODES)}"))
    return given == "permissive"


async def _read_all(documents: Sequence[object], faces: Faces) -> list[_Given]:
    given = []
    for document in documents:
        given.append(await _read(document, faces))
        # Other requests get their turn: a hundred messages take a while.
        await asyncio.sleep(0)
    return given


async def _read(document: object, faces: Faces) -> _Given:
    try:
        return await read(as_object(document), faces)
    except InvalidMessage as error:
        return error


async def _take_all(given: Sequence[_Given], key: Key | None, faces: Faces, origin: Origin) -> list[Receipt]:
    good = [one for one in given if isinstance(one, Submission)]
    if len(good) < len(given):
        raise _refusal({index: one for index, one in enumerate(given) if isinstance(one, Exception)})
    try:
        return await _store(good, key, faces, origin)
    except BatchRefused as refused:
        raise _refusal(refused.reasons) from None


async def _take_good(
    given: Sequence[_Given], key: Key | None, faces: Faces, origin: Origin
) -> tuple[list[Receipt], dict[int, Exception]]:
    """The receipts of the good ones in order, and why the others are not good, by index."""
    good = {index: one for index, one in enumerate(given) if isinstance(one, Submission)}
    bad: dict[int, Exception] = {index: one for index, one in enumerate(given) if isinstance(one, Exception)}
    while good:
        try:
            return await _store(list(good.values()), key, faces, origin), bad
        except BatchRefused as refused:
            indexes = list(good)
            reasons = {indexes[at]: reason for at, reason in refused.reasons.items()}
            if key is not None and _conflicts(reasons):
                raise _refusal(reasons) from None
            bad |= reasons
            good = {index: one for index, one in good.items() if index not in reasons}
    return [], bad


async def _store(submissions: Sequence[Submission], key: Key | None, faces: Faces, origin: Origin) -> list[Receipt]:
    if key is not None:
        heavy = sum(one.weight for one in submissions) > HEAVY
        submissions = await asyncio.to_thread(_keyed, submissions, key) if heavy else _keyed(submissions, key)
    return await faces.intake.accept_all([(one, origin, None) for one in submissions])


def _keyed(submissions: Sequence[Submission], key: Key) -> list[Submission]:
    """Each with a key of its own out of the batch's; the first has that itself, so that no single message takes it."""
    whole = of_batch(submissions)
    names = [key.value, *(f"{key.value}{_PART}{number}" for number in range(1, len(submissions)))]
    return [replace(one, key=Key(name, batch=whole)) for one, name in zip(submissions, names, strict=True)]


def _conflicts(reasons: Mapping[int, Exception]) -> list[int]:
    return [index for index, reason in reasons.items() if isinstance(reason, IdempotencyConflict)]


def _refusal(reasons: Mapping[int, Exception]) -> Exception:
    """One error for all, which names the field of each: `[3].to`."""
    conflicts = _conflicts(reasons)
    if conflicts:
        text = "The key was used before with other content; nothing was accepted. New content needs a new key."
        problems = [Problem(f"[{index}]", f"has a key that was used before: {reasons[index]}") for index in conflicts]
        return WebError(409, "invalid_idempotent_request", text, tuple(problems[:PROBLEMS]))
    found = [
        Problem(f"[{index}]" if problem.field == "$" else f"[{index}].{problem.field}", problem.message)
        for index, reason in reasons.items()
        if isinstance(reason, InvalidMessage)
        for problem in reason.problems
    ]
    kind: type[InvalidMessage] = InvalidMessage
    if all(isinstance(reason, MissingFields) for reason in reasons.values()):
        kind = MissingFields
    elif _foreign(reasons) is not None:
        kind = SenderNotAllowed
    return kind(tuple(found[:PROBLEMS]))


def _foreign(reasons: Mapping[int, Exception]) -> Exception | None:
    """The first that is from a domain its sender may not use."""
    return next((reason for _, reason in sorted(reasons.items()) if isinstance(reason, SenderNotAllowed)), None)


def _error(index: int, reason: Exception) -> BatchError:
    body = answer_of(reason).body
    return BatchError(index, body.name, body.message, list(body.errors))


HANDLERS: Final = (send_batch,)
