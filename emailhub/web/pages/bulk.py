"""`/jobs`: doing one thing to many messages: what it would be, how far it is, and how to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.bulk import IDS, Action, Job, Phase, Preview
from emailhub.core.delivery import State
from emailhub.core.errors import JobEnded
from emailhub.core.query import parse
from emailhub.core.records import Filter
from emailhub.web.faces import GivenFaces, actor_of
from emailhub.web.pages import words
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.messages import Query
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.visit import AnyRequest, refuse

_FACE = "dashboard"
_NOTE = 500
_JOBS = 30
PACES: Mapping[str, tuple[str, float | None]] = {
    "all": ("All at once", None),
    "10": ("10 a second", 10.0),
    "1": ("1 a second", 1.0),
}
DONE = {
    Action.RETRY: "queued again",
    Action.HOLD: "held",
    Action.RELEASE: "released",
    Action.CANCEL: "canceled",
}
_WILL = {
    Action.RETRY: "are queued again, with a new allowance of attempts for those that had come to an end, and sent",
    Action.HOLD: "wait from then on until somebody retries, releases or cancels them",
    Action.RELEASE: "are queued again and sent",
    Action.CANCEL: "are withdrawn: whoever has not got them yet gets nothing",
}


class Asked(Struct, frozen=True):
    """What the list was asked to do: to the messages `ids`, or to all that `query` finds."""

    action: Action
    query: Query
    ids: tuple[str, ...]
    at: float

    def filter(self) -> Filter | None:
        """As the outbox reads it; None: the search has mistakes, and would find more than was meant."""
        if self.ids:
            return Filter(ids=self.ids)
        found = parse(self.query.q, self.at)
        return None if found.mistakes else self.query.filter(found.terms)

    def written(self) -> str:
        """The messages in words people read: the search and what else narrows the list."""
        if self.ids:
            return ""
        also = [f"state:{self.query.state}"] if self.query.state else []
        also += [f"{word}:{value}" for _, word, value in self.query.chips]
        return " ".join([*also, self.query.q]).strip()


@get("/jobs", name="jobs", include_in_schema=False)
async def jobs(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """The latest jobs."""
    found = await faces.bulk.latest(_JOBS)
    return await paper.page(request, "jobs/list.html", section="/messages", watch="all", jobs=found, about=_about)


@get("/jobs/new", name="new_job", include_in_schema=False)
async def new(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any] | Redirect:
    """What would be done, before it is."""
    given = request.query_params
    ids = () if given.get("all") else tuple(given.getall("id", []))[:IDS]
    asked = _asked(given, ids, faces.now())
    if asked is None or not (ids or given.get("all")):
        text = "Nothing was done: select messages first, or tick all that match."
        return paper.onward(Query.of(given).url("/messages"), Flash("info", text))
    filter = asked.filter()
    if filter is None:
        return paper.onward(asked.query.url("/messages"))
    preview = await faces.bulk.preview(filter)
    return await paper.page(
        request,
        "jobs/new.html",
        section="/messages",
        asked=asked,
        preview=preview,
        touched=_by_state(preview.touched(asked.action)),
        untouched=_by_state(preview.untouched(asked.action)),
        number=sum(preview.touched(asked.action).values()),
        others=sum(preview.untouched(asked.action).values()),
        running=await faces.bulk.current(),
        will=_WILL[asked.action],
        paces=PACES,
        took=lambda seconds: words.coarse(max(seconds, 1.0)),
        fields={name: value for name, value in _fields(asked, preview).items() if value},
        back=asked.query.url(f"{faces.options.prefix}/messages"),
    )


@post("/jobs", name="begin_job", status_code=303, include_in_schema=False)
async def begin(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Redirect:
    """Begin what was confirmed: the very same messages, and none that came since."""
    form = await read_form(request)
    ids = tuple(id for id in form.get("ids", "").split(",") if id)[:IDS]
    asked = _asked(form, ids, _number(form.get("at", ""), faces.now()))
    filter = asked.filter() if asked else None
    upto = int(_number(form.get("upto", ""), -1))
    if asked is None or filter is None or upto < 0:
        return paper.onward("/messages", Flash("warn", "Nothing was done: the form was not complete."))
    _, pace = PACES.get(form.get("pace", ""), PACES["10"])
    job = await faces.bulk.start(
        asked.action,
        filter,
        asked.written(),
        actor_of(request, _FACE),
        reason=" ".join(form.get("reason", "").split())[:_NOTE],
        pace=pace,
        upto=upto,
    )
    return paper.onward(f"/jobs/{quote(job.id)}")


@get("/jobs/{job_id:str}", name="job", include_in_schema=False)
async def one(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, job_id: FromPath[str]) -> Response[str]:
    """How far a job is."""
    job = await faces.bulk.find(job_id)
    current = await faces.bulk.current()
    return await paper.page(
        request,
        "jobs/job.html",
        section="/messages",
        watch="all" if job.phase is Phase.RUNNING else "",
        job=job,
        about=_about(job),
        waits=current is not None and current.id != job.id and job.phase is Phase.RUNNING,
        word=DONE[job.order.action],
        pace="as fast as it goes" if job.order.pace is None else f"{job.order.pace:g} a second",
        left=words.coarse(job.left / job.order.pace) if job.order.pace else "",
        list=_list_of(job),
    )


@post("/jobs/{job_id:str}/stop", name="stop_job_page", status_code=303, include_in_schema=False)
async def stop(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, job_id: FromPath[str]) -> Redirect:
    """Do no more of it."""
    try:
        job = await faces.bulk.stop(job_id, actor_of(request, _FACE))
    except JobEnded as ended:
        refuse(request.scope, str(ended))
        return paper.onward(f"/jobs/{quote(job_id)}", Flash("info", f"Nothing was changed: {ended}."))
    done = words.counted(job.done, "message is", "messages are")
    said = f"Stopped. {done} {DONE[job.order.action]} and stay so; {words.number(job.left)} were not touched."
    return paper.onward(f"/jobs/{quote(job_id)}", Flash("ok", said))


def _asked(given: Mapping[str, str], ids: tuple[str, ...], at: float) -> Asked | None:
    action = next((one for one in Action if one == given.get("action")), None)
    return Asked(action, Query.of(given), ids, at) if action else None


def _fields(asked: Asked, preview: Preview) -> dict[str, str]:
    """What the form sends back, so that it is the very same that is done."""
    frozen = {"action": asked.action.value, "upto": str(preview.upto), "at": repr(asked.at), "ids": ",".join(asked.ids)}
    return frozen | asked.query.fields


def _by_state(counts: Mapping[State, int]) -> list[tuple[State, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _about(job: Job) -> str:
    """What a job is about, as a heading: `Retry 1,384 messages`."""
    return f"{job.order.action.value.capitalize()} {words.counted(job.total, 'message')}"


def _list_of(job: Job) -> str:
    return f"/messages?{urlencode({'q': job.order.query})}" if job.order.query else "/messages"


def _number(text: str, otherwise: float) -> float:
    try:
        found = float(text)
    except ValueError:
        return otherwise
    return found if 0 <= found < 1e15 else otherwise


HANDLERS: tuple[ControllerRouterHandler, ...] = (jobs, new, begin, one, stop)
