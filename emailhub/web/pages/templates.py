"""`/templates` and `/templates/{template}`: what there is, what it makes of sample or typed-in values, and a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from litestar import Response, get, post
from litestar.datastructures import MultiDict
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct
from msgspec.structs import replace

from emailhub.core import parse
from emailhub.core.errors import InvalidMessage, Problem, Refused
from emailhub.core.header import display
from emailhub.core.template import Rendered, Template, VariableType
from emailhub.engine.gate import Area
from emailhub.web import templates as answers
from emailhub.web.body import object_in
from emailhub.web.errors import WebError
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages import history
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.pages.preview import WIDTHS, framed, harmless, remote_references, width_of
from emailhub.web.pages.send import problems_by_field, split_addresses
from emailhub.web.visit import AnyRequest, visit

VIEWS: Final = {"preview": "Preview", "text": "Text", "source": "Source"}
TYPED: Final = 4000
"""Characters of typed-in values: they are part of the address of the page."""
_EVENTS = 20
_WATCHED = "template_created template_saved template_renamed template_published template_deleted"
"""The kinds of events that change the list."""
_STAND_INS: Final[dict[VariableType, object]] = {
    VariableType.NUMBER: 1,
    VariableType.BOOLEAN: True,
    VariableType.OBJECT: {},
    VariableType.LIST: [],
}


class Look(Struct, frozen=True, kw_only=True):
    """How a template is looked at: everything is in the address. `values` is JSON as typed, "": the samples."""

    id: str
    view: str = "preview"
    version: int | None = None
    language: str = ""
    width: str = ""
    values: str = ""

    @classmethod
    def of(cls, id: str, given: Mapping[str, str] | MultiDict[str]) -> Look:
        """From a query or a form; what makes no sense is as if it were not there."""
        number = given.get("version") or ""
        view = given.get("view") or ""
        return cls(
            id=id,
            view=view if view in VIEWS else "preview",
            version=int(number) if number.isascii() and number.isdecimal() and len(number) < 10 else None,
            language=(given.get("language") or "")[:35],
            width=width_of(given.get("width")),
            values=(given.get("values") or "").strip(),
        )

    def path(self, below: str = "", **changes: Any) -> str:
        """The address of this look with `changes`."""
        other = replace(self, **changes)
        query = {
            "view": other.view if other.view != "preview" else "",
            "version": str(other.version or ""),
            "language": other.language,
            "width": other.width,
            "values": other.values,
        }
        given = urlencode({name: value for name, value in query.items() if value})
        return f"/templates/{quote(self.id, safe='')}{below}{'?' + given if given else ''}"


class Tried(Struct, frozen=True, kw_only=True):
    """What came of rendering: the result, or the problems."""

    rendered: Rendered | None = None
    problems: tuple[Problem, ...] = ()


@get("/templates", name="templates", include_in_schema=False)
async def templates(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """All templates."""
    if visit(request).area is Area.API:
        return await answers.all_templates(request, faces)
    found = await faces.shelf.all()
    broken = sum(bool(entry.problem) for entry in found)
    return await paper.page(
        request, "templates/list.html", section="/templates", watch=_WATCHED, templates=found, broken=broken
    )


@get("/templates/{template:str}", name="template", include_in_schema=False)
async def one_template(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]
) -> Response[Any]:
    """One template."""
    if visit(request).area is Area.API:
        return await answers.one_template(request, faces, template)
    return await show(request, faces, paper, Look.of(template, request.query_params))


@get("/templates/{template:str}/preview", name="template_preview", include_in_schema=False)
async def preview(request: AnyRequest, faces: GivenFaces, template: FromPath[str]) -> Response[str]:
    """The html it makes, for the frame in its page."""
    look = Look.of(template, request.query_params)
    found = await faces.shelf.template(await faces.shelf.find(template), look.version, look.language)
    tried = await _try(faces, found, look.values)
    return framed(harmless(tried.rendered.html or "") if tried.rendered else "")


@post("/templates/{template:str}/test", name="test_template", status_code=303, include_in_schema=False)
async def send_test(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]
) -> Redirect | Response[str]:
    """Send what the page shows to an address, the way every message goes, and lead to the message."""
    form = await read_form(request)
    look, to = Look.of(template, form), form.get("to", "")
    found = await faces.shelf.template(await faces.shelf.find(template), look.version, look.language)
    tried = await _try(faces, found, look.values)
    if tried.rendered is None:
        return await show(request, faces, paper, look, to=to, status=422)
    try:
        submission = parse.submission(_fields(found, tried.rendered, to), faces.intake.limits, now=faces.now())
        submission = replace(submission, made=found.made)
        receipt = await faces.intake.accept(submission, visit(request).origin("dashboard"))
    except InvalidMessage as error:
        wrong = problems_by_field(error.problems)
        sentence = " ".join([wrong.pop("to", ""), *(f"{name} {text}" for name, text in wrong.items())]).strip()
        return await show(request, faces, paper, look, to=to, wrong=sentence, status=422)
    except Refused as error:
        return await show(request, faces, paper, look, to=to, wrong=f"Not accepted: {error}.", status=error.status)
    return paper.onward(f"/messages/{receipt.id}")


async def show(
    request: AnyRequest,
    faces: Faces,
    paper: Paper,
    look: Look,
    *,
    to: str = "",
    wrong: str = "",
    status: int = 200,
) -> Response[str]:
    """The page of a template; `wrong` says why a test to `to` was not sent."""
    entry = await faces.shelf.find(look.id)
    found = await faces.shelf.template(entry, look.version, look.language) if entry.usable else None
    tried = await _try(faces, found, look.values) if found else Tried()
    html = tried.rendered.html if tried.rendered else None
    return await paper.page(
        request,
        "templates/template.html",
        section="/templates",
        status=status,
        entry=entry,
        source=found,
        look=look,
        shown=look.version or entry.newest,
        views=VIEWS,
        tried=tried,
        widths=WIDTHS,
        remote=remote_references(html or ""),
        values=look.values or (_written(stand_ins(found)) if found else ""),
        compact=_quoted(look.values or stand_ins(found)) if found else "",
        versions=await faces.shelf.versions(entry.id) if entry.newest is not None else [],
        history=[history.line(event) for event in await faces.shelf.events(entry, _EVENTS)],
        to=to,
        wrong=wrong,
    )


def stand_ins(template: Template) -> dict[str, object]:
    """Values to show it with: samples and fallbacks, and where there is neither, something of the right type."""
    invented = {one.name: _STAND_INS.get(one.type, one.name) for one in template.variables}
    return invented | template.sample


async def _try(faces: Faces, template: Template, typed: str) -> Tried:
    try:
        values = await _typed(typed) if typed else stand_ins(template)
        return Tried(rendered=await faces.shelf.render(template, values))
    except InvalidMessage as error:
        return Tried(problems=error.problems)
    except Refused as error:
        return Tried(problems=(Problem("", f"{error}"),))


async def _typed(text: str) -> dict[str, object]:
    """The values somebody typed. Raises InvalidMessage."""
    if len(text) > TYPED:
        raise InvalidMessage((Problem("values", f"are {len(text)} characters long; at most {TYPED} are shown here"),))
    try:
        return await object_in(text.encode(errors="replace"))
    except WebError as error:
        raise InvalidMessage((Problem("values", str(error).replace("The body is", "are")),)) from None


def _written(values: Mapping[str, object]) -> str:
    return msgspec.json.format(msgspec.json.encode(values), indent=2).decode() if values else "{}"


def _quoted(values: str | Mapping[str, object]) -> str:
    """The values on one line, for a shell's single quotes."""
    line = " ".join(values.split()) if isinstance(values, str) else msgspec.json.encode(values).decode()
    return line.replace("'", "'\\''")


def _fields(template: Template, rendered: Rendered, to: str) -> dict[str, object]:
    """The message as a sender would give it."""
    content = {"subject": rendered.subject, "html": rendered.html or None, "text": rendered.text or None}
    sender = display(template.sender) if template.sender else None
    replies = [display(box) for box in template.reply_to]
    return {"to": split_addresses(to), "from": sender, "reply_to": replies or None, **content}


HANDLERS: tuple[ControllerRouterHandler, ...] = (templates, one_template, preview, send_test)
