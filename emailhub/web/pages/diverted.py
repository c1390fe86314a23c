"""What became of a message that rules kept from the people it was written to: one sentence at the head of its page."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from emailhub.core.delivery import Reason, State
from emailhub.core.records import Detail, Event
from emailhub.web.pages import words

_NAMED = 5


class Mark(Struct, frozen=True):
    """A title and a sentence; `companion` is the id of the message that carries the other part, `leads` names it."""

    title: str
    text: str
    companion: str = ""
    leads: str = ""


def mark(detail: Detail, events: Sequence[Event]) -> Mark | None:
    """What the rules did to the message; None when they did nothing."""
    accepted = next((event for event in events if event.kind == "accepted"), None)
    note, companion = _said(accepted, "text"), _said(accepted, "companion")
    reached = [one.address for one in detail.recipients]
    if companion and detail.diverted:
        text = f"{_nothing(detail.diverted)}: that part is only stored here."
        return Mark("Partly kept back", text, companion, "See what was kept back")
    if companion:
        text = f"This part, for {_people(reached)}, is only stored here. The rest of the message went out."
        return Mark("Kept back", text, companion, "See what went out")
    if detail.diverted:
        text = f"meant for {_people(detail.diverted)}, sent to {_people(reached)}."
        return Mark("Diverted", text)
    if note and all(_captured(one.state, one.reason) for one in detail.recipients):
        return Mark("Kept back", f"{_nothing(reached)}: the message is only stored here.")
    return None


def _captured(state: State, reason: Reason) -> bool:
    return state is not State.SENT or reason is Reason.CAPTURED


def _nothing(addresses: Sequence[str]) -> str:
    return f"{_people(addresses)} {'gets' if len(addresses) == 1 else 'get'} nothing"


def _people(addresses: Sequence[str]) -> str:
    """`ann@x and bob@y`, `ann@x, bob@y and 7 others`."""
    if len(addresses) > _NAMED:
        return f"{', '.join(addresses[: _NAMED - 1])} and {words.counted(len(addresses) - _NAMED + 1, 'other')}"
    *first, last = addresses or ("nobody",)
    return f"{', '.join(first)} and {last}" if first else last


def _said(event: Event | None, name: str) -> str:
    value = event.data.get(name) if event else None
    return value if isinstance(value, str) else ""
