"""`/relays/{relay}/test`: a message that goes over this relay or not at all, to see if it works."""

from __future__ import annotations

from urllib.parse import quote

from litestar import post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace

from emailhub.core import parse
from emailhub.core.breaker import Mode, Phase
from emailhub.core.errors import InvalidMessage, Refused
from emailhub.core.message import Submission
from emailhub.core.routing import Route, domain_of
from emailhub.core.status import RelayStatus
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.visit import AnyRequest, visit

_TEXT = "This is a test of the relay {}, sent by hand from emailhub. That you can read it is all it has to say.\n"


@post("/relays/{relay:str}/test", name="test_relay", status_code=303, include_in_schema=False)
async def test(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, relay: FromPath[str]) -> Redirect:
    """Send it and go to its page, or say why it was not sent."""
    status, here = faces.board.relay(relay), f"/relays/{quote(relay)}"
    try:
        submission = _message(faces, relay, await read_form(request))
        if why := _stopped(status) or _unsendable(status, _domain(faces, submission)):
            return paper.onward(here, Flash("bad", f"No test was sent: {why}"))
        receipt = await faces.intake.accept(submission, visit(request).origin("dashboard"))
    except InvalidMessage as error:
        why = "; ".join(f"{one.field} {one.message}" for one in error.problems[:3])
        return paper.onward(here, Flash("bad", f"No test was sent: {why}."))
    except Refused as error:
        return paper.onward(here, Flash("bad", f"No test was sent: {error}."))
    return paper.onward(f"/messages/{receipt.id}", Flash("info", f"Handed to {relay} alone. Its fate shows here."))


def _message(faces: Faces, relay: str, form: dict[str, str]) -> Submission:
    """Raises InvalidMessage."""
    fields: dict[str, object] = {"to": form.get("to", "").strip(), "subject": f"A test of relay {relay}"}
    if sender := form.get("from", "").strip():
        fields["from"] = sender
    fields["text"] = _TEXT.format(relay)
    return replace(parse.submission(fields, faces.intake.limits, now=faces.now()), over=relay)


def _domain(faces: Faces, submission: Submission) -> str:
    return domain_of((submission.sender or faces.intake.defaults.sender).address)


def _stopped(status: RelayStatus) -> str:
    """Why it would only wait; "" when it would not."""
    if status.breaker.mode is Mode.OPEN:
        return f"{status.name} is paused by hand, so it would only wait. End the pause first."
    if status.breaker.mode is Mode.AUTO and status.breaker.phase is not Phase.CLOSED:
        return f"the breaker of {status.name} is open, so it would only wait. Try the relay now, or send anyway."
    return ""


def _unsendable(status: RelayStatus, domain: str) -> str:
    """Why the relay would not send for `domain`; "" when it would."""
    if not Route(name=status.name, domains=status.domains).carries(domain):
        return f"{status.name} carries {', '.join(status.domains)}, not {domain}. Give a sender it may carry."
    if any(one.domain == domain for one in status.suspended):
        return f"{status.name} does not let {domain} send. Verify the domain, then let it send again."
    return ""


HANDLERS: tuple[ControllerRouterHandler, ...] = (test,)
