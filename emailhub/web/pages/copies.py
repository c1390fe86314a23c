"""`/messages/{id}/copies`: a message sent again, to the same or to others."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from litestar import post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.core.address import parse_list
from emailhub.core.errors import InvalidMessage, Problem, Refused, WrongState
from emailhub.core.message import Mailbox
from emailhub.engine.again import resend
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.pages.send import split_addresses
from emailhub.web.visit import AnyRequest, refuse, visit

_FACE = "dashboard"
_NOTE = 500
_KEPT = 2000
"""Characters of what was typed that the page gets back when it is wrong."""


@post("/messages/{id:str}/copies", name="send_again", status_code=303, include_in_schema=False)
async def send_again(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, id: FromPath[str]) -> Redirect:
    """Send it again and go to the page of the new message; what was typed wrong goes back to the form."""
    form = await read_form(request)
    typed, note = form.get("to", ""), " ".join(form.get("reason", "").split())[:_NOTE]
    actor, origin = actor_of(request, _FACE), visit(request).origin(_FACE)
    try:
        receipt = await resend(faces.history, faces.intake, id, actor, origin, to=_boxes(typed), note=note)
    except InvalidMessage as error:
        why = "; ".join(f"{one.field}: {one.message}" for one in error.problems[:3])
        back = urlencode({"again": typed[:_KEPT], "why": note})
        return paper.onward(f"/messages/{quote(id)}?{back}", Flash("bad", f"Nothing was sent. {why}."))
    except (WrongState, Refused) as error:
        refuse(request.scope, str(error))
        return paper.onward(f"/messages/{quote(id)}", Flash("warn", f"Nothing was sent: {error}."))
    return paper.onward(
        f"/messages/{receipt.id}", Flash("ok", "Accepted as a message of its own; both lead to each other.")
    )


def _boxes(typed: str) -> tuple[Mailbox, ...]:
    boxes = parse_list(split_addresses(typed), "to")
    if not boxes:
        raise InvalidMessage((Problem("to", "give at least one address"),))
    return boxes


HANDLERS: tuple[ControllerRouterHandler, ...] = (send_again,)
