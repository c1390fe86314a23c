"""Templates made to do harm: each is refused in less than two seconds, and the next one is rendered as ever."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from emailhub.adapters.renderer import ProcessRenderer
from emailhub.core.errors import TemplateError
from emailhub.core.template import Template

WELL = Template(id="well", subject="Hi {{ name }}", text="Hello {{ name }}")
SECONDS = 2.0
PARTS = (
    ("a.html", "{% include 'b.html' %}"),
    ("b.html", "{% include 'a.html' %}"),
    ("c.html", "{% extends 'c.html' %}"),
)
DEEP = 20_000

OUTPUT = (
    "{{ 'a' * 3000000 }}",
    "{{ 'a' * 50000000 }}",
    "{{ 'a' * 5000000000 }}",
    "{% for i in range(99999) %}{{ 'a' * 100 }}{% endfor %}",
    "{% for i in range(2000) %}{% for j in range(2000) %}a{% endfor %}{% endfor %}",
    "{{ 'x'.center(100000000) }}",
    "{{ 'x'|center(3000000) }}",
    "{{ '%3000000s'|format('x') }}",
    "{{ '{:>3000000}'.format('x') }}",
    "{{ '{0:{1}}'.format('x', 90000000) }}",
    "{{ 'a\nb'|indent(3000000) }}",
    "{{ ('a' * 1000)|replace('a', 'b' * 100000) }}",
    "{{ ([0] * 9000000)|tojson }}",
    "{{ ([0] * 900000)|pprint }}",
    "{{ ('a' * 1000000)|list|string }}",
    "{{ ('&' * 1000000)|e }}",
    "{{ ['a' * 1000] * 100000 }}",
    "{{ ('ab' * 1000000).join(['x'] * 9) }}",
    "{% set x = 'a' * 1000000 %}{% for i in range(9) %}{% set y %}{{ x }}{{ x }}{% endset %}{{ y }}{% endfor %}",
    "{% set ns = namespace(x='a') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set j = joiner('a' * 1000000) %}{% for i in range(9) %}{{ j() }}{% endfor %}",
    "{% filter upper %}{{ 'a' * 3000000 }}{% endfilter %}",
    "{% macro m() %}{{ caller() * 2000000 }}{% endmacro %}{% call m() %}ab{% endcall %}",
    "{{ x * 3000000 }}",
)
TIME = (
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 9 ** (9 ** 9) }}",
    "{{ (7 ** 90000) ** 90 > 1 }}",
    "{{ 2 ** 2 ** 99999 }}",
    "{{ ('9' * 4000)|int ** 99999 }}",
    "{% for i in range(99999) %}{% set y = range(9999)|map('string')|map('int')|sum %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
    "{% for i in range(99999) %}{% set y = range(99999)|list %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = range(9999)|sort|unique|list %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = (x * 9999)|wordwrap(3) %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = ('http://x.y '|replace('y', x) * 9999)|urlize %}{% endfor %}",
    "{% for i in range(99999) %}{% set y = (x * 99999)|striptags %}{% endfor %}",
    "{% for i in range(9999) recursive %}{{ loop(range(9999)) if loop.depth < 3 }}{% endfor %}",
    "<style>" + "p div div div div{x:y}" * 20_000 + "</style>" + "<div>" * 20_000,
)
RECURSION = (
    "{% include 'body.html' %}",
    "{% include 'a.html' %}",
    "{% extends 'c.html' %}",
    "{% import 'body.html' as me %}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
    "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "{% block x %}{{ self.x() }}{% endblock %}",
    "{{ " + "(" * DEEP + "1" + ")" * DEEP + " }}",
    "{{ " + "[" * DEEP + "]" * DEEP + " }}",
    "{{ " + "not " * DEEP + "1 }}",
    "{{ 1" + "|string" * DEEP + " }}",
    "{% if 1 %}" * 500 + "{% endif %}" * 500,
)
ESCAPES = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ x['__class__']['__base__'] }}",
    "{{ x|attr('__class__') }}",
    "{{ '{0.__class__.__mro__}'.format(x) }}",
    "{{ '{x.__class__}'.format_map({'x': x}) }}",
    "{{ ('{0.__class__}'|attr('format'))(x) }}",
    "{% set f = '{0.__class__}'.format %}{{ f(x) }}",
    "{{ ['{0.__class__}']|map('format', x)|list|first|attr('__len__')() }}",
    "{{ [x]|map(attribute='__class__')|first }}",
    "{{ ([x]|groupby('__class__')|first)[0] }}",
    "{{ [x]|sum(attribute='__class__') }}",
    "{{ [x]|selectattr('__class__')|list }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self._TemplateReference__context.eval_ctx }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ range.__class__ }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'].popen('id').read() }}",
    "{{ joiner.__init__.__globals__ }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ config.items() }}",
    "{% set x.y = 1 %}",
    "{{ [].append(1) }}",
    "{{ {}.update({'a': 1}) }}",
    "{{ [1].clear() }}",
    "{% import 'os' as os %}{{ os.environ }}",
    "{% include '/etc/passwd' %}",
    "{% include '../../etc/passwd' %}",
    "{% trans %}x{% endtrans %}",
    "{% do x.append(1) %}",
    "{% debug %}",
    "{% macro m() %}{% endmacro %}{{ m.__globals__ }}",
    "{% macro m() %}{{ caller.__code__ }}{% endmacro %}{% call m() %}{% endcall %}",
    "{{ loop.__class__ }}",
    "{% for i in [1] %}{{ loop.__init__.__globals__ }}{% endfor %}",
)
SLOW = (*OUTPUT[12:], *TIME[4:])
"""Those that take their time until they are refused, and are too many for every run."""
BOMBS = [
    pytest.param(source, marks=pytest.mark.nightly if source in SLOW else (), id=source[:60].replace("\n", " "))
    for source in OUTPUT + TIME + RECURSION + ESCAPES
]


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[ProcessRenderer]:
    found = ProcessRenderer(workers=1)
    yield found
    await found.close()


@pytest.mark.parametrize("source", BOMBS)
async def test_a_template_that_does_harm_is_refused_soon_and_the_next_one_is_rendered(
    renderer: ProcessRenderer, source: str
) -> None:
    await renderer.render(WELL, {"name": "Ada"})
    started = time.monotonic()
    with pytest.raises(TemplateError) as caught:
        await renderer.render(Template(id="bomb", html=source, parts=PARTS), {"x": "x"})
    assert time.monotonic() - started < SECONDS
    assert all(len(problem.message) < 500 for problem in caught.value.problems)
    assert (await renderer.render(WELL, {"name": "Ada"})).text == "Hello Ada"


@pytest.mark.parametrize("source", ("{{ 2 ** 2 ** 99999 }}", "{{ 'a' * 50000000 }}", "{{ " + "(" * DEEP + "1"))
async def test_a_template_that_does_harm_while_it_is_compiled_is_refused_before_anybody_uses_it(
    renderer: ProcessRenderer, source: str
) -> None:
    (problem,) = await renderer.check(Template(id="bomb", text=source))
    assert len(problem.message) < 500
