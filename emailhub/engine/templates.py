"""Templates by name, wherever they are kept, and what they make of a message's variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from emailhub.core import template_use
from emailhub.core.errors import NotFound, Problem, TemplateError
from emailhub.core.message import Limits, Submission, TemplateUse
from emailhub.core.template import Broken, Rendered, Template, bound
from emailhub.engine.ports import Catalog, Renderer


class Templates:
    """The templates of all `catalogs`; of two with the same id that of the earlier catalog is used."""

    def __init__(self, renderer: Renderer, catalogs: Sequence[Catalog]) -> None:
        self._renderer = renderer
        self._catalogs = tuple(catalogs)

    async def find(self, id: str, language: str = "") -> Template:
        """The template in the best language there is. Raises NotFound."""
        for catalog in self._catalogs:
            found = await catalog.find(id, language)
            if found is not None:
                return found
        raise NotFound("template", id)

    async def all(self) -> tuple[Template, ...]:
        """Every usable template in every language; those an earlier catalog hides are left out."""
        found: dict[str, tuple[Template, ...]] = {}
        for catalog in self._catalogs:
            fresh: dict[str, tuple[Template, ...]] = {}
            for template in await catalog.all():
                fresh[template.id] = (*fresh.get(template.id, ()), template)
            found = fresh | found
        return tuple(template for id in sorted(found) for template in found[id])

    async def broken(self) -> tuple[Broken, ...]:
        """Those that cannot be used as they stand."""
        return tuple([broken for catalog in self._catalogs for broken in await catalog.broken()])

    async def render(self, template: Template, given: Mapping[str, object]) -> Rendered:
        """What `template` makes of the values `given` and its defaults. Raises TemplateError, Refused."""
        return await self._renderer.render(template, bound(template, given))

    async def check(self, template: Template) -> tuple[Problem, ...]:
        """What is wrong with its sources; () when they compile."""
        return await self._renderer.check(template)

    async def used(self, use: TemplateUse) -> tuple[Template, Rendered]:
        """The template a message asks for, and what it makes. Raises TemplateError, Refused."""
        try:
            template = await self.find(use.id, use.language)
        except NotFound:
            sentence = f"names no template of this hub, which has none that is called {use.id}"
            raise TemplateError((Problem("template.id", sentence),)) from None
        return template, await self.render(template, use.variables)


async def filled(submission: Submission, templates: Templates | None, limits: Limits) -> Submission:
    """`submission` with what its template makes of its variables. Raises TemplateError, Refused."""
    if submission.template is None:
        return submission
    if templates is None:
        raise TemplateError((Problem("template", "is for hubs with templates, and this one has none"),))
    return template_use.filled(submission, *await templates.used(submission.template), limits)
