"""Jinja as templates of mail may use it: values and logic, nothing of Python, and an error for what is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import css_inline
from jinja2 import StrictUndefined, TemplateNotFound, TemplateRuntimeError, TemplateSyntaxError, UndefinedError, meta
from jinja2.exceptions import SecurityError
from jinja2.loaders import DictLoader
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from emailhub.core.plaintext import from_html

SUBJECT, HTML, TEXT = "subject.txt", "body.html", "body.txt"
FILES = {"subject": SUBJECT, "html": HTML, "text": TEXT}
_GLOBALS = ("range", "dict", "namespace", "joiner")
_SAID = 200

Problem = tuple[str, str]
"""A field of the message (`template.variables.name`) or "template", and a sentence."""


class ProblemError(Exception):
    """The template cannot be rendered with these values."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.problem: Problem = (field, sentence)


class _MissingError(UndefinedError):
    def __init__(self, message: str | None, owner: object, name: object) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name


class _Strict(StrictUndefined):
    """Something the template names and nobody gave; any use of it fails, except to ask whether it is there."""

    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: Any = UndefinedError
    ) -> None:
        telling: Any = (lambda message: _MissingError(message, obj, name)) if exc is UndefinedError else exc
        super().__init__(hint, obj, name, telling)


class _Environment(ImmutableSandboxedEnvironment):
    def getattr(self, obj: Any, attribute: str) -> Any:
        # `order.items` means what the sender gave as "items", not the method every dict has.
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


class Kitchen:
    """One template with its parts, compiled as far as it was needed. Raises ProblemError for what is wrong with it."""

    def __init__(self, sources: Mapping[str, str | None], parts: Mapping[str, str]) -> None:
        own = {FILES[part]: source for part, source in sources.items() if source is not None}
        self._own = tuple(own)
        self._loader = loader = DictLoader({**parts, **own})
        # What is included follows the document it is included in: a part named .txt must be escaped in HTML, too.
        self._plain, self._html = (_environment(loader, escape=escape) for escape in (False, True))

    def render(self, values: dict[str, Any], most: int) -> dict[str, str | None]:
        """Subject, html and text, at most `most` characters of each."""
        made = {part: self._one(name, values, most) for part, name in FILES.items() if name in self._own}
        html, text = made.get("html"), made.get("text")
        if html is not None and "<style" in html.lower():
            html = _inlined(html)
        if html is not None and text is None:
            text = from_html(html)
        if len(html or "") + len(text or "") > most:
            raise _too_long(most)
        return {"subject": made.get("subject", "").strip(), "html": html, "text": text}

    def check(self) -> list[Problem]:
        """What does not compile in the template or in the parts it names, which must be there."""
        problems, seen = [], set(self._own)
        waiting = [(name, self._of(name)) for name in self._own]
        while waiting:
            name, environment = waiting.pop(0)
            try:
                environment.get_template(name)
                source, _, _ = self._loader.get_source(environment, name)
                named = meta.find_referenced_templates(environment.parse(source, name))
                found = [other for other in named if other is not None]
            except Exception as error:  # noqa: BLE001 - the compiler fails in many ways on what it should not be given
                problems.append((_part(name), _explained(error, name, {})[1]))
                continue
            for other in found:
                if other not in self._loader.mapping:
                    problems.append((_part(name), f"{name} includes {other[:100]!r}, which is not there"))
                elif other not in seen:
                    seen.add(other)
                    waiting.append((other, environment))
        return problems

    def _of(self, name: str) -> _Environment:
        return self._html if name == HTML else self._plain

    def _one(self, name: str, values: dict[str, Any], most: int) -> str:
        try:
            template = self._of(name).get_template(name)
            # Not `generate`: it hides in which line of which template an error happened.
            chunks = template.root_render_func(template.new_context(values))
            return "".join(_bounded(chunks, most))
        except (ProblemError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a template does is the template's fault
            raise ProblemError(*_explained(error, name, values)) from None


def _environment(loader: DictLoader, *, escape: bool) -> _Environment:
    found = _Environment(
        loader=loader, autoescape=escape, undefined=_Strict, trim_blocks=True, lstrip_blocks=True, auto_reload=False
    )
    found.globals = {name: found.globals[name] for name in _GLOBALS}
    return found


def _bounded(chunks: Iterator[str], most: int) -> Iterator[str]:
    size = 0
    for chunk in chunks:
        size += len(chunk)
        if size > most:
            raise _too_long(most)
        yield chunk


def _too_long(most: int) -> ProblemError:
    return ProblemError("template", f"makes more than {most} characters")


def _inlined(html: str) -> str:
    # Nothing is fetched, neither from the network nor from files; media queries stay, since they cannot be inlined.
    inliner = css_inline.CSSInliner(load_remote_stylesheets=False, keep_link_tags=True, keep_at_rules=True)
    try:
        return inliner.inline(html)
    except Exception as error:  # noqa: BLE001 - whatever it says, the style sheet is the template's
        raise ProblemError("template", f"its style sheet cannot be inlined: {_said(error)}") from None


def _part(name: str) -> str:
    return next((part for part, file in FILES.items() if file == name), "parts")


def _braces(error: TemplateSyntaxError) -> str:
    """Templates of other services have three braces around a value."""
    line = (error.source or "").splitlines()[error.lineno - 1 : error.lineno]
    return "; a value has two braces around it: {{ name }}" if "{{{" in "".join(line) else ""


def _explained(error: Exception, name: str, values: Mapping[str, Any]) -> Problem:
    """The field an error is about, and what happened where, without repeating a value."""
    place = _place(error, name)
    if isinstance(error, TemplateSyntaxError):
        return "template", f"{error.name or name} line {error.lineno}: {_said(error.message)}{_braces(error)}"
    if isinstance(error, TemplateNotFound):
        return "template", f"{place} includes {str(error.name)[:100]!r}, which is not there"
    if isinstance(error, _MissingError):
        return _absent(error, place, values)
    if isinstance(error, SecurityError):
        return "template", f"{place} does what templates may not do: {_said(error)}"
    if isinstance(error, RecursionError):
        return "template", f"{place} is nested too deeply, or uses itself"
    if isinstance(error, TemplateRuntimeError | TypeError | AssertionError):
        return "template", f"{place}: {_said(error)}"
    # The words of other errors may repeat what they were given.
    return "template", f"{place} fails with {type(error).__name__}"


def _absent(error: _MissingError, place: str, values: Mapping[str, Any]) -> Problem:
    name = str(error.name)[:64]
    if error.owner is missing:
        return f"template.variables.{name}", f"is not given, and {place} needs it"
    path = _path_of(error.owner, values)
    if path:
        return f"template.variables.{path}.{name}", f"is not given, and {place} needs it"
    return "template", f"{place} asks for {name!r} of something that has none: {_said(error)}"


def _path_of(owner: object, values: Mapping[str, Any]) -> str:
    """Where in `values` the container `owner` is, "" when it is not in there."""
    layer: list[tuple[str, Any]] = list(values.items())
    while layer:
        path, value = layer.pop()
        if value is owner and isinstance(value, dict | list):
            return path[:200]
        if isinstance(value, dict):
            layer += [(f"{path}.{name}", item) for name, item in value.items()]
        elif isinstance(value, list):
            layer += [(f"{path}[{number}]", item) for number, item in enumerate(value)]
    return ""


def _place(error: Exception, name: str) -> str:
    """The file and line of the innermost template the error went through."""
    found = name
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if template is not None:
            found = f"{template.name} line {template.get_corresponding_lineno(trace.tb_lineno)}"
        trace = trace.tb_next
    return found


def _said(error: object) -> str:
    text = " ".join(str(error).split())
    return "".join(char if char.isprintable() else "\ufffd" for char in text[:_SAID])
