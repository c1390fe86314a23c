"""`templates`: the templates of a directory, tried out without a hub; and the process they are rendered in."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from emailhub.cli import exits, options
from emailhub.core.errors import EmailhubError, NotFound

if TYPE_CHECKING:
    from emailhub.core.template import Template
    from emailhub.engine.templates import Templates

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
_R = TypeVar("_R")


@click.command()
@click.argument("name", required=False)
@click.option("--directory", type=_FOLDER, help="The directory of the templates [EMAILHUB_TEMPLATES].")
@click.option("--language", default="", help="The language wanted, such as fr or pt-BR.")
@click.option("--variables", help="Values as a JSON object, beside the samples in template.toml.")
@options.as_json
@options.reads_settings
def templates(
    *,
    name: str | None,
    directory: Path | None,
    language: str,
    variables: str | None,
    as_json: bool,
    env_file: Path | None,
    config: Path | None,
) -> None:
    """Check all templates, or show what NAME makes of its samples. No hub is needed.

    Exit code 1 when a template cannot be used, or not with these values.
    """
    root = directory or options.load(env_file, config).settings.templates
    if root is None:
        step = "set EMAILHUB_TEMPLATES or give --directory"
        raise exits.Stop(exits.CONFIGURATION, "there is no directory of templates", step)
    if name is None:
        _check(root, as_json=as_json)
    else:
        _show(root, name, language, _object(variables), as_json=as_json)


@click.command(hidden=True, context_settings={"ignore_unknown_options": True})
@click.argument("bounds")
def renderer(bounds: str) -> None:  # noqa: ARG001 - read from the command line by the process itself
    """Be the process templates are rendered in; for the hub packed into one file."""
    from emailhub.adapters.renderer.child import main

    main()


def _object(text: str | None) -> dict[str, object]:
    try:
        found = json.loads(text) if text else {}
    except ValueError as error:
        raise click.BadParameter(f"it is no JSON: {error}", param_hint="--variables") from None
    if not isinstance(found, dict):
        raise click.BadParameter("it must be a JSON object", param_hint="--variables")
    return found


def _check(root: Path, *, as_json: bool) -> None:
    found, reasons = _with(root, _tried)
    listed = [{"template": one.label, "problem": reasons.get(one.label, ""), **_facts(one)} for one in found]
    labels = {one.label for one in found}
    unusable = [{"template": label, "problem": reason} for label, reason in reasons.items() if label not in labels]
    if as_json:
        options.write_json([*listed, *unusable])
    else:
        for line in [*listed, *unusable]:
            problem = line["problem"]
            click.echo(f"{'FAIL' if problem else 'ok':5}{line['template']}{f': {problem}' if problem else ''}")
        if not (listed or unusable):
            click.echo(f"no templates in {root}")
    if reasons:
        raise exits.Stop(exits.FAILED, f"{', '.join(reasons)} cannot be used")


def _facts(template: Template) -> dict[str, Any]:
    return {
        "description": template.description,
        "variables": {one.name: str(one.type) for one in template.variables},
    }


async def _tried(templates: Templates) -> tuple[tuple[Template, ...], dict[str, str]]:
    """All templates, and why those that are of no use are."""
    reasons = {one.label: one.reason for one in await templates.broken()}
    found = await templates.all()
    for template in found:
        try:
            await templates.render(template, template.sample)
        except EmailhubError as error:
            reasons.setdefault(template.label, f"with its samples: {error}")
    return found, reasons


def _show(root: Path, name: str, language: str, values: dict[str, object], *, as_json: bool) -> None:
    async def work(templates: Templates) -> dict[str, str | None]:
        template = await templates.find(name, language)
        made = await templates.render(template, template.sample | values)
        return {"template": template.label, "subject": made.subject, "html": made.html, "text": made.text}

    try:
        made = _with(root, work)
    except NotFound:
        raise exits.Stop(
            exits.FAILED, f"there is no usable template {name!r} in {root}", "`emailhub templates`"
        ) from None
    except EmailhubError as error:
        raise exits.Stop(exits.FAILED, str(error)) from None
    if as_json:
        options.write_json(made)
        return
    click.echo(f"Subject: {made['subject']}")
    for part in ("text", "html"):
        if made[part]:
            click.echo(f"\n--- {part} ---\n{(made[part] or '').rstrip()}")


def _with(root: Path, work: Callable[[Templates], Coroutine[Any, Any, _R]]) -> _R:
    """What `work` finds in the templates of `root`."""
    from emailhub.adapters.renderer import ProcessRenderer
    from emailhub.adapters.templates import TemplateFolder
    from emailhub.engine.templates import Templates

    async def run() -> _R:
        renderer = ProcessRenderer(workers=1)
        try:
            return await work(Templates(renderer, [TemplateFolder(root, renderer.check, clock=time.monotonic)]))
        finally:
            await renderer.close()

    return asyncio.run(run())
