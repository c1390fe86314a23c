"""The page of the audit log: who did what to what, from where, why; the filter is in the URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Response, get
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.audit import DONE, AuditFilter, Deed, Entry
from emailhub.engine.gate import Area
from emailhub.web import audit as answers
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.visit import AnyRequest, visit

_ROWS = 50
_LONGEST = 320
NOUNS = {
    "message": "Messages",
    "breaker": "Breakers",
    "sender": "Suspended senders",
    "chaos": "Chaos relay",
    "suppression": "Suppressions",
    "template": "Templates",
    "bulk": "Jobs over many messages",
    "letter": "Dead letters",
    "key": "API keys",
    "user": "Users",
    "session": "Log-ins",
    "settings": "Settings",
    "action": "What was refused",
}
_WORDS = {
    "message.retry": "retried a message",
    "message.hold": "held a message",
    "message.cancel": "canceled a message",
    "message.reschedule": "rescheduled a message",
    "message.copy": "sent a captured message for real",
    "message.resend": "sent a message again",
    "breaker.force": "forced a breaker",
    "breaker.release": "left a breaker to itself",
    "sender.resume": "let a suspended sender send",
    "chaos.set": "set the chaos relay",
    "suppression.add": "suppressed an address",
    "suppression.lift": "lifted a suppression",
    "template.create": "made a template",
    "template.save": "saved a template",
    "template.rename": "renamed a template",
    "template.publish": "published a template",
    "template.delete": "deleted a template",
    "letter.resend": "sent a dead letter",
    "letter.discard": "discarded a dead letter",
    "key.create": "made an API key",
    "key.rotate": "gave an API key a new secret",
    "key.revoke": "revoked an API key",
    "bulk.start": "started a job over many messages",
    "bulk.stop": "stopped a job over many messages",
    "user.add": "added a user",
    "user.role": "changed what a user may do",
    "user.password": "changed a password",
    "user.remove": "removed a user",
    "session.begin": "logged in",
    "session.end": "logged out",
    "session.end_all": "logged out everywhere",
    "settings.reload": "had the settings read again",
    "action.refuse": "was refused what they tried",
}
_TRIED = {
    "session.begin": "tried to log in",
    "settings.reload": "asked to have the settings read again",
    "user.password": "tried to change their password",
}
"""How it is said when it was refused."""
_PLACES = {
    "message": "/messages/{}",
    "breaker": "/relays/{}",
    "sender": "/relays/{}",
    "chaos": "/relays/{}",
    "suppression": "/suppressions?q={}",
    "template": "/templates/{}",
    "letter": "/dead-letters/{}",
}
"""Where what was done something to is shown, if it is still there."""


class Row(Struct, frozen=True):
    """An entry as the page shows it; `place` is the page of its target, "" when it has none."""

    id: int
    deed: Deed
    words: str
    place: str

    @property
    def refused(self) -> bool:
        """Whether it was asked for and not done."""
        return self.deed.result != DONE


@get("/audit", name="audit", include_in_schema=False)
async def audit(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """A page of the log."""
    if visit(request).area is Area.API:
        return await answers.one_page(request, faces)
    return await _page(request, faces, paper)


def words(deed: Deed) -> str:
    """A deed as a person would say it."""
    noun, _, verb = deed.what.partition(".")
    tried = _TRIED.get(deed.what) if deed.result != DONE else None
    return tried or _WORDS.get(deed.what) or f"{verb.replace('_', ' ')} ({noun})"


def row(entry: Entry) -> Row:
    """The entry, ready for the page."""
    deed = entry.deed
    place = _PLACES.get(deed.what.partition(".")[0], "")
    return Row(entry.id, deed, words(deed), place.format(quote(deed.target, safe="")) if deed.target else "")


async def _page(request: AnyRequest, faces: Faces, paper: Paper) -> Response[str]:
    asked = {name: request.query_params.get(name, "").strip()[:_LONGEST] for name in answers.NARROWING}
    before, after = _id(request, "before"), _id(request, "after")
    wanted = AuditFilter(asked["actor"], asked["what"], asked["target"])
    page = await faces.audit.page(wanted, before=before, after=after, limit=_ROWS)
    path = f"{faces.options.prefix}/audit"
    return await paper.page(
        request,
        "audit.html",
        section="/audit",
        rows=[row(entry) for entry in page.items],
        asked=asked,
        nouns=NOUNS,
        chips=_chips(path, asked),
        narrowed=lambda **one: _url(path, {**asked, **one}),
        filtered=any(asked.values()),
        paged=bool(before or after),
        newer=_url(path, {**asked, "after": str(page.newer)}) if page.newer else "",
        older=_url(path, {**asked, "before": str(page.older)}) if page.older else "",
        csv=_url(f"{path}/csv", asked),
    )


def _chips(path: str, asked: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """What the list is narrowed by beside the fields of the form: label, value, and the URL without it."""
    what = asked["what"]
    return [("what", what, _url(path, {**asked, "what": ""}))] if what and what not in NOUNS else []


def _id(request: AnyRequest, name: str) -> int | None:
    text = request.query_params.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _url(path: str, fields: Mapping[str, str]) -> str:
    query = urlencode({name: value for name, value in fields.items() if value})
    return f"{path}?{query}" if query else path


HANDLERS: tuple[ControllerRouterHandler, ...] = (audit,)
