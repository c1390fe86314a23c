"""What a message may say about its template, and what a rendered one makes of the message."""

from __future__ import annotations

from typing import Any

import pytest

from emailhub.core import parse
from emailhub.core.errors import InvalidMessage, Problem, TemplateError
from emailhub.core.fingerprint import fingerprint
from emailhub.core.message import Limits, Mailbox, Submission, TemplateUse
from emailhub.core.template import Rendered, Template, Variable, VariableType, bound, languages
from emailhub.core.template_use import DEPTH, SIZE, VALUES, filled

TO = {"to": "ada@example.org"}
LIMITS = Limits(size=1000, subject=20)


def submission(**fields: Any) -> Submission:
    return parse.submission(TO | fields, Limits(), now=0.0)


def problems(**fields: Any) -> list[Problem]:
    with pytest.raises(InvalidMessage) as caught:
        submission(**fields)
    return list(caught.value.problems)


def nested(levels: int) -> object:
    found: object = 1
    for _ in range(levels):
        found = [found]
    return found


def test_a_template_takes_the_place_of_subject_and_text() -> None:
    found = submission(template={"id": "welcome", "variables": {"name": "Ada"}, "language": "pt-BR"})
    assert found.template == TemplateUse(id="welcome", language="pt-br", variables={"name": "Ada"})
    assert (found.subject, found.text, found.html) == ("", None, None)
    assert submission(template={"id": "a.b-c_1"}, subject="Own").subject == "Own"


@pytest.mark.parametrize("field", ("text", "html", "body"))
def test_a_template_and_a_text_are_one_too_many(field: str) -> None:
    (problem,) = problems(**{"template": {"id": "x"}, field: "<p>Hi</p>"})
    assert problem.field == field
    assert "together with template" in problem.message


@pytest.mark.parametrize(
    ("template", "field", "words"),
    (
        ("welcome", "template", "must be an object with id"),
        ({}, "template.id", "is required: 1 to 100"),
        ({"id": ""}, "template.id", "is required"),
        ({"id": 7}, "template.id", "is required"),
        ({"id": "../etc"}, "template.id", "is required"),
        ({"id": "x" * 101}, "template.id", "1 to 100"),
        ({"id": "x", "data": {}}, "template.data", "the fields are id, variables, language"),
        ({"id": "x", "language": "english"}, "template.language", "fr or pt-BR"),
        ({"id": "x", "language": 7}, "template.language", "fr or pt-BR"),
        ({"id": "x", "variables": []}, "template.variables", "must be an object"),
        ({"id": "x", "variables": {"a b": 1}}, "template.variables.a b", "is no name of a variable"),
        ({"id": "x", "variables": {"a": [0] * VALUES}}, "template.variables", f"more than {VALUES}"),
        ({"id": "x", "variables": {"a": "x" * SIZE}}, "template.variables", f"more than {SIZE}"),
        ({"id": "x", "variables": {"a": {"x" * (SIZE + 1): 1}}}, "template.variables", f"more than {SIZE}"),
        ({"id": "x", "variables": {"a": nested(DEPTH + 1)}}, "template.variables", f"more than {DEPTH} levels"),
        ({"id": "x", "variables": {"a": [2**64]}}, "template.variables", "more than 64 bits"),
        ({"id": "x", "variables": {"a": ["\ud800"]}}, "template.variables", "surrogate"),
    ),
)
def test_what_is_wrong_with_a_template_is_told_with_the_field_and_the_limit(
    template: object, field: str, words: str
) -> None:
    (problem,) = problems(template=template)
    assert problem.field == field
    assert words in problem.message


def test_just_within_the_limits_everything_is_taken() -> None:
    variables = {"a": nested(DEPTH), "b": "x" * (SIZE - 3), "c": [0] * (VALUES - DEPTH - 10)}
    found = submission(template={"id": "x", "variables": variables}).template
    assert found is not None
    assert found.variables == variables


def test_variables_are_what_counts_for_the_fingerprint_and_not_their_order_or_the_rendering() -> None:
    first = submission(template={"id": "x", "variables": {"a": 1, "b": {"c": 2, "d": 3}}})
    again = submission(template={"id": "x", "variables": {"b": {"d": 3, "c": 2}, "a": 1}})
    assert fingerprint(first) == fingerprint(again)
    others = (
        {"id": "y", "variables": {"a": 1, "b": {"c": 2, "d": 3}}},
        {"id": "x", "variables": {"a": 2, "b": {"c": 2, "d": 3}}},
        {"id": "x", "variables": {"a": 1, "b": {"c": 2, "d": 3}}, "language": "fr"},
    )
    for other in others:
        assert fingerprint(submission(template=other)) != fingerprint(first)
    made = filled(first, Template(id="x"), Rendered("S", None, "T"), LIMITS)
    assert fingerprint(made) == fingerprint(first)


def test_what_the_message_gives_goes_before_the_template_s_own() -> None:
    template = Template(id="x", sender=Mailbox("shop@example.org"), reply_to=(Mailbox("help@example.org"),))
    rendered = Rendered("Made", "<p>Made</p>", "Made")
    made = filled(submission(template={"id": "x"}), template, rendered, LIMITS)
    assert (made.sender, made.reply_to) == (template.sender, template.reply_to)
    assert (made.subject, made.html, made.text) == ("Made", "<p>Made</p>", "Made")
    own = submission(**{"template": {"id": "x"}, "from": "a@x.test", "reply_to": "b@x.test", "subject": "Own"})
    made = filled(own, template, rendered, LIMITS)
    assert (made.sender, made.reply_to, made.subject) == (Mailbox("a@x.test"), (Mailbox("b@x.test"),), "Own")


@pytest.mark.parametrize(
    ("rendered", "field", "words"),
    (
        (Rendered("Hi\r\nBcc: evil@x.test", None, "x"), "subject", "carriage return"),
        (Rendered("", None, "x"), "subject", "is empty"),
        (Rendered("x" * 21, None, "x"), "subject", "at most 20"),
        (Rendered("S", None, "x" * 1001), "text", "at most 1000"),
        (Rendered("S", "x" * 1001, None), "html", "at most 1000"),
        (Rendered("S", "", None), "template", "neither text nor html"),
    ),
)
def test_what_a_template_makes_is_held_to_the_rules_of_what_senders_give(
    rendered: Rendered, field: str, words: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        filled(submission(template={"id": "x"}), Template(id="welcome"), rendered, LIMITS)
    (problem,) = caught.value.problems
    assert problem.field == field
    assert words in problem.message
    assert "welcome" in problem.message


def test_variables_get_their_defaults_and_must_be_of_their_type() -> None:
    template = Template(
        id="x",
        variables=(
            Variable(name="name"),
            Variable(name="count", type=VariableType.NUMBER, default=1),
            Variable(name="items", type=VariableType.LIST, default=[]),
            Variable(name="on", type=VariableType.BOOLEAN, default=False),
            Variable(name="user", type=VariableType.OBJECT, default={}),
        ),
    )
    given = {"name": "Ada", "count": None, "more": 2}
    assert bound(template, given) == {"name": "Ada", "count": 1, "items": [], "on": False, "user": {}, "more": 2}
    with pytest.raises(TemplateError) as caught:
        bound(template, {"count": True, "items": {}, "on": 1, "user": "x"})
    told = {problem.field: problem.message for problem in caught.value.problems}
    assert told["template.variables.name"] == "is required by the template x: a string"
    assert told["template.variables.count"] == "must be a number: the template x says so"
    assert len(told) == 5


def test_a_language_falls_back_to_wider_ones_and_then_to_none() -> None:
    assert languages("pt-BR") == ("pt-br", "pt", "")
    assert languages("fr") == ("fr", "")
    assert languages("") == ("",)
