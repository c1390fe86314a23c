"""Jobs over many messages as JSON: begun, watched, stopped."""

from __future__ import annotations

import re
from typing import Final

from litestar import Router, get, post
from litestar.params import FromPath
from msgspec import Struct

from emailhub.core.bulk import FASTEST, IDS, SLOWEST, Action
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError, choice, items
from emailhub.core.query import parse
from emailhub.core.records import Filter
from emailhub.web.body import read_object, read_optional_object
from emailhub.web.errors import missing
from emailhub.web.faces import API, GivenFaces, actor_of
from emailhub.web.reason import reason_in
from emailhub.web.shapes import BulkAnswer, BulkJobList, BulkJobShape
from emailhub.web.visit import AnyRequest

LATEST: Final = 20
_FIELDS = ("action", "query", "ids", "pace", "dry_run", "reason")
_ID = re.compile(r"[!-~]{1,64}")
_ACTIONS = {action.value: action for action in Action}


class Asked(Struct, frozen=True):
    """What a request wants done."""

    action: Action
    filter: Filter
    query: str
    pace: float | None
    dry: bool
    reason: str


@post("/emails/bulk", status_code=200)
async def begin(request: AnyRequest, faces: GivenFaces) -> BulkAnswer:
    """Have one thing done to many messages; the answer comes before it is done."""
    given = await read_object(request)
    asked = _asked(given, faces.now())
    preview, job = await faces.bulk.preview(asked.filter), None
    if not asked.dry:
        job = await faces.bulk.start(
            asked.action,
            asked.filter,
            asked.query,
            actor_of(request, API),
            reason=asked.reason,
            pace=asked.pace,
            upto=preview.upto,
        )
    return BulkAnswer.of(preview, asked.action, job)


@get("/bulk")
async def list_jobs(faces: GivenFaces) -> BulkJobList:
    """The latest jobs."""
    return BulkJobList([BulkJobShape.of(job) for job in await faces.bulk.latest(LATEST)])


@get("/bulk/{job_id:str}")
async def read_job(job_id: FromPath[str], faces: GivenFaces) -> BulkJobShape:
    """How far a job is."""
    return BulkJobShape.of(await faces.bulk.find(job_id))


@post("/bulk/{job_id:str}/stop", status_code=200)
async def stop_job(request: AnyRequest, job_id: FromPath[str], faces: GivenFaces) -> BulkJobShape:
    """Do no more of it; what is done stays so."""
    reason = reason_in(await read_optional_object(request), ("reason",))
    return BulkJobShape.of(await faces.bulk.stop(job_id, actor_of(request, API), reason))


def router() -> Router:
    """The routes of this module."""
    return Router("/", route_handlers=[begin, list_jobs, read_job, stop_job])


def _asked(given: dict[str, object], now: float) -> Asked:
    """Raises InvalidMessage with all that is wrong."""
    problems, reason = list[Problem](), ""
    try:
        reason = reason_in(given, _FIELDS)
    except InvalidMessage as error:
        problems += error.problems
    read = _Reader(given, problems)
    action, filter, pace, dry = read.action(), read.filter(now), read.pace(), read.dry_run()
    if problems:
        raise missing(InvalidMessage(tuple(problems)), given)
    return Asked(action, filter, str(given.get("query") or ""), pace, dry, reason)


class _Reader:
    """The fields of a request, read one by one; `problems` gets all that is wrong."""

    def __init__(self, given: dict[str, object], problems: list[Problem]) -> None:
        self._given = given
        self._problems = problems

    def _wrong(self, field: str, text: str) -> None:
        self._problems.append(Problem(field, text))

    def action(self) -> Action:
        value = self._given.get("action")
        try:
            return choice(value, _ACTIONS)
        except BadValueError as error:
            self._wrong("action", str(error) if value is not None else f"is required: one of {', '.join(_ACTIONS)}")
            return Action.RETRY

    def filter(self, now: float) -> Filter:
        query, ids = self._given.get("query"), self._given.get("ids")
        if (query is None) is (ids is None):
            text = "is required: the search, or else `ids`" if query is None else "is given together with ids"
            self._wrong("query", text)
            return Filter()
        return self._named(ids) if query is None else self._searched(query, now)

    def _searched(self, query: object, now: float) -> Filter:
        if not isinstance(query, str) or not query.strip():
            self._wrong("query", "must be a search that is not empty; `-id:x` is everything")
            return Filter()
        found = parse(query, now)
        for mistake in found.mistakes:
            self._wrong("query", f"{mistake.piece}: {mistake.text}")
        return Filter(terms=found.terms)

    def _named(self, ids: object) -> Filter:
        text = f"must be a list of 1 to {IDS} ids of messages"
        try:
            found = items(ids, IDS, text)
        except BadValueError as error:
            self._wrong("ids", str(error))
            return Filter()
        if not found:
            self._wrong("ids", text)
        for number, id in enumerate(found):
            if not (isinstance(id, str) and _ID.fullmatch(id)):
                self._wrong(f"ids[{number}]", "is no id of a message, such as 01M86ZVV9FQESMTXYZCHHA5N7M")
                break
        return Filter(ids=tuple(str(id) for id in found))

    def pace(self) -> float | None:
        value = self._given.get("pace")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not SLOWEST <= value <= FASTEST:
            self._wrong("pace", f"must be a number of messages a second, from {SLOWEST:g} to {FASTEST:g}")
            return None
        return float(value)

    def dry_run(self) -> bool:
        value = self._given.get("dry_run")
        if value is not None and not isinstance(value, bool):
            self._wrong("dry_run", "must be true or false")
        return value is True
