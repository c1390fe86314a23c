"""Accepting: what every message of a group commit needs, stored by a handful of statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import count
from typing import Any

import msgspec

from emailhub.adapters.sqlite import blobs, many, withholding
from emailhub.adapters.sqlite.writer import Transaction
from emailhub.core.delivery import Reason, Standing, State
from emailhub.core.errors import BatchRefused, IdempotencyConflict
from emailhub.core.message import Again, Made
from emailhub.core.records import Job, JobRecipient, Parcel, Receipt, Scalar
from emailhub.core.routing import domain_of
from emailhub.core.suppression import folded

_NAMED = 3
"""Addresses that are named of those a message is sent again to."""
_encode = msgspec.json.Encoder().encode


def add(tx: Transaction, parcels: Sequence[Parcel]) -> list[Receipt | Exception]:
    """Store each parcel whose key is new; the receipts, or IdempotencyConflict, in order."""
    answers = _by_key(tx, parcels)
    fresh = [parcel for parcel, answer in zip(parcels, answers, strict=True) if answer is None]
    withheld = _store(tx, fresh) if fresh else {}
    return [
        answer or Receipt(parcel.id, suppressed=sum(withheld.get(each.id, 0) for each in parcel.parts))
        for parcel, answer in zip(parcels, answers, strict=True)
    ]


def add_all(tx: Transaction, parcels: Sequence[Parcel]) -> list[Receipt]:
    """Like `add`, all or none. Raises BatchRefused when a key came with other content."""
    answers = add(tx, parcels)
    refused = {index: answer for index, answer in enumerate(answers) if isinstance(answer, Exception)}
    if refused:
        raise BatchRefused(refused)
    return [answer for answer in answers if isinstance(answer, Receipt)]


def weight(parcel: Parcel) -> int:
    """Bytes of bodies the parcel stores."""
    return len(parcel.content) * (1 if parcel.companion is None else 2)


def _by_key(tx: Transaction, parcels: Sequence[Parcel]) -> list[Receipt | Exception | None]:
    """What is known under the parcels' keys already; None: the key, if any, is this parcel's now."""
    wanted = [parcel.key for parcel in parcels if parcel.key is not None]
    select = "SELECT key, fingerprint, id, created_at FROM idempotency_key WHERE key"
    held = {key: (fingerprint, id, at) for key, fingerprint, id, at in many.among(tx, select, wanted)}
    taken: dict[str, Parcel] = {}
    answers: list[Receipt | Exception | None] = []
    for parcel in parcels:
        known = _known(parcel, held)
        answers.append(known)
        if parcel.key is not None and known is None:
            held[parcel.key] = (parcel.fingerprint, parcel.id, parcel.accepted_at)
            taken[parcel.key] = parcel
    rows = [(key, one.fingerprint, one.key_explicit, one.id, one.accepted_at) for key, one in taken.items()]
    many.insert(tx, _KEEP_KEY, rows, then=_TAKE_KEY)
    return answers


_KEEP_KEY = "INSERT INTO idempotency_key (key, fingerprint, explicit, id, created_at)"
_TAKE_KEY = (
    "ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, explicit = excluded.explicit, "
    "id = excluded.id, created_at = excluded.created_at"
)


def _known(parcel: Parcel, held: dict[str, tuple[bytes, str, float]]) -> Receipt | Exception | None:
    if parcel.key is None or parcel.key not in held:
        return None
    fingerprint, id, created_at = held[parcel.key]
    if not parcel.key_matches or created_at < parcel.key_since:
        return None
    return Receipt(id, replayed=True) if fingerprint == parcel.fingerprint else IdempotencyConflict(parcel.key, id)


def _store(tx: Transaction, parcels: Sequence[Parcel]) -> dict[str, int]:
    """Store them; how many recipients of which were suppressed at once, by the message's id."""
    last_seq, last_recipient, last_attempt, listed = tx.execute(_BEFORE).fetchone()
    numbered = list(enumerate(_with_companions(parcels), last_seq + 1))
    many.insert(tx, _MESSAGE, [_message(seq, parcel) for seq, parcel in numbered])
    blobs.insert(tx, _BODY, [_body(seq, parcel) for seq, parcel in numbered])
    ids = count(last_recipient + 1)
    recipients = [(next(ids), *row) for seq, parcel in numbered for row in _recipients(seq, parcel)]
    many.insert(tx, _RECIPIENT, recipients)
    others = _others(parcels)
    for seq, parcel in numbered:
        tx.count(parcel.accepted_at, "accepted")
        tx.tell("accepted", parcel.accepted_at, _facts(parcel, others.get(parcel.id)), seq=seq, message=parcel.id)
        if parcel.again is not None:
            _tell_original(tx, parcel, parcel.again)
    withheld = _withheld(tx, numbered, recipients) if listed else []
    if withheld:
        kept = {one.id for one in withheld}
        recipients = [row for row in recipients if row[0] not in kept]
    going = [(seq, parcel) for seq, parcel in numbered if parcel.go is not None]
    _set_out(tx, going, recipients, last_attempt + 1)
    return Counter(one.message for one in withheld)


_BEFORE = """SELECT coalesce((SELECT max(seq) FROM message), 0), coalesce((SELECT max(id) FROM recipient), 0),
    coalesce((SELECT max(id) FROM attempt), 0), EXISTS (SELECT 1 FROM suppression)"""
"""What the numbers go on from, and whether anybody is on the suppression list: most lists are empty."""


def _tell_original(tx: Transaction, parcel: Parcel, again: Again) -> None:
    """Note in the message that is sent again what has its content now, unless it was erased meanwhile."""
    row = tx.execute("SELECT seq FROM message WHERE id = ?", (again.id,)).fetchone()
    facts: dict[str, Scalar] = {"copy": parcel.id, "actor": again.actor, "note": again.note}
    facts["people"] = ", ".join((*parcel.to, *parcel.cc, *parcel.bcc)[:_NAMED])
    if row is not None:
        tx.tell("resent", parcel.accepted_at, facts, seq=row[0], message=again.id)


def _withheld(
    tx: Transaction, numbered: Sequence[tuple[int, Parcel]], recipients: Sequence[tuple[Any, ...]]
) -> list[withholding.Held]:
    """The recipients that are on the suppression list, which are suppressed now."""
    lines = withholding.listed(tx, [row[2] for row in recipients])
    if not lines:
        return []
    parcels = dict(numbered)
    held = [
        withholding.Held(id, seq, parcels[seq].id, address)
        for id, seq, address, *_ in recipients
        if folded(address) in lines
    ]
    withholding.withhold(tx, held, lines, max(parcels[one.seq].accepted_at for one in held))
    return held


def _set_out(
    tx: Transaction, going: Sequence[tuple[int, Parcel]], recipients: Sequence[tuple[Any, ...]], first: int
) -> None:
    """Open the first attempt of what goes at once; they are numbered from `first`."""
    if not going:
        return
    addressed: dict[int, list[JobRecipient]] = {}
    for id, seq, address, *_ in recipients:
        addressed.setdefault(seq, []).append(JobRecipient(id, address, Standing()))
    going = [(seq, parcel) for seq, parcel in going if seq in addressed]
    numbered = list(enumerate(going, first))
    many.insert(tx, _ATTEMPT, [(id, seq, 1, parcel.relay, parcel.accepted_at) for id, (seq, parcel) in numbered])
    for id, (seq, parcel) in numbered:
        facts: dict[str, Scalar] = {"state": State.SENDING.value, "over": parcel.relay, "number": 1}
        tx.tell("sending", parcel.accepted_at, facts, seq=seq, message=parcel.id)
        if parcel.go is not None:
            tx.after.append(partial(parcel.go, _job(id, seq, parcel, addressed[seq])))


def _job(attempt_id: int, seq: int, parcel: Parcel, recipients: Sequence[JobRecipient]) -> Job:
    return Job(
        parcel.id,
        seq,
        attempt_id,
        1,
        parcel.relay,
        parcel.sender,
        parcel.content,
        parcel.smtputf8,
        parcel.on_unknown,
        parcel.expires_at,
        parcel.accepted_at,
        parcel.request_id,
        parcel.origin.correlation_id,
        tuple(recipients),
        domain_of(parcel.sender),
    )


def _with_companions(parcels: Sequence[Parcel]) -> Iterator[Parcel]:
    """Each after its companion, so that the newest message of its request id is the one that goes out."""
    for parcel in parcels:
        if parcel.companion is not None:
            yield parcel.companion
        yield parcel


def _others(parcels: Sequence[Parcel]) -> dict[str, str]:
    """The id of each message's companion by its own, both ways."""
    pairs = [(one.id, one.companion.id) for one in parcels if one.companion is not None]
    return {**dict(pairs), **{companion: id for id, companion in pairs}}


_MESSAGE = """INSERT INTO message (seq, id, message_id, relay, state, reason, due_at, priority, on_unknown, accepted_at,
    scheduled_at, expires_at, changed_at, waiting_since, face, origin, correlation_id, request_id, sender, from_header,
    to_header, recipients, subject, size, smtputf8, diverted, domain, pinned, store_body, files, reply_to,
    template, template_version, template_language)"""
_BODY = "INSERT INTO body (seq, content, queue_body, snippet, tags, metadata)"
_RECIPIENT = "INSERT INTO recipient (id, seq, address, kind, state, reason, due_at, changed_at)"
_ATTEMPT = "INSERT INTO attempt (id, seq, number, relay, started_at)"
_NOTHING = "[]"


def _message(seq: int, parcel: Parcel) -> tuple[Any, ...]:
    return (
        seq,
        parcel.id,
        parcel.message_id,
        parcel.relay,
        _stored_state(parcel).value,
        Reason.ACCEPTED.value,
        None if parcel.go is not None else parcel.due_at,
        int(parcel.priority),
        parcel.on_unknown.value,
        parcel.accepted_at,
        parcel.scheduled_at,
        parcel.expires_at,
        parcel.accepted_at,
        parcel.accepted_at if parcel.scheduled_at is None else None,
        parcel.origin.face,
        parcel.origin.detail,
        parcel.origin.correlation_id,
        parcel.request_id,
        parcel.sender,
        parcel.from_header,
        parcel.to_header,
        parcel.people,
        parcel.subject,
        len(parcel.content),
        int(parcel.smtputf8),
        _encode(parcel.diverted).decode() if parcel.diverted else "",
        domain_of(parcel.sender),
        int(parcel.pinned),
        int(parcel.store_body),
        parcel.files,
        _encode(parcel.reply_to).decode() if parcel.reply_to else "",
        *_made(parcel.made),
    )


def _made(made: Made | None) -> tuple[str, str, str]:
    return ("", "", "") if made is None else (made.id, made.version, made.language)


def _body(seq: int, parcel: Parcel) -> tuple[Any, ...]:
    tags, metadata = (_pairs(pairs) for pairs in (parcel.tags, parcel.metadata))
    return (seq, parcel.content, parcel.queue_body, parcel.snippet, tags, metadata)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return _encode(pairs).decode() if pairs else _NOTHING


def _recipients(seq: int, parcel: Parcel) -> Iterator[tuple[Any, ...]]:
    state, due_at = _stored_state(parcel).value, None if parcel.go is not None else parcel.due_at
    for kind, addresses in (("to", parcel.to), ("cc", parcel.cc), ("bcc", parcel.bcc)):
        for address in addresses:
            yield (seq, address, kind, state, Reason.ACCEPTED.value, due_at, parcel.accepted_at)


def _facts(parcel: Parcel, companion: str | None) -> dict[str, Scalar]:
    facts: dict[str, Scalar] = {
        "state": _first_state(parcel).value,
        "face": parcel.origin.face,
        "detail": parcel.origin.detail,
        "recipients": parcel.people,
    }
    if companion is not None:
        facts["companion"] = companion
    if parcel.note:
        facts["text"] = parcel.note
    if parcel.diverted:
        facts["diverted"] = len(parcel.diverted)
    return facts


def _first_state(parcel: Parcel) -> State:
    return State.SCHEDULED if parcel.scheduled_at is not None else State.QUEUED


def _stored_state(parcel: Parcel) -> State:
    return State.SENDING if parcel.go is not None else _first_state(parcel)
