"""What every page is printed on: the templates, what they may call, and what the frame around each page shows."""

from __future__ import annotations

from re import Match
from re import compile as pattern
from typing import Any, TypeAlias

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import SkipValidation
from litestar.response import Redirect
from markupsafe import Markup, escape
from msgspec import Struct

from emailhub import __version__
from emailhub.core.access import Scope
from emailhub.core.status import Flow
from emailhub.engine.gate import Way
from emailhub.web.errors import ErrorBody
from emailhub.web.faces import Faces
from emailhub.web.pages import flash, words
from emailhub.web.pages.assets import Assets
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.places import folders
from emailhub.web.pages.ways import ways
from emailhub.web.visit import PART, AnyRequest, Visit, visit

_TICKED = pattern(r"`([^`]+)`")
_CLOCK = pattern(r"\b([01]\d|2[0-3]):([0-5]\d) UTC\b")
THEME = "emailhub_theme"
"""The cookie that keeps the reader's theme."""
THEMES = frozenset({"light", "dark"})
_CHANGING = frozenset({Scope.ADMIN})
_CALM = Flow(level="ok", headline="", sentence="")


class Banner(Struct, frozen=True):
    """A line under the header that stays as long as what it says is so."""

    tone: str
    text: str


class Paper:
    """Prints pages for `faces`. Templates and static files are read once, at the start."""

    def __init__(self, faces: Faces) -> None:
        self._faces = faces
        self.assets = Assets(folders("static", faces.options.static_dir))
        self._pages = environment(faces)
        self._pages.globals["asset"] = lambda name: f"{faces.options.prefix}/static/{self.assets.name(name)}"

    async def page(
        self, request: AnyRequest, template: str, *, section: str = "", status: int = 200, **facts: Any
    ) -> Response[str]:
        """The page `template` says, with its frame, or only its changing parts when the script asks for those."""
        part = is_part(request)
        seen = visit(request)
        said = None if part else flash.read(request.cookies.get(flash.COOKIE))
        flow = await self._faces.board.flow()
        html = self._render(
            template,
            seen,
            flow=flow,
            layout="bare.html" if part else "base.html",
            section=section,
            flash=said,
            theme=_theme(request),
            here=_here(request, self._faces.options.prefix),
            banners=self._banners(seen, told=section == "/" and flow.level == "info"),
            origin=self._faces.options.public_url or _origin(request, seen),
            **facts,
        )
        cookies = [flash.taken(self.root)] if said else []
        return _html(html, status, cookies)

    def stranger(self, request: AnyRequest, template: str, *, status: int = 200, **facts: Any) -> Response[str]:
        """A page for somebody who is not signed in: nothing of the hub is told in its frame."""
        frame: dict[str, Any] = {"layout": "base.html", "banners": _insecure(visit(request)), "theme": _theme(request)}
        return _html(self._render(template, None, **frame, **facts), status, [])

    def error(self, body: ErrorBody, known: bool) -> str:
        """The page of an error, for a person; `known` ones find the way on from it.

        It asks nothing of the outbox, which may be what failed.
        """
        heading = _HEADINGS.get(body.statusCode, "That did not work")
        facts: dict[str, Any] = {"status": body.statusCode, "heading": heading, "text": body.message}
        return self._render("error.html", None, layout="base.html", signed_in=known, **facts)

    def onward(self, path: str, said: Flash | None = None) -> Redirect:
        """After a POST: go to the page `path`, which shows `said`."""
        cookies = [flash.written(said, self.root)] if said else []
        return Redirect(f"{self._faces.options.prefix}{path}", status_code=303, cookies=cookies)

    @property
    def root(self) -> str:
        """The path of the first page, which is that of cookies."""
        return self._faces.options.prefix or "/"

    def _render(self, template: str, seen: Visit | None, *, flow: Flow = _CALM, **facts: Any) -> str:
        frame = {
            "now": self._faces.now(),
            "version": __version__,
            "flow": flow,
            "trouble": flow.level in {"warn", "bad"},
            "signed_in": seen is not None,
            "may_change": seen is not None and seen.caller.principal.may(_CHANGING),
            "me": seen.caller.name if seen is not None else "",
            "can_leave": seen is not None and seen.caller.way is Way.SESSION,
            "capturing": self._faces.board.capturing,
            "ways": ways(self._faces.board.relays()),
            "flash": None,
            "theme": "",
            "here": "/",
            "banners": (),
            "section": "",
            "watch": "",
        }
        return self._pages.get_template(template).render(frame | facts)

    def _banners(self, seen: Visit, *, told: bool) -> tuple[Banner, ...]:
        """`told`: the page itself says first that mail is captured."""
        banners = list(_insecure(seen))
        if self._faces.options.notice:
            banners.append(Banner("info", self._faces.options.notice))
        if seen.caller.way is Way.OPEN and seen.caller.name == "anybody":
            banners.append(Banner("bad", _OPEN))
        if self._faces.board.capturing and not told:
            banners.append(Banner("info", _CAPTURING))
        return tuple(banners)


GivenPaper: TypeAlias = NamedDependency[SkipValidation[Paper]]
"""The type of the handler parameter `paper`."""

_CAPTURING = "Capturing: mail is kept here and reaches nobody. Set SMTP_HOST to send it for real."
_OPEN = "Everybody who can reach this address can read and send mail here: EMAILHUB_AUTH is none."
_PLAIN = "This connection is not encrypted: the password crosses the network in the clear. Reach emailhub over HTTPS."
_HEADINGS = {
    400: "The request was not understood",
    401: "Sign in first",
    403: "This is closed",
    404: "There is nothing here",
    405: "That cannot be done here",
    421: "This hub does not know that name",
    429: "Too many tries",
    500: "emailhub failed on this page",
    503: "Not right now",
}


def is_part(request: AnyRequest) -> bool:
    """Whether the script asks for the changing parts only."""
    return PART in request.headers


def environment(faces: Faces) -> Environment:
    """The templates: everything is escaped, and an unknown name is an error instead of an empty place."""
    pages = Environment(
        loader=FileSystemLoader(folders("templates", faces.options.templates_dir)),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    now, prefix = faces.now, faces.options.prefix
    pages.filters.update(
        number=words.number,
        size=words.size,
        machine=machine,
        moments=lambda text: moments(text, now()),
        first_address=first_address,
        sentence=sentence,
    )
    pages.globals.update(
        url=lambda path: f"{prefix}{path}",
        ago=lambda at: words.time_element(at, "ago", words.since(at, now())),
        countdown=lambda at: words.time_element(at, "countdown", words.remaining(at, now())),
        due=lambda at: words.time_element(at, "due", words.due(at, now())),
        clock=lambda at, form="clock": words.time_element(at, form, words.clock(at, form)),
        utc=words.clock,
        waited=lambda since: words.coarse(now() - since),
        duration=words.duration,
        counted=words.counted,
        share=words.share,
        rate=words.rate,
    )
    return pages


def machine(text: str) -> Markup:
    """Plain words as HTML, with what stands in `backticks` as code."""
    return Markup(_TICKED.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def moments(text: Markup, now: float) -> Markup:
    """Escaped text whose times of day (`03:12 UTC`) the script tells in the reader's time zone."""
    midnight = now - now % 86400

    def told(found: Match[str]) -> str:
        at = midnight + int(found[1]) * 3600 + int(found[2]) * 60
        return f'<span data-time="clock" data-at="{at:.0f}">{found[0]}</span>'

    return Markup(_CLOCK.sub(told, text))  # noqa: S704 - escaped before


def sentence(text: str) -> str:
    """With a capital letter at its beginning."""
    return text[:1].upper() + text[1:]


def first_address(header: str) -> str:
    """The address of a mailbox as people read it: of `Ada <ada@example.org>` or of `ada@example.org`."""
    # The name before it may hold anything, also what reads like an address; the brackets are written last.
    return header.rpartition("<")[2].removesuffix(">")


def _insecure(seen: Visit) -> tuple[Banner, ...]:
    caller = seen.caller
    crosses = caller.scheme == "http" and not caller.client.startswith(("127.", "::1"))
    return (Banner("warn", _PLAIN),) if crosses and caller.way in {Way.SESSION, Way.NOBODY} else ()


def _origin(request: AnyRequest, seen: Visit) -> str:
    return f"{seen.caller.scheme}://{request.headers.get('host', 'localhost')}"


def _here(request: AnyRequest, prefix: str) -> str:
    """The address of this page under the hub's own root."""
    query = request.url.query
    return request.url.path.removeprefix(prefix) + (f"?{query}" if query else "")


def _theme(request: AnyRequest) -> str:
    theme = request.cookies.get(THEME, "")
    return theme if theme in THEMES else ""


def _html(html: str, status: int, cookies: list[Cookie]) -> Response[str]:
    headers = {"cache-control": "no-store", "vary": PART}
    return Response(html, status_code=status, media_type="text/html; charset=utf-8", headers=headers, cookies=cookies)
