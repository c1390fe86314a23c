"""`/messages`: the list, filtered and paged by its URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from litestar import Response, get
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core.delivery import State
from emailhub.core.errors import NotFound
from emailhub.core.figures import Totals
from emailhub.core.query import LONGEST, Mistake, Term, parse
from emailhub.core.records import Filter, Page, Summary
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.pages.paper import GivenPaper, is_part
from emailhub.web.visit import AnyRequest

_ROWS = 50
_FRESH = 99
_COUNTED = 10_000
"""Messages that match are counted so far."""
_LOOKING, _COUNTING = 0.04, 0.015
"""Seconds of processor time in which messages are looked at one by one, and in which they are counted."""
EXPORTED = 100_000
"""Messages of one file, the newest."""
_EMPTY = {
    State.QUEUED: "Nothing is queued: whatever comes in is on its way at once.",
    State.SCHEDULED: "Nothing is scheduled. Messages whose sender asked for a later time wait here.",
    State.SENDING: "Nothing is being sent at this moment.",
    State.DEFERRED: "Nothing is deferred. Messages that could not be sent yet wait here for their next try.",
    State.HELD: "Nothing is held. Messages of unknown outcome, and those somebody stopped, wait here for a human.",
    State.SENT: "Nothing was sent yet.",
    State.FAILED: "Nothing failed. Recipients that fail for good land here, with the reason, and can be sent again.",
    State.CANCELED: "Nothing was canceled.",
    State.SUPPRESSED: "Nothing was suppressed: no mail was for an address on the suppression list.",
}
_ORDER = (
    State.QUEUED,
    State.SCHEDULED,
    State.SENDING,
    State.DEFERRED,
    State.HELD,
    State.SENT,
    State.FAILED,
    State.CANCELED,
    State.SUPPRESSED,
)


_KEPT = ("state", "q", "request", "correlation", "relay", "template")
"""Parameters that say which messages; the others say which page of them."""


class Query(Struct, frozen=True):
    """What the URL asks for; `before` and `after` are message ids."""

    state: str = ""
    q: str = ""
    request: str = ""
    correlation: str = ""
    relay: str = ""
    template: str = ""
    before: str = ""
    after: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Query:
        """From query parameters; an unknown state means all of them."""
        asked = {name: given.get(name, "").strip()[: LONGEST + 1] for name in cls.__struct_fields__}
        if asked["state"] not in _ORDER:
            asked["state"] = ""
        return cls(**asked)

    def filter(self, terms: tuple[Term, ...]) -> Filter:
        """As the outbox reads it; `terms` are what `q` means."""
        return Filter(
            State(self.state) if self.state else None,
            terms,
            self.request or None,
            self.correlation or None,
            self.relay or None,
            self.template or None,
        )

    def url(self, path: str, **changes: str) -> str:
        """This query with `changes`, from its first page unless they name another."""
        fields = {name: getattr(self, name) for name in _KEPT} | changes
        query = urlencode({name: value for name, value in fields.items() if value})
        return f"{path}?{query}" if query else path

    @property
    def fields(self) -> dict[str, str]:
        """The parameters that say which messages, but for those that are empty."""
        return {name: value for name in _KEPT if (value := getattr(self, name))}

    @property
    def chips(self) -> tuple[tuple[str, str, str], ...]:
        """The exact filters in force: the parameter, its word, its value."""
        named = ("request", "correlation", "relay", "template")
        return tuple((name, name, getattr(self, name)) for name in named if getattr(self, name))

    @property
    def paged(self) -> bool:
        """Whether this is another page than the first."""
        return bool(self.before or self.after)

    @property
    def narrowed(self) -> bool:
        """Whether anything is left out."""
        return bool(self.state or self.q or self.chips)


class Tab(Struct, frozen=True):
    """One state as a tab."""

    label: str
    count: int
    href: str
    current: bool


@get("/messages", name="messages", include_in_schema=False)
async def messages(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """A page of the list; for the script, what changed in the page it shows."""
    query = Query.of(request.query_params)
    asked = parse(query.q, faces.now())
    wanted = query.filter(asked.terms)
    path = f"{faces.options.prefix}/messages"
    tabs = _tabs(query, await faces.history.totals(), path)
    frame: dict[str, Any] = {
        "heading": _heading(query),
        "tabs": tabs,
        "newest": query.url(path),
        "job": await faces.bulk.current(),
        "picks": True,
    }
    if is_part(request):
        first, shown = request.query_params.get("first", ""), request.query_params.getall("row", [])
        fresh = "" if query.paged or asked.mistakes else await _fresh(faces, wanted, first)
        frame |= {"fresh": fresh, "rows": await _rows(faces, shown)}
        return await paper.page(request, "messages/live.html", **frame)
    page = await _page(faces, query, wanted, asked.mistakes)
    return await paper.page(
        request,
        "messages/list.html",
        section="/messages",
        watch="rows",
        query=query,
        longest=LONGEST,
        mistakes=asked.mistakes,
        chips=[(word, value, query.url(path, **{name: ""})) for name, word, value in query.chips],
        page=page,
        filtered=query.narrowed or query.paged,
        nothing=_nothing(query),
        asked=query.fields,
        matching=await _matching(faces, wanted, page),
        many=page.older or page.newer,
        most=EXPORTED,
        export={form: query.url(f"{path}/{form}") for form in ("csv", "jsonl")},
        unindexed=await faces.history.not_searchable() if asked.terms else 0,
        fresh="",
        first=query.url(path) if query.paged and page.newer else "",
        newer=query.url(path, after=page.newer) if page.newer else "",
        older=query.url(path, before=page.older) if page.older else "",
        **frame,
    )


async def _matching(faces: Faces, wanted: Filter, page: Page) -> str:
    """How many there are, when there are more than on this page: `1,384`, `10,000+`; nothing when there are not."""
    if not (page.older or page.newer):
        return ""
    if page.reached is not None:
        return f"{len(page.items):,}+"
    count = await faces.history.count(wanted, _COUNTED, patience=_COUNTING)
    # What was counted before patience was at its end may be less than what an older page shows.
    return f"{max(count.messages, len(page.items)):,}{'' if count.whole else '+'}"


async def _page(faces: Faces, query: Query, wanted: Filter, mistakes: tuple[Mistake, ...]) -> Page:
    """What the URL asks for; nothing where that has mistakes, which would find more than was meant."""
    if mistakes:
        return Page((), None, None)
    return await faces.history.page(
        wanted, before=query.before or None, after=query.after or None, limit=_ROWS, patience=_LOOKING
    )


def _tabs(query: Query, totals: Totals, path: str) -> list[Tab]:
    every = Tab("All", sum(totals.by_state.values()), query.url(path, state=""), not query.state)
    states = (
        Tab(state.capitalize(), totals.by_state.get(state, 0), query.url(path, state=state), query.state == state)
        for state in _ORDER
    )
    return [every, *states]


async def _fresh(faces: Faces, wanted: Filter, first: str) -> str:
    """How many messages are wanted that are not on screen: `12`, `99+`, or nothing.

    They are newer than the `first` one there; where there is none, the list was empty.
    """
    try:
        newer = await faces.history.page(wanted, before=None, after=first or None, limit=_FRESH, patience=_LOOKING)
    except NotFound:
        return ""
    count = len(newer.items)
    more = newer.newer if first else newer.older
    return f"{count}+" if more and count == _FRESH else str(count or "")


async def _rows(faces: Faces, ids: list[str]) -> list[Summary]:
    """The rows the script shows and knows to be out of date; those that are gone are left out."""
    found = []
    for id in ids[:_ROWS]:
        try:
            found.append((await faces.history.find(id)).summary)
        except NotFound:
            continue
    return found


def _heading(query: Query) -> str:
    return f"{query.state.capitalize()} messages" if query.state else "Messages"


def _nothing(query: Query) -> str:
    if query.q or query.chips or not query.state:
        where = f" among the {query.state} ones" if query.state else ""
        what = f" “{query.q}”" if query.q else " this"
        return (
            f"No message matches{what}{where}. Words are searched in subjects and addresses of recipients, and as ids."
        )
    return _EMPTY[State(query.state)]


HANDLERS: tuple[ControllerRouterHandler, ...] = (messages,)
