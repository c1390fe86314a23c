"""`/theme`: light, dark, or as the reader's system has it; kept in a cookie, so that the first paint is right."""

from __future__ import annotations

import re

from litestar import post
from litestar.datastructures import Cookie
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import THEME, THEMES, GivenPaper
from emailhub.web.visit import AnyRequest

_YEAR = 365 * 86400
_HERE = re.compile(r"/(?![/\\])[\w./?=&%:+@~-]{0,500}")
"""A page of this hub: two slashes would lead to another host."""


@post("/theme", name="theme", status_code=303, include_in_schema=False)
async def theme(request: AnyRequest, paper: GivenPaper) -> Redirect:
    """Keep the theme, and go back to the page `back`. An unknown theme means that of the system."""
    form = await read_form(request)
    chosen, back = form.get("theme", ""), form.get("back", "/")
    known = chosen in THEMES
    onward = paper.onward(back if _HERE.fullmatch(back) else "/")
    kept = chosen if known else ""
    onward.set_cookie(Cookie(key=THEME, value=kept, path=paper.root, max_age=_YEAR if known else 0, samesite="strict"))
    return onward


HANDLERS: tuple[ControllerRouterHandler, ...] = (theme,)
