"""The audit log: who did what to what, from where, why, and what came of it.

An entry is made of every event that names an actor, in the commit of what was done, so that nothing can be done and
told without being in the log. What changes nothing, such as a log-in that failed, is recorded by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from emailhub.core.records import Scalar

DONE: Final = "done"
REFUSED: Final = "refused"
_BETWEEN = " from "


class Deed(Struct, frozen=True, kw_only=True):
    """What somebody did. `what` is `<noun>.<verb>` (`message.retry`), `target` the id or name of what it was done to.

    `actor` is as records name whoever it was (`ann`, `key billing`, `local`), `peer` the address they came from,
    `reason` what they gave as one, `detail` a line of facts. `result` is `done` or `refused`.
    """

    at: float
    actor: str
    peer: str = ""
    what: str
    target: str = ""
    reason: str = ""
    result: str = DONE
    detail: str = ""


class Entry(Struct, frozen=True):
    """A deed as it stands in the log. Ids grow with time and never come back."""

    id: int
    deed: Deed


class AuditFilter(Struct, frozen=True):
    """Which entries a list shows; what is empty narrows nothing.

    `what` is all of it (`template.publish`) or its noun (`template`).
    """

    actor: str = ""
    what: str = ""
    target: str = ""


class AuditPage(Struct, frozen=True):
    """A page of the log, newest first: `older` and `newer` are ids to page from, None at the end."""

    items: tuple[Entry, ...]
    older: int | None
    newer: int | None


def signed(name: str, peer: str) -> str:
    """How records name somebody: `ann from 10.0.0.7`, or the name alone when the address is not known."""
    return f"{name}{_BETWEEN}{peer}" if peer else name


def read_signature(text: str) -> tuple[str, str]:
    """Name and address of what `signed` wrote."""
    name, between, peer = text.rpartition(_BETWEEN)
    return (name, peer) if between and _is_address(peer) else (text, "")


def deed_of(
    kind: str, at: float, data: Mapping[str, Scalar], *, message: str | None = None, relay: str | None = None
) -> Deed | None:
    """The deed an event tells of; None when nobody did it."""
    signature = data.get("actor")
    if not signature or kind in _NO_DEEDS:
        return None
    actor, peer = read_signature(str(signature))
    what = _wish(data) if kind == "wish" else DEEDS.get(kind) or _plain(kind)
    return Deed(
        at=at,
        actor=actor,
        peer=peer,
        what=what,
        target=message or relay or _target(what, data),
        reason=_text(data, "note"),
        result=_text(data, "result") or DONE,
        detail=_DETAILS.get(what, _any_detail)(data),
    )


_NO_DEEDS = frozenset({"accepted", "breaker_opened", "breaker_probing", "breaker_closed"})
"""Events that repeat a name: of a copy that another event tells of, and of who forced a breaker that now turns."""
DEEDS: Final = {
    "queued": "message.retry",
    "held": "message.hold",
    "canceled": "message.cancel",
    "scheduled": "message.reschedule",
    "copied": "message.copy",
    "resent": "message.resend",
    "breaker_forced": "breaker.force",
    "breaker_auto": "breaker.release",
    "sender_resumed": "sender.resume",
    "chaos_set": "chaos.set",
    "bulk_started": "bulk.start",
    "bulk_stopped": "bulk.stop",
    "letter_resent": "letter.resend",
    "letter_discarded": "letter.discard",
    "suppression_added": "suppression.add",
    "suppression_lifted": "suppression.lift",
    "template_created": "template.create",
    "template_saved": "template.save",
    "template_renamed": "template.rename",
    "template_published": "template.publish",
    "template_deleted": "template.delete",
    "key_created": "key.create",
    "key_rotated": "key.rotate",
    "key_revoked": "key.revoke",
}
"""What an event with an actor records, by its kind, where it is not called the same."""
_TARGETS = {"suppression": "address", "key": "name"}
"""The fact that names the target, where it is not called like the noun."""


def _wish(data: Mapping[str, Scalar]) -> str:
    return f"message.{_text(data, 'wish')}"


def _plain(kind: str) -> str:
    """Of an event that has no other name here: `key_created` is `key.created`."""
    return kind.replace("_", ".", 1)


def _target(what: str, data: Mapping[str, Scalar]) -> str:
    noun = what.partition(".")[0]
    return _text(data, _TARGETS.get(noun, noun)) or _text(data, "name") or _text(data, "id")


def _forced(data: Mapping[str, Scalar]) -> str:
    until = data.get("until")
    end = f" until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S} UTC" if isinstance(until, float) else ""
    return _text(data, "mode") + end


def _template(data: Mapping[str, Scalar]) -> str:
    return f"{_text(data, 'called')}, version {_text(data, 'version')}"


def _bulk(data: Mapping[str, Scalar]) -> str:
    query = _text(data, "query")
    return f"{_text(data, 'action')}: {_text(data, 'messages')} messages" + (f" of {query}" if query else "")


def _copy(data: Mapping[str, Scalar]) -> str:
    return f"as {_text(data, 'copy')} over {_text(data, 'over')}"


def _resent(data: Mapping[str, Scalar]) -> str:
    people = _text(data, "people")
    return f"as {_text(data, 'copy')}" + (f" to {people}" if people else "")


def _any_detail(data: Mapping[str, Scalar]) -> str:
    return _text(data, "text")


def _key(data: Mapping[str, Scalar]) -> str:
    return ", ".join(
        f"{word} {data[name]}" for name, word in (("start", "secret"), ("scopes", "may")) if data.get(name)
    )


def _of(name: str) -> Callable[[Mapping[str, Scalar]], str]:
    return lambda data: _text(data, name)


def _of_message(data: Mapping[str, Scalar]) -> str:
    # The text repeats who did it and why.
    return "once the attempt that is under way has ended" if "wish" in data else ""


def _nothing(_: Mapping[str, Scalar]) -> str:
    return ""


_DETAILS: Mapping[str, Callable[[Mapping[str, Scalar]], str]] = {
    **dict.fromkeys(("message.retry", "message.hold", "message.cancel"), _of_message),
    "message.reschedule": _any_detail,
    "message.copy": _copy,
    "breaker.force": _forced,
    "breaker.release": _nothing,
    "sender.resume": _of("domain"),
    **dict.fromkeys(("bulk.start", "bulk.stop"), _bulk),
    **dict.fromkeys(("letter.resend", "message.resend"), _resent),
    "letter.discard": _nothing,
    "suppression.add": _of("origin"),
    "suppression.lift": _of("origin"),
    **dict.fromkeys(("template.create", "template.save", "template.rename"), _template),
    **dict.fromkeys(("template.publish", "template.delete"), _template),
    **dict.fromkeys(("key.create", "key.rotate"), _key),
}


def _text(data: Mapping[str, Scalar], name: str) -> str:
    value = data.get(name)
    return "" if value is None else str(value)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
