"""What templates make of their values, what is told when they cannot, and what the process they run in may do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jinja2.defaults import DEFAULT_NAMESPACE

from emailhub.adapters.renderer import Bounds, ProcessRenderer, worker
from emailhub.adapters.renderer.sandbox import Kitchen, ProblemError
from emailhub.core.errors import Problem, Refused, TemplateError
from emailhub.core.template import Rendered, Template


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[ProcessRenderer]:
    found = ProcessRenderer(workers=1)
    yield found
    await found.close()


def template(**given: Any) -> Template:
    return Template(id="t", **given)


async def refused(renderer: ProcessRenderer, source: str, values: dict[str, object] | None = None) -> Problem:
    with pytest.raises(TemplateError) as caught:
        await renderer.render(template(html=source), values or {})
    (problem,) = caught.value.problems
    return problem


async def test_values_are_escaped_in_html_and_in_nothing_else(renderer: ProcessRenderer) -> None:
    made = await renderer.render(
        template(subject="Hi {{ name }}", html="<p>{{ name }}</p>", text="Hi {{ name }}"), {"name": "<Ada> & Bob"}
    )
    assert made == Rendered("Hi <Ada> & Bob", "<p>&lt;Ada&gt; &amp; Bob</p>", "Hi <Ada> & Bob")


async def test_what_html_includes_is_escaped_whatever_it_is_called(renderer: ProcessRenderer) -> None:
    made = await renderer.render(
        template(
            html="{% include 'part.txt' %}", text="{% include 'page.html' %}", parts=_parts("part.txt", "page.html")
        ),
        {"name": "<b>"},
    )
    assert (made.html, made.text) == ("&lt;b&gt;", "<b>")


def _parts(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((name, "{{ name }}") for name in names)


def test_a_template_has_four_names_to_build_with_and_no_other() -> None:
    for name in DEFAULT_NAMESPACE:
        made = Kitchen({"subject": f"{{{{ {name} is defined }}}}", "html": None, "text": None}, {}).render({}, 100)
        assert made["subject"] == str(name in {"range", "dict", "namespace", "joiner"}), name


@pytest.mark.parametrize(
    "sources",
    (
        {"subject": "{% for _ in range(99) %}aa{% endfor %}", "html": None, "text": None},
        {"subject": "a", "html": "<p>{{ 'a' * 60 }}</p>", "text": "{{ 'a' * 60 }}"},
        {"subject": "a", "html": "<p>{{ 'a' * 60 }}</p>", "text": None},
    ),
    ids=("piece by piece", "together", "with the text made of it"),
)
def test_what_is_made_has_its_bound_in_each_part_and_together(sources: dict[str, str | None]) -> None:
    with pytest.raises(ProblemError, match="makes more than 100 characters"):
        Kitchen(sources, {}).render({}, 100)


async def test_a_layout_is_filled_and_macros_are_imported(renderer: ProcessRenderer) -> None:
    parts = (
        ("layouts/base.html", "<html>{% block body %}{% endblock %}</html>"),
        ("macros.html", "{% macro button(to) %}<a href='{{ to }}'>Go</a>{% endmacro %}"),
    )
    html = (
        "{% extends 'layouts/base.html' %}{% from 'macros.html' import button %}"
        "{% block body %}{{ button(url) }}{% endblock %}"
    )
    made = await renderer.render(template(html=html, parts=parts), {"url": "https://x.test"})
    assert made.html == "<html><a href='https://x.test'>Go</a></html>"


async def test_style_sheets_become_style_attributes_and_media_queries_stay(renderer: ProcessRenderer) -> None:
    html = "<style>p { color: red } @media (max-width: 9px) { p { color: blue } }</style><p>{{ x }}</p>"
    made = (await renderer.render(template(html=html), {"x": "Hi"})).html or ""
    assert '<p style="color: red;">Hi</p>' in made
    assert "@media (max-width: 9px)" in made


async def test_no_style_sheet_is_fetched(renderer: ProcessRenderer) -> None:
    asked = asyncio.Event()
    server = await asyncio.start_server(lambda *_: asked.set(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    links = f"<style></style><link rel=stylesheet href='http://127.0.0.1:{port}/a.css'>"
    made = (
        await renderer.render(template(html=links + "<link rel=stylesheet href=/etc/passwd><p>x</p>"), {})
    ).html or ""
    server.close()
    await server.wait_closed()
    assert not asked.is_set()
    assert "root:" not in made


async def test_without_a_text_of_its_own_the_text_is_made_from_the_html(renderer: ProcessRenderer) -> None:
    made = await renderer.render(template(html="<h1>Hi {{ x }}</h1><p>Bye</p>"), {"x": "<Ada>"})
    assert made.text == "Hi <Ada>\n\nBye\n"


@pytest.mark.parametrize(
    ("source", "field"),
    (
        ("{{ name }}", "template.variables.name"),
        ("{% if name %}x{% endif %}", "template.variables.name"),
        ("{% for x in name %}x{% endfor %}", "template.variables.name"),
        ("{{ name + 1 }}", "template.variables.name"),
        ("{{ name.first }}", "template.variables.name"),
        ("{{ user.name }}", "template.variables.user.name"),
        ("{{ user['name'] }}", "template.variables.user.name"),
        ("{{ list[1].name }}", "template.variables.list[1].name"),
    ),
)
async def test_a_variable_that_is_not_given_is_named_with_the_line_that_needs_it(
    renderer: ProcessRenderer, source: str, field: str
) -> None:
    values = {"user": {"x": 1}, "list": [{}, {"x": 2}]}
    problem = await refused(renderer, "\n\n" + source, values)
    assert problem == (field, "is not given, and body.html line 3 needs it")


async def test_whether_a_variable_is_given_can_be_asked(renderer: ProcessRenderer) -> None:
    source = "{{ name|default('you') }}{% if name is defined %}!{% endif %}"
    assert (await renderer.render(template(text=source), {})).text == "you"
    assert (await renderer.render(template(text=source), {"name": "Ada"})).text == "Ada!"


async def test_a_value_named_like_a_method_is_the_value(renderer: ProcessRenderer) -> None:
    made = await renderer.render(
        template(text="{{ order.items|length }}{{ order.keys() }}"), {"order": {"items": [1, 2]}}
    )
    assert made.text == "2dict_keys(['items'])"


async def test_an_error_says_where_it_happened_and_repeats_no_value(renderer: ProcessRenderer) -> None:
    parts = (("part.html", "\n{{ 'a' ~ secret }}\n{{ secret.encode(secret) }}"),)
    with pytest.raises(TemplateError, match=r"part\.html line 3") as caught:
        await renderer.render(template(html="{% include 'part.html' %}", parts=parts), {"secret": "hunter2"})
    assert "hunter2" not in str(caught.value)


async def test_a_check_tells_of_every_part_what_does_not_compile_and_what_is_not_there(
    renderer: ProcessRenderer,
) -> None:
    parts = (("layout.html", "{% block x %}{% endbloc %}"),)
    found = await renderer.check(
        template(subject="{{ a", html="{% extends 'layout.html' %}", text="\n{% include 'gone.txt' %}", parts=parts)
    )
    told = dict(found)
    assert told["subject"].startswith("subject.txt line 1: ")
    assert told["text"] == "body.txt includes 'gone.txt', which is not there"
    assert told["parts"].startswith("layout.html line 1: ")
    assert await renderer.check(template(subject="{{ a }}", html="{{ b }}")) == ()


async def test_of_three_braces_as_other_services_have_them_it_says_that_there_are_two_here(
    renderer: ProcessRenderer,
) -> None:
    told = dict(await renderer.check(template(subject="Hi {{{ NAME }}}", html="<p>\n{{ a }}\n{{{NAME}}}</p>")))
    assert told["subject"].endswith("; a value has two braces around it: {{ name }}")
    assert told["html"].startswith("body.html line 3: ")
    assert told["html"].endswith("{{ name }}")
    (one,) = await renderer.check(template(subject="Hi", html="{{{a}}}\n{{ b"))
    assert "braces" in one[1]
    (other,) = await renderer.check(template(subject="Hi", html="{{ a\n"))
    assert "braces" not in other[1]


async def test_what_one_template_keeps_another_does_not_see(renderer: ProcessRenderer) -> None:
    await renderer.render(template(text="{% set x = 'secret' %}{{ x }}", parts=(("a.txt", "1"),)), {})
    assert (await refused(renderer, "{{ x }}")).field == "template.variables.x"
    assert "not there" in (await refused(renderer, "{% include 'a.txt' %}")).message


async def test_more_templates_than_a_process_keeps_are_all_rendered(renderer: ProcessRenderer) -> None:
    for _ in range(2):
        for number in range(70):
            assert (await renderer.render(template(text=f"{number}"), {})).text == str(number)


async def test_a_process_that_was_killed_is_replaced(renderer: ProcessRenderer) -> None:
    await renderer.render(template(text="x"), {})
    idle = renderer._idle[0]
    os.kill(idle.pid, signal.SIGKILL)
    await idle._process.wait()
    assert (await renderer.render(template(text="x"), {})).text == "x"


async def test_a_request_that_was_given_up_does_not_get_its_answer_to_the_next(renderer: ProcessRenderer) -> None:
    slow = template(text="{% for i in range(9999) %}{% for j in range(99) %}{% endfor %}{% endfor %}slow")
    task = asyncio.create_task(renderer.render(slow, {}))
    for _ in range(5):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (await renderer.render(template(text="next"), {})).text == "next"


async def test_the_process_gets_nothing_of_the_hubs_environment_and_can_open_nothing(
    renderer: ProcessRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_PASS", "hunter2")
    probe = (
        "import sys; from emailhub.adapters.renderer import child, sandbox\n"
        "def render(self, values, most):\n"
        "    import os, socket\n"
        "    said = [str(sorted(os.environ.items()))]\n"
        "    for what in (lambda: open('/etc/passwd'), socket.socket, os.pipe):\n"
        "        try: said.append(str(what()))\n"
        "        except OSError as error: said.append(type(error).__name__)\n"
        "    limits = (child.resource.RLIMIT_NPROC, child.resource.RLIMIT_FSIZE, child.resource.RLIMIT_CORE)\n"
        "    said += [str(child.resource.getrlimit(limit)) for limit in limits]\n"
        "    return {'subject': '', 'html': None, 'text': '|'.join(said)}\n"
        "import os, socket\n"
        "child._warm_up(); child._warm_up = lambda: None\n"
        "sandbox.Kitchen.render = render; child.main()"
    )
    own = ProcessRenderer(command=(sys.executable, "-P", "-c", probe))
    made = await own.render(template(text="x"), {})
    await own.close()
    environment, *tried = (made.text or "").split("|")
    assert "hunter2" not in environment
    assert "'PATH'" not in environment
    assert tried == ["OSError", "OSError", "OSError", "(0, 0)", "(0, 0)", "(0, 0)"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can be told which process ends when memory is short")
async def test_when_memory_is_short_the_renderer_ends_and_not_the_hub() -> None:
    own = ProcessRenderer()
    await own.render(template(text="x"), {})
    ready = readiness_to_end(own._idle[0].pid)
    await own.close()
    assert ready == 1000 > readiness_to_end(os.getpid())


def readiness_to_end(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_when_no_process_can_start_mail_is_put_off_and_not_refused_for_good() -> None:
    with pytest.raises(Refused, match="cannot be rendered now"):
        await ProcessRenderer(command=("/nonexistent/python",)).render(template(text="x"), {})
    with pytest.raises(Refused, match="ended with code 3"):
        await ProcessRenderer(command=("/bin/sh", "-c", "exit 3")).render(template(text="x"), {})


async def test_what_keeps_templates_from_being_rendered_is_told_until_one_was(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    answer = "sys.stdout.buffer.write(frames.pack({'made': {'subject': '', 'html': None, 'text': 'x'}}))"
    fails = f"import os, sys\nif not os.path.exists({str(gone)!r}): sys.exit(3)\n"
    own = ProcessRenderer(command=(sys.executable, "-P", "-c", fails + FAKE + answer))
    assert own.status().trouble == ""
    with pytest.raises(Refused):
        await own.render(template(text="x"), {})
    assert "ended with code 3" in own.status().trouble
    gone.touch()
    await own.render(template(text="x"), {})
    assert (own.status().trouble, own.status().under_way) == ("", 0)
    await own.close()


FAKE = (
    "from emailhub.adapters.renderer import frames; import os, signal, sys\n"
    "sys.stdout.buffer.write(frames.pack({})); sys.stdout.flush(); frames.read(sys.stdin.buffer)\n"
)
"""A process that is ready and takes one request."""


@pytest.mark.parametrize(
    ("end", "says"),
    (
        ("os.kill(os.getpid(), signal.SIGKILL)", "is killed while it renders"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "makes the renderer fail"),
        ("os._exit(frames.FAILED)", "makes the renderer fail"),
        ("os._exit(frames.OUT_OF_MEMORY)", "needs more than 192 MiB"),
        ("os.kill(os.getpid(), signal.SIGPROF)", "processor time"),
    ),
)
async def test_a_template_that_ends_its_process_is_refused_for_good(end: str, says: str) -> None:
    own = ProcessRenderer(command=(sys.executable, "-P", "-c", FAKE + end))
    with pytest.raises(TemplateError, match=says):
        await own.render(template(text="x"), {})
    await own.close()


async def test_a_process_that_somebody_killed_while_it_rendered_is_no_fault_of_the_template(tmp_path: Path) -> None:
    once = f"p = {str(tmp_path / 'once')!r}\nif os.path.exists(p): os.remove(p); os.kill(os.getpid(), signal.SIGKILL)\n"
    answer = "sys.stdout.buffer.write(frames.pack({'made': {'subject': '', 'html': None, 'text': 'x'}}))"
    (tmp_path / "once").touch()
    own = ProcessRenderer(command=(sys.executable, "-P", "-c", FAKE + once + answer))
    assert (await own.render(template(text="x"), {})).text == "x"
    await own.close()


async def test_a_process_that_is_stuck_is_ended() -> None:
    stuck = FAKE + "sys.stdin.read()"
    own = ProcessRenderer(Bounds(wall=0.1), command=(sys.executable, "-P", "-c", stuck))
    with pytest.raises(TemplateError, match=r"takes longer than 0\.1 s"):
        await own.render(template(text="x"), {})
    await own.close()


async def test_more_than_can_wait_are_put_off() -> None:
    own = ProcessRenderer(workers=1, most=2)
    answers = await asyncio.gather(*(own.render(template(text="x"), {}) for _ in range(3)), return_exceptions=True)
    await own.close()
    assert [type(answer) for answer in answers] == [Rendered, Rendered, Refused]


async def test_a_closed_renderer_renders_nothing_more_and_leaves_no_process() -> None:
    own = ProcessRenderer()
    await own.render(template(text="x"), {})
    pid = own._idle[0].pid
    await own.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(Refused):
        await own.render(template(text="x"), {})


async def test_what_others_left_in_the_memory_is_not_held_against_a_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TIRED", 1)
    monkeypatch.setattr(worker, "KEPT_SIZE", 100 * 1024 * 1024)
    own = ProcessRenderer(Bounds(memory=32 * 1024 * 1024), workers=1)
    part = (("part.txt", "x" * 4_000_000),)
    pids = set()
    for number in range(8):
        assert (await own.render(template(text=str(number), parts=part), {})).text == str(number)
        pids.add(own._idle[0].pid)
    await own.close()
    assert len(pids) > 1


async def test_sources_that_are_larger_together_than_a_process_keeps_are_all_rendered(
    renderer: ProcessRenderer,
) -> None:
    parts = (("part.txt", "x" * 6_000_000),)
    for number in (0, 1, 2, 0, 1, 2):
        assert (await renderer.render(template(text=str(number), parts=parts), {})).text == str(number)
