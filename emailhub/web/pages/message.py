"""`/messages/{id}`: one message, what happened to it, what is in it, and what can be done about it."""

from __future__ import annotations

import asyncio
from urllib.parse import quote

import msgspec
from litestar import Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.audit import AuditFilter
from emailhub.core.delivery import OnUnknown, Reason, State, Verb, sources
from emailhub.core.errors import NotFound, Refused, WrongState
from emailhub.core.message import Made
from emailhub.core.records import AttemptRecord, Detail, Event, Filter, Summary
from emailhub.core.view import File, read
from emailhub.engine.shelf import Entry
from emailhub.web import scopes
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.files import handed_out
from emailhub.web.pages import audit, diverted, story, words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.paper import GivenPaper, is_part
from emailhub.web.pages.preview import (
    IMAGES_POLICY,
    PREVIEW_POLICY,
    WIDTHS,
    Remote,
    framed,
    previewed,
    remote_references,
    width_of,
)
from emailhub.web.relays import ordered
from emailhub.web.visit import AnyRequest, refuse, visit

_SHOWN = 200_000
"""Bytes of the source, characters of the text; escaping megabytes takes long here and longer in the browser."""
_VIEWS = {"preview": "Preview", "text": "Text", "headers": "Headers", "attachments": "Attachments", "raw": "Raw"}
_OTHERS = 5
_DEEDS = 5
_UNKNOWN = {
    OnUnknown.RETRY: "send again, at the risk of a second copy",
    OnUnknown.HOLD: "hold for a human",
    OnUnknown.FAIL: "fail, never risk a second copy",
}
_VERBS = {"cancel": Verb.CANCEL, "hold": Verb.HOLD, "retry": Verb.RETRY}


class Again(Struct, frozen=True):
    """The form to send it again: `open` when something in it was wrong."""

    open: bool
    to: str
    why: str


class Content(Struct, frozen=True):
    """What is in the message, as one of its views; `cut` is how much of a long one is shown, 0 for all of it."""

    view: str
    views: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...] = ()
    text: str | None = None
    files: tuple[File, ...] = ()
    remote: Remote = Remote()
    width: str = ""
    raw: str = ""
    cut: int = 0


def content_of(source: bytes | None, asked: str, width: str) -> Content:
    """The view `asked` for, or the best there is; html at `width`."""
    if source is None:
        return Content("erased", ())
    seen = read(source)
    absent = {name for name, there in (("preview", seen.html), ("attachments", seen.files)) if not there}
    views = [name for name in _VIEWS if name not in absent]
    view = asked if asked in views else views[0]
    labels = {**_VIEWS, "attachments": f"Attachments {len(seen.files)}"}
    return Content(
        view,
        tuple((name, labels[name]) for name in views),
        headers=seen.headers,
        text=(seen.text or "")[:_SHOWN],
        files=seen.files,
        remote=remote_references(seen.html or ""),
        width=width,
        raw=source[:_SHOWN].decode(errors="replace").replace("\r\n", "\n") if view == "raw" else "",
        cut=_SHOWN if len(source if view == "raw" else seen.text or "") > _SHOWN else 0,
    )


def verbs_for(states: set[State]) -> list[tuple[str, str]]:
    """The verbs that apply to recipients in `states`, with their labels; those being sent take wishes."""
    offered = []
    for name, verb in _VERBS.items():
        wish = State.SENDING in states and verb is not Verb.RETRY
        if wish or states & (sources(verb) - {State.SENDING}):
            offered.append((name, name.capitalize()))
    return offered


def captured(detail: Detail) -> bool:
    """Whether every recipient's copy was only stored, so that the message can still be sent for real."""
    return all(one.state is State.SENT and one.reason is Reason.CAPTURED for one in detail.recipients)


@get("/messages/{id:str}", name="message", include_in_schema=False)
async def message(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, id: FromPath[str]) -> Response[str]:
    """One message; the script is spared its content, which never changes."""
    history = faces.history
    detail, attempts, events = await history.find(id), await history.attempts(id), await history.events(id)
    content = None
    if not is_part(request):
        # In a thread: taking megabytes apart would stall every other request.
        asked, width = request.query_params.get("view", ""), width_of(request.query_params.get("width"))
        content = await asyncio.to_thread(content_of, await history.content(id), asked, width)
    return await paper.page(
        request,
        "messages/message.html",
        section="/messages",
        watch=id,
        detail=detail,
        message=detail.summary,
        face=story.FACES.get(detail.summary.face, detail.summary.face),
        story=story.tell(detail, attempts, events, faces.now()),
        touched=story.touched(events),
        mark=diverted.mark(detail, events),
        verbs=verbs_for({one.state for one in detail.recipients}),
        real=_real_relay(faces, detail),
        unknown_words=_UNKNOWN,
        content=content,
        widths=WIDTHS,
        record=_record(detail, attempts, events),
        made_from=await _template(faces, detail.summary.made),
        listed=await faces.suppressions.listed([one.address for one in detail.recipients]),
        again=_again(request, detail),
        others=await _others(faces, detail),
        deeds=await _deeds(request, faces, id),
    )


@get("/messages/{id:str}/preview", name="message_preview", include_in_schema=False)
async def preview(faces: GivenFaces, id: FromPath[str]) -> Response[str]:
    """The html of the message, for the frame in its page."""
    return await _shown(faces, id, PREVIEW_POLICY)


@post("/messages/{id:str}/preview", name="message_images", status_code=200, include_in_schema=False)
async def with_images(faces: GivenFaces, id: FromPath[str]) -> Response[str]:
    """The same with its remote images: into the frame, once, by a form of our own page. No address leads here."""
    return await _shown(faces, id, IMAGES_POLICY)


async def _shown(faces: Faces, id: str, policy: str) -> Response[str]:
    source = await faces.history.content(id)
    return framed(await asyncio.to_thread(previewed, source) if source is not None else "", policy)


@get("/messages/{id:str}/source", name="message_source", include_in_schema=False)
async def source(faces: GivenFaces, id: FromPath[str]) -> Response[bytes]:
    """The bytes of the message, to keep as a file."""
    content = await faces.history.content(id)
    if content is None:
        raise NotFound("content of message", id)
    headers = {
        "content-disposition": f'attachment; filename="{id}.eml"',
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }
    return Response(content, media_type="message/rfc822", headers=headers)


@get("/messages/{id:str}/files/{number:int}", name="message_file", include_in_schema=False)
async def file(faces: GivenFaces, id: FromPath[str], number: FromPath[int]) -> Response[bytes]:
    """One file of the message, counted from 0: to keep, never to be opened in the browser as what it claims to be."""
    return await handed_out(faces, id, number)


@post("/messages/{id:str}/{verb:str}", name="act_on_message", status_code=303, include_in_schema=False)
async def act(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, id: FromPath[str], verb: FromPath[str]
) -> Redirect:
    """What an operator does to a message: retry, hold, cancel, send (for real)."""
    if verb not in _DONE:
        raise NotFoundException
    desk, actor = faces.desk, actor_of(request, "dashboard")
    deeds = {"retry": desk.retry, "hold": desk.hold, "cancel": desk.cancel, "send": desk.send_for_real}
    try:
        detail = await deeds[verb](id, actor)
    except (WrongState, Refused) as error:
        refuse(request.scope, str(error))
        return paper.onward(f"/messages/{quote(id)}", Flash("warn", f"Nothing was changed: {error}."))
    # Sending for real makes a message of its own.
    return paper.onward(f"/messages/{quote(detail.summary.id)}", _done(detail, verb))


async def _template(faces: Faces, made: Made | None) -> Entry | None:
    """The template the message was made from; None: from none, or it is gone."""
    try:
        return await faces.shelf.find(made.id) if made else None
    except NotFound:
        return None


def _again(request: AnyRequest, detail: Detail) -> Again:
    """What the form to send it again begins with: what was typed, or whoever it failed for, or everybody."""
    typed = request.query_params.get("again", "")
    failed = [one.address for one in detail.recipients if one.state is State.FAILED]
    people = failed or [one.address for one in detail.recipients]
    return Again(bool(typed), typed or ", ".join(people), request.query_params.get("why", ""))


async def _others(faces: Faces, detail: Detail) -> tuple[Summary, ...]:
    """Other messages of the same request."""
    wanted = Filter(correlation_id=detail.summary.correlation_id)
    page = await faces.history.page(wanted, before=None, after=None, limit=_OTHERS + 1)
    return tuple(one for one in page.items if one.id != detail.summary.id)


async def _deeds(request: AnyRequest, faces: Faces, id: str) -> tuple[audit.Row, ...]:
    """What people did to it lately, for those who may read the audit log."""
    if not visit(request).caller.principal.may(scopes.ADMIN):
        return ()
    page = await faces.audit.page(AuditFilter(target=id), limit=_DEEDS)
    return tuple(audit.row(entry) for entry in page.items)


def _real_relay(faces: Faces, detail: Detail) -> str:
    """The relays one of which would carry a captured message for real."""
    names = [relay.name for relay in ordered(faces.board.relays()) if not (relay.captures or relay.draining)]
    return " or ".join(names) if captured(detail) else ""


_ON_ITS_WAY = frozenset({State.QUEUED, State.SENDING, State.SENT, State.DEFERRED})
_DONE = {
    "retry": ("queued again", _ON_ITS_WAY),
    "send": ("on its way for real", _ON_ITS_WAY),
    "hold": ("held", frozenset({State.HELD})),
    "cancel": ("canceled", frozenset({State.CANCELED})),
}
"""How the result of a verb is called, and the states it may have led to by the time the page is shown."""


def _done(detail: Detail, verb: str) -> Flash:
    """What the verb did; a recipient that is being sent only has a wish noted."""
    word, states = _DONE[verb]
    wished = [one for one in detail.recipients if one.wish is not None]
    if wished:
        who = words.counted(len(wished), "recipient is", "recipients are")
        return Flash("info", f"{who} being sent right now; {word} afterwards, unless the relay accepts the message.")
    reached = [one for one in detail.recipients if one.state in states]
    if len(reached) == 1:
        return Flash("ok", f"{reached[0].address} is {word}.")
    return Flash("ok", f"{words.counted(len(reached), 'recipient is', 'recipients are')} {word}.")


def _record(detail: Detail, attempts: tuple[AttemptRecord, ...], events: tuple[Event, ...]) -> str:
    whole = {"message": detail, "attempts": attempts, "events": events}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2).decode()


HANDLERS: tuple[ControllerRouterHandler, ...] = (message, preview, with_images, source, file, act)
