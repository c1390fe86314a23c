"""`/dead-letters`: what came from the queue and could not be read, what failed for good, and what to do about both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.causes import grouped
from emailhub.core.delivery import State
from emailhub.core.errors import IdempotencyConflict, InvalidMessage, LetterSettled, NotFound, Problem, Refused
from emailhub.core.letters import NOTE, Letter, LetterStatus
from emailhub.core.media import ANY
from emailhub.core.records import Filter
from emailhub.engine.gate import Area
from emailhub.web import dead_letters as answers
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages import hexdump
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.shapes.letters import as_text
from emailhub.web.visit import AnyRequest, refuse, visit

_ROWS = 50
_FACE = "dashboard"
_FAILED = 5
_TEXTS, _CAUSES = 500, 6
_WEEK = 7 * 86400.0
_WATCHED = "unreadable letter_resent letter_discarded failed"
EDITABLE = 100_000
"""Characters a browser is given to edit."""
_SHOWN = 200_000
_VIEWS = {"decoded": "Decoded", "text": "As it came", "hex": "Hex"}
_EMPTY = '{\n  "to": "",\n  "subject": "",\n  "body": ""\n}'
_TABS: Sequence[tuple[LetterStatus, str]] = (
    (LetterStatus.OPEN, "To decide"),
    (LetterStatus.RESENT, "Resent"),
    (LetterStatus.DISCARDED, "Discarded"),
)


@get("/dead-letters", name="dead_letters", include_in_schema=False)
async def dead_letters(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """A page of the letters of the queue, and why recipients failed."""
    if visit(request).area is Area.API:
        return await answers.one_page(request, faces)
    asked = request.query_params
    status = next((one for one in LetterStatus if one == asked.get("status")), LetterStatus.OPEN)
    before, after = _id(asked.get("before", "")), _id(asked.get("after", ""))
    page = await faces.letters.page(status, before=before, after=after, limit=_ROWS)
    counts, totals = await faces.letters.counts(), await faces.history.totals()
    failed = await faces.history.page(Filter(state=State.FAILED), before=None, after=None, limit=_FAILED)
    path = f"{faces.options.prefix}/dead-letters"
    return await paper.page(
        request,
        "dead_letters/list.html",
        section="/dead-letters",
        watch=_WATCHED,
        items=page.items,
        beginning=_beginning,
        chosen=status,
        tabs=[(label, _url(path, status=one.value), counts[one], one is status) for one, label in _TABS],
        open=counts[LetterStatus.OPEN],
        paged=bool(before or after),
        newer=_url(path, status=status.value, after=str(page.newer)) if page.newer else "",
        older=_url(path, status=status.value, before=str(page.older)) if page.older else "",
        failed=failed.items,
        failures=totals.by_state[State.FAILED],
        causes=grouped(await faces.history.causes(faces.now() - _WEEK, _TEXTS), _CAUSES),
    )


@get("/dead-letters/{letter:str}", name="dead_letter", include_in_schema=False)
async def dead_letter(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, letter: FromPath[str]
) -> Response[Any]:
    """One letter: why it could not be read, what is in it, and what to do about it."""
    if visit(request).area is Area.API:
        return await answers.one_letter(faces, letter)
    return await _page(request, paper, await faces.letters.find(letter))


@get("/dead-letters/{letter:str}/body", name="dead_letter_body", include_in_schema=False)
async def body(faces: GivenFaces, letter: FromPath[str]) -> Response[bytes]:
    """The bytes as they came, to keep as a file."""
    found = await faces.letters.find(letter)
    if found.body is None:
        raise NotFound("body of dead letter", letter)
    headers = {
        "content-disposition": f'attachment; filename="dead-letter-{found.id}.bin"',
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }
    return Response(found.body, media_type=ANY, headers=headers)


@post("/dead-letters/{letter:str}/message", name="resend_dead_letter", status_code=303, include_in_schema=False)
async def resend(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, letter: FromPath[str]
) -> Redirect | Response[str]:
    """Accept what was typed as a message, or show it again with what is wrong."""
    form = await read_form(request)
    text, note = form.get("body", ""), _line(form.get("reason", ""))
    try:
        origin = visit(request).origin(_FACE)
        settled = await faces.letters.resend(letter, actor_of(request, _FACE), origin, body=text.encode(), note=note)
    except LetterSettled as error:
        refuse(request.scope, str(error))
        return paper.onward(f"/dead-letters/{quote(letter)}", Flash("warn", f"Nothing was sent: {error}."))
    except (InvalidMessage, IdempotencyConflict, Refused) as error:
        found, problems = await faces.letters.find(letter), _problems(error)
        status = error.status if isinstance(error, Refused) else 422
        return await _page(request, paper, found, text=text, note=note, problems=problems, status=status)
    said = f"Accepted as a message. Dead letter {settled.id} is resent, and leads here."
    return paper.onward(f"/messages/{quote(settled.message or '')}", Flash("ok", said))


@post("/dead-letters/{letter:str}/discarding", name="discard_dead_letter", status_code=303, include_in_schema=False)
async def discard(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, letter: FromPath[str]
) -> Redirect | Response[str]:
    """Decide that nothing comes of it."""
    note = _line((await read_form(request)).get("reason", ""))
    try:
        settled = await faces.letters.discard(letter, actor_of(request, _FACE), note)
    except (LetterSettled, InvalidMessage) as error:
        why = "say why first" if isinstance(error, InvalidMessage) else error
        if isinstance(error, LetterSettled):
            refuse(request.scope, str(error))
        return paper.onward(f"/dead-letters/{quote(letter)}", Flash("warn", f"Nothing was discarded: {why}."))
    return paper.onward("/dead-letters", Flash("ok", f"Dead letter {settled.id} is discarded: nothing comes of it."))


async def _page(
    request: AnyRequest,
    paper: Paper,
    letter: Letter,
    *,
    text: str | None = None,
    note: str = "",
    problems: Sequence[Problem] = (),
    status: int = 200,
) -> Response[str]:
    found = as_text(letter.body)
    views = [name for name in _VIEWS if name != "decoded" or _pretty(found)]
    asked = request.query_params.get("view", "")
    view = asked if asked in views else views[0]
    return await paper.page(
        request,
        "dead_letters/letter.html",
        section="/dead-letters",
        # What shows an error has no address of its own that could be asked for anew.
        watch="" if problems else "letter_resent letter_discarded",
        status=status,
        letter=letter,
        views=[(name, _VIEWS[name]) for name in views],
        view=view,
        shown=_shown(letter.body or b"", view),
        cut=_cut(letter.body or b"", view),
        text=text if text is not None else _first(found),
        note=note,
        problems=problems,
    )


def _first(found: str | None) -> str | None:
    """What there is to edit at first; None when it is too long for that."""
    if found is None:
        return _EMPTY
    return None if len(found) > EDITABLE else (_pretty(found) or found)


def _pretty(found: str | None) -> str:
    """JSON with a line for every field; "" when it is none. Not read by value: numbers must stay as they were typed."""
    if found is None or len(found) > _SHOWN:
        return ""
    try:
        msgspec.json.decode(found)
        return msgspec.json.format(found, indent=2)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return ""


def _shown(content: bytes, view: str) -> str:
    if view == "hex":
        return hexdump.lines(content)
    text = content[: _SHOWN * 4].decode(errors="replace")
    return _pretty(text) if view == "decoded" else text[:_SHOWN]


def _cut(content: bytes, view: str) -> str:
    """How much of a long body is shown; "" for all of it."""
    if view == "hex":
        return f"first {hexdump.MOST:,} bytes" if len(content) > hexdump.MOST else ""
    return f"first {_SHOWN:,} characters" if len(content) > _SHOWN else ""


def _beginning(letter: Letter) -> str:
    """One line of what is in it."""
    text = " ".join((letter.body or b"").decode(errors="replace").split())[:140]
    return "".join(one if one.isprintable() else "·" for one in text)


def _problems(error: InvalidMessage | IdempotencyConflict | Refused) -> Sequence[Problem]:
    match error:
        case InvalidMessage():
            return error.problems
        case IdempotencyConflict():
            text = f"{error.key!r} was used with other content, for message {error.id}; give another one"
            return (Problem("request_id", text),)
        case _:
            return (Problem("", f"Not accepted: {error}."),)


def _line(text: str) -> str:
    return " ".join(text.split())[:NOTE]


def _id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None


def _url(path: str, **fields: str) -> str:
    query = urlencode({name: value for name, value in fields.items() if value != LetterStatus.OPEN})
    return f"{path}?{query}" if query else path


HANDLERS: tuple[ControllerRouterHandler, ...] = (dead_letters, dead_letter, body, resend, discard)
