"""Filling placeholders: plain values only, escaped in html, never half done."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.placeholder import LARGEST, UnfillableError, fill

VALUES = {
    "name": "Ada",
    "html": "<b>&\"'</b>",
    "count": 3,
    "price": 1.5,
    "paid": True,
    "nothing": None,
    "list": [1],
    "meta": {"link": "https://example.org/?a=1&b=2", "deep": {"er": "x"}},
    "a.b": "flat",
    "kebab-case": "k",
    "Name": "Go",
}


@pytest.mark.parametrize(
    ("template", "filled"),
    (
        ("Hello {{name}}!", "Hello Ada!"),
        ("Hello {{ name }}{{name}}", "Hello AdaAda"),
        ("{{{name}}}", "Ada"),
        ("{{.Name}}", "Go"),
        ("{{meta.deep.er}} {{ a.b }} {{kebab-case}}", "x flat k"),
        ("{{count}} {{price}} {{paid}}", "3 1.5 true"),
        ("[{{missing}}{{nothing}}{{list}}{{meta}}{{name.x}}]", "[]"),
        ("{name} { {name} } {}", "{name} { {name} } {}"),
        ("nothing to fill", "nothing to fill"),
        ("{{name", "{{name"),
        ("", ""),
    ),
)
def test_plain_placeholders_are_filled(template: str, filled: str) -> None:
    assert fill(template, VALUES, html=False) == filled


def test_values_are_escaped_in_html_and_only_there() -> None:
    assert fill("{{html}} {{{html}}}", VALUES, html=False) == "<b>&\"'</b> <b>&\"'</b>"
    assert fill("{{html}}{{{html}}}", VALUES, html=True) == "&lt;b&gt;&amp;&quot;&#x27;&lt;/b&gt;" * 2
    assert fill('<a href="{{meta.link}}">', VALUES, html=True) == '<a href="https://example.org/?a=1&amp;b=2">'


def test_a_value_is_not_filled_again() -> None:
    assert fill("{{a}}", {"a": "{{b}}", "b": "evil"}, html=False) == "{{b}}"


@pytest.mark.parametrize(
    "template",
    (
        "{% if name %}Hi{% endif %}",
        "{{#if name}}Hi{{/if}}",
        "{{#each list}}x{{/each}}",
        "{{> header}}",
        "{{ name|upper }}",
        "{{ name.upper() }}",
        "{{ 7 * 7 }}",
        "{{ self.__init__ }}()" + "{{ '' }}",
        "{{}}",
        "{{ }}",
        "{{first name}}",
    ),
)
def test_what_is_more_than_a_plain_variable_stops_the_message(template: str) -> None:
    with pytest.raises(UnfillableError, match="plain variables"):
        fill(template, VALUES, html=True)


def test_a_filled_text_cannot_fill_the_memory() -> None:
    with pytest.raises(UnfillableError, match=str(LARGEST)):
        fill("{{a}}" * 100_000, {"a": "x" * 100_000}, html=False)


@pytest.mark.parametrize("unit", ("{", "{{", "{{a", "{{{", "}", "{{}", "{ {", "{{a}"))
def test_unfinished_placeholders_take_no_time(unit: str) -> None:
    start = time.thread_time()
    assert fill(unit * 200_000, {}, html=False) == unit * 200_000
    assert time.thread_time() - start < 1


@given(st.text(st.sampled_from("{}%ab. #<"), max_size=60), st.booleans())
def test_any_text_is_filled_or_refused(template: str, html: bool) -> None:
    try:
        filled = fill(template, {"a": "A", "b": {"a": "B"}}, html=html)
    except UnfillableError:
        filled = ""
    assert "{{a}}" not in filled
    assert "{%" not in filled
