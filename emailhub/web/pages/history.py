"""What happened to a template, one sentence for each event."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.records import Event


class Line(Struct, frozen=True):
    """A sentence, when it was true (unix seconds), who did it and why."""

    at: float
    text: str
    actor: str
    note: str


def line(event: Event) -> Line:
    """The event in words."""
    return Line(event.at, _text(event), str(event.data.get("actor") or ""), str(event.data.get("note") or ""))


def _text(event: Event) -> str:
    version, before = event.data.get("version"), event.data.get("instead_of")
    match event.kind:
        case "template_created":
            return "Created"
        case "template_saved":
            return f"Version {version} saved"
        case "template_renamed":
            return f"Called {event.data.get('called')} now"
        case "template_published" if before:
            return f"Version {version} published in place of version {before}"
        case "template_published":
            return f"Version {version} published"
    return event.kind.removeprefix("template_").capitalize()
