"""What templates and static files promise: nothing inline, no other host, a look for every state."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import msgspec
import pytest
from jinja2 import Environment, nodes

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.delivery import Reason, State
from emailhub.core.records import RecipientRecord
from emailhub.core.status import Link
from emailhub.web.pages.paper import environment
from emailhub.web.pages.ways import ways
from tests.support.demo_hub import DemoHub
from tests.support.demo_outbox import NOW

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))
STATIC = sorted((ROOT / "static").iterdir())
STYLE = (ROOT / "static" / "app.css").read_text()


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


SCRIPT = r"""<script type="module" src="\{\{ asset\('\w+\.js'\) \}\}"></script>"""


@pytest.fixture(scope="module")
def pages() -> Environment:
    """The templates as the pages use them."""
    return environment(DemoHub(now=lambda: NOW).faces)


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_has_no_inline_style_script_or_handler(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle\s*=", text, re.IGNORECASE)
    assert not re.search(r"\son[a-z]+\s*=", text, re.IGNORECASE)
    assert not re.search(r"javascript:", text, re.IGNORECASE)
    assert all(re.fullmatch(SCRIPT, tag) for tag in re.findall(r"<script\b[^>]*>.*?</script>", text, re.DOTALL))


@pytest.mark.parametrize("path", (*TEMPLATES, *STATIC), ids=_name)
def test_nothing_is_loaded_from_another_host(path: Path) -> None:
    addresses = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"')]*", path.read_text())
    assert [address for address in addresses if address != "http://www.w3.org/2000/svg"] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=_name)
def test_a_template_can_be_read_and_switches_no_escaping_off(path: Path, pages: Environment) -> None:
    source = path.read_text()
    tree = pages.parse(source)
    assert "safe" not in {node.name for node in tree.find_all(nodes.Filter)}
    assert "autoescape" not in source


def test_every_address_in_a_template_goes_through_the_prefix() -> None:
    plain = [
        (_name(path), found)
        for path in TEMPLATES
        for found in re.findall(r"(?:href|action|src)=\"(/[^\"]*)\"", path.read_text())
    ]
    assert plain == []


def test_every_template_is_used() -> None:
    code = "".join(path.read_text() for path in (ROOT / "emailhub" / "web").rglob("*.py"))
    text = code + "".join(path.read_text() for path in TEMPLATES)
    states = {f"messages/states/{state}.html" for state in State}
    views = {f"messages/content/{view}.html" for view in ("preview", "text", "headers", "attachments", "raw", "erased")}
    names = {str(path.relative_to(ROOT / "templates")) for path in TEMPLATES}
    assert {name for name in names - states - views if f'"{name}"' not in text} == set()
    assert states | views <= names


def _recipient(state: State, reason: Reason) -> RecipientRecord:
    due = NOW + 42 if state in {State.QUEUED, State.SCHEDULED, State.DEFERRED} else None
    return RecipientRecord(
        id=1,
        address="a@b.c",
        kind="to",
        state=state,
        reason=reason,
        attempts=1,
        due_at=due,
        changed_at=NOW,
        last="<said>",
    )


@pytest.mark.parametrize(("state", "reason"), tuple(itertools.product(State, Reason)))
def test_every_state_and_reason_has_a_pill_a_line_and_a_next_step(
    pages: Environment, state: State, reason: Reason
) -> None:
    hub = DemoHub(now=lambda: NOW)
    template = pages.get_template(f"messages/states/{state}.html")
    macros = template.make_module({"now": NOW, "capturing": False})
    for way in (None, *ways(hub.board.relays()).values()):
        it = _recipient(state, reason)
        pill, line, then = macros.pill(it), macros.line(it, way), macros.next(it, way)  # type: ignore[attr-defined]
        assert re.search(rf'class="pill (ok|warn|bad|info|neutral)">.*({state}|captured)', pill)
        assert "<said>" not in line
        assert line.strip()
        assert then.strip().endswith(".")


@pytest.mark.parametrize(("mode", "phase"), tuple(itertools.product(Mode, Phase)))
def test_every_standing_of_a_breaker_has_a_pill(pages: Environment, mode: Mode, phase: Phase) -> None:
    relay = DemoHub(now=lambda: NOW).board.relay("ses")
    macros = pages.get_template("parts/pill.html").make_module({"capturing": False})
    stood = msgspec.structs.replace(relay, breaker=Snapshot(mode=mode, phase=phase))
    assert 'class="pill ' in macros.breaker(stood)  # type: ignore[attr-defined]


@pytest.mark.parametrize("link", Link)
def test_every_link_to_rabbitmq_has_a_pill(pages: Environment, link: Link) -> None:
    assert 'class="pill ' in pages.get_template("parts/pill.html").module.rabbit(link)  # type: ignore[attr-defined]


def test_style_and_script_stay_small_enough_to_be_read() -> None:
    assert len(STYLE.splitlines()) <= 400
    assert len((ROOT / "static" / "app.js").read_text().splitlines()) <= 270


def test_every_class_a_template_uses_has_a_style() -> None:
    used = {
        name
        for path in TEMPLATES
        for found in re.findall(r'class="([^"]*)"', path.read_text())
        for name in re.sub(r"\{[{%].*?[%}]\}", " ", found).split()
    }
    style = "".join(path.read_text() for path in STATIC if path.suffix == ".css")
    assert {name for name in used if f".{name}" not in style} <= {"content", "inline", "state"}


def _tokens() -> dict[str, tuple[str, str]]:
    pairs = re.findall(r"--([\w-]+): light-dark\((#\w+), (#\w+)\)", STYLE)
    tokens = {name: (light, dark) for name, light, dark in pairs}
    aliases = re.findall(r"--([\w-]+): var\(--([\w-]+)\);", STYLE)
    return tokens | {name: tokens[other] for name, other in aliases if other in tokens}


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(char * 2 for char in colour[1:])
    parts = (int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", (0, 1), ids=("light", "dark"))
@pytest.mark.parametrize(
    ("text", "ground"),
    (
        *itertools.product(("ink", "dim"), ("ground", "card", "raised", "neutral-tint")),
        *itertools.product(("accent", "ok", "warn", "bad"), ("card", "ground")),
        *((tone, f"{tone}-tint") for tone in ("ok", "warn", "bad", "info", "neutral")),
        ("on-accent", "accent"),
    ),
)
def test_text_can_be_read_on_its_ground(text: str, ground: str, scheme: int) -> None:
    tokens = _tokens()
    one, other = sorted((_luminance(tokens[text][scheme]), _luminance(tokens[ground][scheme])), reverse=True)
    assert (one + 0.05) / (other + 0.05) >= 4.5
