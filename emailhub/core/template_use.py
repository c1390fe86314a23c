"""The field `template` of a message, `{id, variables, language}`, read; and what a rendered template makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from emailhub.core import fields as read
from emailhub.core.errors import InvalidMessage, Problem, TemplateError
from emailhub.core.message import Limits, Submission, TemplateUse
from emailhub.core.template import LANGUAGE, NAME, VARIABLE, Rendered, Template

VALUES = 10_000
"""Values and names a message may bring for its template, counted at every level."""
DEPTH = 16
"""Levels of lists and objects among them."""
SIZE = 256 * 1024
"""Characters of all strings and names among them."""
_FIELDS = ("id", "variables", "language")
_INTEGERS = range(-(2**63), 2**64)


def template_use(value: object) -> TemplateUse:
    """The template a message asks for. Raises InvalidMessage, BadValueError."""
    if not isinstance(value, Mapping):
        raise read.BadValueError("must be an object with id and, when it takes any, variables")
    problems = [
        Problem(f"template.{read.shown(str(name))}", f"is not a field of template; the fields are {', '.join(_FIELDS)}")
        for name in value
        if name not in _FIELDS
    ]
    id, variables, language = (value.get(name) for name in _FIELDS)
    if not isinstance(id, str) or not NAME.fullmatch(id):
        problems.append(Problem("template.id", "is required: 1 to 100 letters, digits, hyphens, underscores and dots"))
    known = language_of(language)
    if known is None:
        problems.append(Problem("template.language", "must be a language such as fr or pt-BR"))
    variables = {} if variables is None else variables
    problems += _flaws(variables)
    if problems:
        raise InvalidMessage(tuple(problems))
    return TemplateUse(id=str(id), language=known or "", variables=dict(variables))


def language_of(value: object) -> str | None:
    """The language `value` names, as it is kept; "" when none is given, None when it is not one."""
    if value is None or value == "":
        return ""
    found = value.lower().replace("_", "-") if isinstance(value, str) and len(value) <= 35 else ""
    return found if LANGUAGE.fullmatch(found) else None


def _flaws(variables: object) -> list[Problem]:
    """What is wrong with the values, one problem at most: the first limit that is exceeded says enough."""
    if not isinstance(variables, Mapping):
        return [Problem("template.variables", "must be an object of names and values")]
    for name in variables:
        if not isinstance(name, str) or not VARIABLE.fullmatch(name):
            field = f"template.variables.{read.shown(str(name))}"
            return [Problem(field, "is no name of a variable: a letter or _, then letters, digits and _, at most 64")]
    flaw = _too_much(variables)
    return [Problem("template.variables", flaw)] if flaw else []


def _too_much(variables: Mapping[str, object]) -> str:
    """Which limit the values exceed, or ""."""
    layer: list[object] = [variables]
    count = size = 0
    for _ in range(DEPTH + 1):
        values = [value for container in layer for value in _inner(container)]
        count += len(values)
        size += sum(len(value) for value in values if isinstance(value, str))
        if count > VALUES:
            return f"holds more than {VALUES} values and names"
        if size > SIZE:
            return f"holds more than {SIZE} characters"
        flaw = next(filter(None, map(_flaw, values)), "")
        if flaw:
            return flaw
        layer = [value for value in values if isinstance(value, dict | list)]
        if not layer:
            return ""
    return f"is nested more than {DEPTH} levels deep"


def _inner(container: object) -> Iterator[object]:
    if isinstance(container, Mapping):
        yield from container
        yield from container.values()
    elif isinstance(container, list):
        yield from container


def _flaw(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value not in _INTEGERS:
        return "holds a number of more than 64 bits; give it as a string"
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return "holds a lone surrogate, which no text can hold"
    return ""


def filled(submission: Submission, template: Template, rendered: Rendered, limits: Limits) -> Submission:
    """`submission` with what its template makes; sender, reply_to and subject of its own go before the template's.

    Raises TemplateError when a part is not what it must be, or when there is none.
    """
    problems: list[Problem] = []
    subject, text, html = submission.subject, rendered.text or None, rendered.html or None
    try:
        subject = subject or read.line(rendered.subject, limits.subject)
    except read.BadValueError as error:
        problems.append(Problem("subject", f"as the template {template.label} makes it {error}"))
    for name, part in (("text", text), ("html", html)):
        try:
            read.document(part or "", limits.size)
        except read.BadValueError as error:
            problems.append(Problem(name, f"as the template {template.label} makes it {error}"))
    if text is None and html is None:
        problems.append(
            Problem("template", f"{template.label} makes neither text nor html: the message would be empty")
        )
    if problems:
        raise TemplateError(tuple(problems))
    return replace(
        submission,
        sender=submission.sender or template.sender,
        reply_to=submission.reply_to or template.reply_to,
        subject=subject,
        text=text,
        html=html,
        original=submission,
        made=template.made,
    )
