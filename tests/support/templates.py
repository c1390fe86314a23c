"""Templates for tests of what is built on them: a renderer in this process, a directory in memory, an empty store."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import NoReturn, cast

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError
from jinja2.sandbox import SandboxedEnvironment

from emailhub.core.errors import NotFound, Problem, TemplateError
from emailhub.core.stored import Stored
from emailhub.core.template import Broken, Rendered, Template, languages
from emailhub.engine.shelf import Shelf, TemplateStore
from emailhub.engine.templates import Templates


class PlainRenderer:
    """Renders well-meant templates, without any of the bounds the real one has."""

    def __init__(self) -> None:
        self._html = SandboxedEnvironment(autoescape=True, undefined=StrictUndefined)
        self._text = SandboxedEnvironment(autoescape=False, undefined=StrictUndefined)

    async def render(self, template: Template, values: Mapping[str, object]) -> Rendered:
        try:
            html = self._html.from_string(template.html).render(values) if template.html else None
            text = self._text.from_string(template.text).render(values) if template.text else html and "made of html"
            return Rendered(self._text.from_string(template.subject).render(values), html, text)
        except UndefinedError as error:
            raise TemplateError((Problem("template.variables", str(error)),)) from None

    async def check(self, template: Template) -> tuple[Problem, ...]:
        found = []
        for name in ("subject", "html", "text"):
            try:
                self._text.parse(getattr(template, name) or "")
            except TemplateSyntaxError as error:
                found.append(Problem(name, f"line {error.lineno}: {error.message}"))
        return tuple(found)


class Files:
    """A directory of templates, without one; see `ports.Catalog`."""

    def __init__(self) -> None:
        self.templates: list[Template] = []
        self.reasons: list[Broken] = []

    async def find(self, id: str, language: str) -> Template | None:
        found = {one.language: one for one in self.templates if one.id == id}
        return next((found[one] for one in languages(language) if one in found), None)

    async def all(self) -> tuple[Template, ...]:
        return tuple(self.templates)

    async def broken(self) -> tuple[Broken, ...]:
        return tuple(self.reasons)


class _NothingStored:
    async def all(self) -> list[Stored]:
        return []

    async def find(self, id: str) -> NoReturn:
        raise NotFound("template", id)


def empty_shelf(now: Callable[[], float]) -> Shelf:
    """A shelf without templates, for hubs that only show pages."""
    templates = Templates(PlainRenderer(), [])
    return Shelf(cast("TemplateStore", _NothingStored()), templates, None, now=now, entropy=secrets.token_bytes)
