"""An audit log in memory, for the pages over canned messages."""

from __future__ import annotations

from collections.abc import Callable

from emailhub.core.audit import REFUSED, AuditFilter, AuditPage, Deed, Entry

_DEEDS = (
    ("bea", "10.0.0.9", "user.add", "carl", "", "viewer", 3100),
    (
        "admin",
        "10.0.0.7",
        "suppression.add",
        "info@example.net",
        "asked on the phone not to be written to",
        "manual",
        90,
    ),
    ("key deploy", "10.0.3.1", "template.publish", "welcome", "spring campaign", "welcome, version 4", 55),
    ("mallory", "203.0.113.7", "session.begin", "", "", "wrong name or password", 12),
    ("bea", "10.0.0.9", "breaker.force", "default", "the provider asked for a pause", "open until 12:30", 7),
    ("bea", "10.0.0.9", "message.retry", "01M86ZVV9FQESMTXYZCHHA5N7M", "the mailbox is there again", "", 2),
)


class DemoAudit:
    """See `engine.audit.AuditStore`."""

    def __init__(self, now: Callable[[], float], *, empty: bool) -> None:
        deeds = [
            Deed(
                at=now() - 60 * minutes,
                actor=actor,
                peer=peer,
                what=what,
                target=target,
                reason=reason,
                result=REFUSED if actor == "mallory" else "done",
                detail=detail,
            )
            for actor, peer, what, target, reason, detail, minutes in _DEEDS
        ]
        self.entries = [] if empty else [Entry(id, deed) for id, deed in enumerate(deeds, 1)]

    async def record(self, deed: Deed) -> None:
        self.entries.append(Entry(len(self.entries) + 1, deed))

    async def page(self, wanted: AuditFilter, *, before: int | None, after: int | None, limit: int) -> AuditPage:
        found = [
            one
            for one in reversed(self.entries)
            if wanted.actor in ("", one.deed.actor)
            and wanted.target in ("", one.deed.target)
            and one.deed.what.startswith(wanted.what)
            and (before is None or one.id < before)
            and (after is None or one.id > after)
        ]
        return AuditPage(tuple(found[:limit]), None, None)
