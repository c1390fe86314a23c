"""What describes a template, read field by field."""

from __future__ import annotations

from typing import Any

import pytest

from emailhub.core.errors import InvalidMessage
from emailhub.core.message import Mailbox
from emailhub.core.stored import Label, split
from emailhub.core.template import Variable, VariableType
from emailhub.core.wording import Draft, draft

GOOD: dict[str, Any] = {"name": "Welcome", "alias": "welcome", "subject": "Hello {{ first }}", "html": "<p>Hi</p>"}


def problems(fields: dict[str, Any], before: Draft | None = None) -> dict[str, str]:
    with pytest.raises(InvalidMessage) as caught:
        draft(fields, before)
    return dict(caught.value.problems)


def test_all_fields_are_kept_as_given() -> None:
    given = {
        "from": "Hub <hub@Example.org>",
        "reply_to": ["a@example.org", "b@example.org"],
        "text": "Hi\r\nthere",
        "variables": [
            {"key": "first", "type": "string", "fallback_value": "there", "sample": "Ada", "description": "given name"},
            {"key": "count", "type": "number"},
        ],
    }
    found = draft(GOOD | given)
    assert found.label == Label("Welcome", "welcome")
    assert found.wording.sender == Mailbox("hub@example.org", "Hub")
    assert [box.address for box in found.wording.reply_to] == ["a@example.org", "b@example.org"]
    assert found.wording.text == "Hi\nthere"
    assert found.wording.variables == (
        Variable(name="first", default="there", sample="Ada", description="given name"),
        Variable(name="count", type=VariableType.NUMBER),
    )


def test_every_problem_is_told_at_once_with_its_field() -> None:
    found = problems({"name": "x" * 101, "alias": "no spaces", "from": "nobody", "html": 3, "colour": "red"})
    assert set(found) == {"name", "alias", "from", "html", "subject", "colour"}
    assert found["name"] == "is 101 characters long; at most 100 are allowed"
    assert found["subject"] == "is required: 1 to 998 characters"
    assert "the fields are name, alias" in found["colour"]


def test_a_template_needs_html_or_text() -> None:
    assert problems({"name": "Welcome", "subject": "Hi"}) == {
        "html": "is required, or text: messages made from it would be empty"
    }
    assert draft({"name": "Welcome", "subject": "Hi", "text": "Hi"}).wording.html is None


def test_a_source_has_a_limit() -> None:
    assert draft(GOOD | {"html": "x" * 524288}).wording.html
    assert problems(GOOD | {"html": "x" * 524289}) == {"html": "is 524289 characters long; at most 524288 are allowed"}


@pytest.mark.parametrize(
    ("variable", "sentence"),
    (
        ("first", "must be an object of names and values"),
        ({}, "key must be 1 to 64 letters, digits and underscores, and not begin with a digit"),
        ({"key": "1st"}, "key must be 1 to 64 letters, digits and underscores, and not begin with a digit"),
        ({"key": "a", "type": "date"}, "type must be one of string, number, boolean, object, list"),
        ({"key": "a", "type": "number", "fallback_value": "3"}, "fallback_value must be of the type number"),
        ({"key": "a", "type": "list", "sample": {}}, "sample must be of the type list"),
        ({"key": "a", "sample": "x" * 20_000}, "sample is longer than 16384 bytes of JSON"),
        (
            {"key": "a", "extra": 1},
            "has the field extra; its fields are key, type, fallback_value, sample, description",
        ),
        ({"key": "a", "description": "x" * 201}, "is 201 characters long; at most 200 are allowed"),
    ),
)
def test_a_bad_variable_is_named(variable: object, sentence: str) -> None:
    assert problems(GOOD | {"variables": [{"key": "good"}, variable]}) == {"variables[1]": sentence}


def test_variables_are_counted_and_have_keys_of_their_own() -> None:
    assert "at most 100 are allowed" in problems(GOOD | {"variables": [{"key": "a"}] * 101})["variables"]
    assert problems(GOOD | {"variables": [{"key": "a"}, {"key": "a"}]}) == {
        "variables[1].key": "is the key of another variable too: a"
    }


def test_a_change_keeps_what_it_does_not_name_and_null_takes_away() -> None:
    before = draft(GOOD | {"text": "Hi", "from": "hub@example.org", "variables": [{"key": "first"}]})
    after = draft({"subject": "Servus"}, before)
    assert (after.wording.subject, after.wording.html, after.wording.text) == ("Servus", "<p>Hi</p>", "Hi")
    assert (after.label, after.wording.variables) == (before.label, before.wording.variables)
    bare = draft({"alias": None, "html": None, "from": None, "variables": []}, before)
    assert (bare.label.alias, bare.wording.html, bare.wording.sender, bare.wording.variables) == (None, None, None, ())
    assert draft({"name": None, "subject": None}, before) == before
    assert set(problems({"name": "", "alias": "", "html": "", "from": "", "subject": ""}, before)) == {
        *("name", "alias", "html", "from", "subject")
    }
    assert set(problems({"html": None, "text": ""}, before)) == {"html"}


@pytest.mark.parametrize(
    ("called", "found"),
    (
        ("welcome", ("welcome", "")),
        ("welcome.fr", ("welcome", "fr")),
        ("welcome.pt-br", ("welcome", "pt-br")),
        ("order.paid.fr", ("order.paid", "fr")),
        ("order.v2", ("order.v2", "")),
        (".fr", (".fr", "")),
    ),
)
def test_a_name_may_end_in_a_language(called: str, found: tuple[str, str]) -> None:
    assert split(called) == found
