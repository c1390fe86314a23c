"""Stored templates made, changed, published and deleted in the dashboard."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.errors import InvalidMessage, Outdated, Problem, Refused
from emailhub.core.header import display
from emailhub.core.stored import Stored
from emailhub.core.template import Variable, VariableType
from emailhub.core.template_file import HTML, SUBJECT, TEXT
from emailhub.core.wording import VARIABLES, Draft, draft
from emailhub.web.body import object_in
from emailhub.web.errors import WebError
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.pages.send import split_addresses
from emailhub.web.visit import AnyRequest

_FILES: Final = {"subject": SUBJECT, "html": HTML, "text": TEXT}
_TEXTS: Final = ("name", "alias", "from", "subject", "html", "text")
_COLUMNS: Final = ("key", "type", "fallback", "sample", "description")
_SPARE: Final = 3
"""Empty rows for further variables, so that none needs a script."""
_ROW: Final = re.compile(r"variables\[(\d+)\]")
_MOST_FIELDS: Final = 20 + VARIABLES * len(_COLUMNS)
_REASON: Final = 200
_FIRST: Final = {
    "subject": "Welcome, {{ first_name }}",
    "html": "<h1>Welcome, {{ first_name }}</h1>\n<p>Good to have you with us.</p>\n",
}
_FIRST_VARIABLES: Final = ({"key": "first_name", "type": "string", "fallback": "", "sample": "Ada", "description": ""},)


@get("/new-template", name="new_template", include_in_schema=False)
async def new(request: AnyRequest, paper: GivenPaper) -> Response[str]:
    """The form for a new template, with something to begin with."""
    return await _form(request, paper, _FIRST, list(_FIRST_VARIABLES))


@post("/new-template", name="create_template", status_code=303, include_in_schema=False)
async def create(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Redirect | Response[str]:
    """Keep the new template, or show the form again with what is wrong."""
    form = await read_form(request, _MOST_FIELDS)
    try:
        made = await faces.shelf.create(await _draft(form), actor_of(request, "dashboard"), _reason(form))
    except InvalidMessage as error:
        return await _form(request, paper, form, _rows(form), problems=error.problems, status=422)
    except Refused as error:
        return await _form(request, paper, form, _rows(form), problems=_not_now(error), status=error.status)
    return await _onward(request, faces, paper, made, form)


@get("/templates/{template:str}/edit", name="edit_template", include_in_schema=False)
async def edit(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]) -> Response[str]:
    """The form with the newest version."""
    stored, found = await faces.shelf.draft(template)
    rows = [_row(one) for one in found.wording.variables]
    return await _form(request, paper, _values(found, stored.newest), rows, stored=stored)


@post("/templates/{template:str}/edit", name="save_template", status_code=303, include_in_schema=False)
async def save(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]
) -> Redirect | Response[str]:
    """Keep what was typed as the newest version, or show the form again with what is wrong."""
    form = await read_form(request, _MOST_FIELDS)
    stored, _ = await faces.shelf.draft(template)
    base = form.get("base", "")
    number = int(base) if base.isascii() and base.isdecimal() and len(base) < 10 else stored.newest
    try:
        made = await faces.shelf.save(
            stored.id, await _draft(form), actor_of(request, "dashboard"), _reason(form), base=number
        )
    except InvalidMessage as error:
        return await _form(request, paper, form, _rows(form), stored=stored, problems=error.problems, status=422)
    except Refused as error:
        told = _not_now(error)
        return await _form(request, paper, form, _rows(form), stored=stored, problems=told, status=error.status)
    except Outdated as error:
        # Saved a second time, it is what the person decided after they were told.
        sentence = f"Somebody saved version {error.newest} meanwhile. Save again to put yours on top of it."
        told = (Problem("", sentence),)
        again = form | {"base": str(error.newest)}
        return await _form(request, paper, again, _rows(form), stored=stored, problems=told, status=409)
    return await _onward(request, faces, paper, made, form)


@post("/templates/{template:str}/published", name="publish_template", status_code=303, include_in_schema=False)
async def publish(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]) -> Redirect:
    """Let messages be made from a version: the newest, or an older one to take a change back."""
    form = await read_form(request)
    number = form.get("version", "")
    if not (number.isascii() and number.isdecimal() and len(number) < 10):
        return paper.onward(_path(template), Flash("bad", "Nothing was changed: choose a version."))
    done = await faces.shelf.publish(template, int(number), actor_of(request, "dashboard"), _reason(form))
    return paper.onward(_path(done.id), _published(done))


@post("/templates/{template:str}/copy", name="copy_template", status_code=303, include_in_schema=False)
async def copy(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]) -> Redirect:
    """Make a draft that says the same."""
    made = await faces.shelf.duplicate(template, actor_of(request, "dashboard"))
    said = Flash("ok", "This is the copy, a draft. Give it a name and an alias of its own.")
    return paper.onward(f"{_path(made.id)}/edit", said)


@post("/templates/{template:str}/removal", name="delete_template", status_code=303, include_in_schema=False)
async def delete(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, template: FromPath[str]) -> Redirect:
    """Forget a template with all its versions."""
    form = await read_form(request)
    gone = await faces.shelf.delete(template, actor_of(request, "dashboard"), _reason(form))
    said = f"{gone.called} is deleted. Messages that ask for it are refused; those accepted before are not touched."
    return paper.onward("/templates", Flash("ok", said))


async def _onward(request: AnyRequest, faces: Faces, paper: Paper, made: Stored, form: Mapping[str, str]) -> Redirect:
    """To the page of what was saved, published too when the form says so."""
    if form.get("then") == "publish":
        done = await faces.shelf.publish(made.id, made.newest, actor_of(request, "dashboard"), _reason(form))
        return paper.onward(_path(made.id), _published(done))
    uses = f"messages use version {made.published} until you publish it" if made.published else "it does not send yet"
    said = (
        f"Saved as version {made.newest}: {uses}."
        if made.newest != made.published
        else "Saved. What it says did not change."
    )
    return paper.onward(_path(made.id), Flash("info", said))


def _not_now(error: Refused) -> tuple[Problem, ...]:
    return (Problem("", f"Not saved: {error}"),)


def _published(done: Stored) -> Flash:
    return Flash("ok", f"Version {done.published} is published: messages are made from it from now on.")


def _path(id: str) -> str:
    return f"/templates/{quote(id, safe='')}"


def _reason(form: Mapping[str, str]) -> str:
    return " ".join(form.get("reason", "").split())[:_REASON]


async def _form(
    request: AnyRequest,
    paper: Paper,
    values: Mapping[str, str],
    rows: list[dict[str, str]],
    *,
    stored: Stored | None = None,
    problems: tuple[Problem, ...] = (),
    status: int = 200,
) -> Response[str]:
    spare = [dict.fromkeys(_COLUMNS, "") for _ in range(_SPARE)]
    return await paper.page(
        request,
        "templates/form.html",
        section="/templates",
        status=status,
        stored=stored,
        values=defaultdict(str, values),
        rows=[*rows, *spare][:VARIABLES],
        types=[one.value for one in VariableType],
        problems=_by_field(problems),
    )


def _by_field(problems: tuple[Problem, ...]) -> defaultdict[str, str]:
    """Sentences by field of the form; those about no field stand above it, under ""."""
    found: defaultdict[str, str] = defaultdict(str)
    for problem in problems:
        field = problem.field.partition("[")[0]
        known = field if field in (*_TEXTS, "reply_to", "variables") else ""
        row = _ROW.match(problem.field)
        where = f"variable {int(row[1]) + 1}: " if row else "" if known or not problem.field else f"{problem.field}: "
        # A file of a name nobody gave: the field it stands at says which text is meant.
        sentence = where + problem.message.removeprefix(f"{_FILES.get(known)} ")
        found[known] = f"{found[known]} {sentence[:1].upper()}{sentence[1:].removesuffix('.')}.".strip()
    return found


def _values(found: Draft, newest: int) -> dict[str, str]:
    said = found.wording
    return {
        "name": found.label.name,
        "alias": found.label.alias or "",
        "from": display(said.sender) if said.sender else "",
        "reply_to": ", ".join(display(box) for box in said.reply_to),
        "subject": said.subject,
        "html": said.html or "",
        "text": said.text or "",
        "base": str(newest),
    }


async def _draft(form: Mapping[str, str]) -> Draft:
    """What the form says. Raises InvalidMessage with every problem."""
    problems: list[Problem] = []
    variables = [await _variable(number, row, problems) for number, row in enumerate(_rows(form))]
    fields: dict[str, object] = {name: form.get(name, "").strip() or None for name in _TEXTS}
    fields |= {"reply_to": split_addresses(form.get("reply_to", "")) or None, "variables": variables}
    try:
        found = draft(fields)
    except InvalidMessage as error:
        raise InvalidMessage((*error.problems, *problems)) from None
    if problems:
        raise InvalidMessage(tuple(problems))
    return found


def _rows(form: Mapping[str, str]) -> list[dict[str, str]]:
    """The variables as typed, without the rows left empty."""
    rows = [{name: form.get(f"{name}-{number}", "").strip() for name in _COLUMNS} for number in range(VARIABLES)]
    return [row for row in rows if any(row[name] for name in _COLUMNS if name != "type")]


def _row(one: Variable) -> dict[str, str]:
    return {
        "key": one.name,
        "type": one.type.value,
        "fallback": _text(one.default),
        "sample": _text(one.sample),
        "description": one.description,
    }


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def _variable(number: int, row: Mapping[str, str], problems: list[Problem]) -> dict[str, object]:
    """A row as the API would be given it; what is no JSON where it must be is noted."""
    kind = row["type"] or VariableType.STRING.value
    found: dict[str, object] = {"key": row["key"], "type": kind, "description": row["description"] or None}
    for column, field in (("fallback", "fallback_value"), ("sample", "sample")):
        found[field] = row[column] or None
        if row[column] and kind != VariableType.STRING:
            try:
                found[field] = (await object_in(f'{{"value": {row[column]}}}'.encode(errors="replace"))).get("value")
            except (WebError, InvalidMessage):
                found[field] = None
                sentence = f"{field} must be a {kind} as JSON writes it, not {row[column][:40]}"
                problems.append(Problem(f"variables[{number}]", sentence))
    return found


HANDLERS: tuple[ControllerRouterHandler, ...] = (new, create, edit, save, publish, copy, delete)
