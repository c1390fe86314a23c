"""`/send`: a test message by hand, through the same door as all others."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping

from litestar import Response, get, post
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core import parse
from emailhub.core.errors import InvalidMessage, Problem, Refused
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.relays import ordered
from emailhub.web.visit import AnyRequest, visit

_FIELDS = ("to", "subject", "text", "html", "from")
_COMMA = re.compile(r"""[,;\n](?=(?:[^"]*"[^"]*")*[^"]*$)""")
_FIRST = {
    "subject": "A test from emailhub",
    "text": "If you can read this, the whole way works: accepted, stored, carried and delivered.\n",
}


def split_addresses(text: str) -> list[str]:
    """What was typed into one line, address by address; a comma inside quotation marks does not divide."""
    return [part.strip() for part in _COMMA.split(text) if part.strip()]


def problems_by_field(problems: Iterable[Problem]) -> defaultdict[str, str]:
    """Sentences for the form's fields; those about anything else stand above it, under ""."""
    found: defaultdict[str, str] = defaultdict(str)
    for problem in problems:
        field = problem.field.partition("[")[0].partition(".")[0]
        known = field if field in _FIELDS else "text" if field == "body" else ""
        sentence = problem.message if known else f"{problem.field}: {problem.message}"
        found[known] = f"{found[known]} {_sentence(sentence)}".strip()
    return found


def _sentence(text: str) -> str:
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?")) else f"{text}."


@get("/send", name="send_form", include_in_schema=False)
async def empty(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """The form, with a text to begin with."""
    values = _FIRST | {"to": request.query_params.get("to", "")}
    return await _form(request, faces, paper, values, defaultdict(str))


@post("/send", name="send_test", status_code=303, include_in_schema=False)
async def send(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Redirect | Response[str]:
    """Accept the message and go to its page, or show the form again with what is wrong."""
    values = await read_form(request)
    fields: dict[str, object] = {name: values[name] for name in _FIELDS if values.get(name, "").strip()}
    fields |= {"to": split_addresses(values.get("to", ""))}
    try:
        submission = parse.submission(fields, faces.intake.limits, now=faces.now())
        receipt = await faces.intake.accept(submission, visit(request).origin("dashboard"))
    except InvalidMessage as error:
        return await _form(request, faces, paper, values, problems_by_field(error.problems), 422)
    except Refused as error:
        problems = defaultdict(str, {"": f"Not accepted: {error}."})
        return await _form(request, faces, paper, values, problems, error.status)
    return paper.onward(f"/messages/{receipt.id}")


async def _form(
    request: AnyRequest,
    faces: Faces,
    paper: Paper,
    values: Mapping[str, str],
    problems: defaultdict[str, str],
    status: int = 200,
) -> Response[str]:
    among = [relay.name for relay in ordered(faces.board.relays()) if not (relay.captures or relay.draining)]
    shown = {name: values.get(name, "") for name in _FIELDS}
    return await paper.page(
        request, "send.html", section="/send", status=status, values=shown, problems=problems, among=among
    )


HANDLERS: tuple[ControllerRouterHandler, ...] = (empty, send)
