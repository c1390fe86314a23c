"""Templates on the disk: what is read, when it is read again, and what is kept while a file is broken."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from emailhub.adapters.renderer import ProcessRenderer
from emailhub.adapters.templates import FILE, LOOK, TemplateFolder
from emailhub.core.errors import Problem, Refused
from emailhub.core.message import Mailbox
from emailhub.core.template import Template, Variable, VariableType

TOML = """
description = "After signing up"
from = "Shop <shop@example.org>"
reply_to = "help@example.org"

[variables.name]
sample = "Ada"
description = "first name"

[variables.count]
type = "number"
default = 1
"""


@pytest.fixture(scope="module")
async def renderer() -> AsyncIterator[ProcessRenderer]:
    found = ProcessRenderer(workers=1)
    yield found
    await found.close()


class Home:
    """A directory of templates that is looked at whenever it is asked, unless the clock is stopped."""

    def __init__(self, root: Path, renderer: ProcessRenderer) -> None:
        self.root = root
        self.at = 0.0
        self.step = LOOK
        self.down = False
        self._renderer = renderer
        self._stamp = 1_000_000_000
        self.folder = TemplateFolder(root, self._check, clock=self._clock)

    def put(self, path: str, content: str | bytes) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        # Every writing at a time of its own, however coarse the file system's clock is.
        self._stamp += 1
        os.utime(file, (self._stamp, self._stamp))

    async def broken(self) -> dict[str, str]:
        return {".".join(filter(None, (one.id, one.language))): one.reason for one in await self.folder.broken()}

    async def find(self, id: str, language: str = "") -> Template:
        found = await self.folder.find(id, language)
        assert found is not None
        return found

    async def text(self, id: str, language: str = "", **values: Any) -> str | None:
        return (await self._renderer.render(await self.find(id, language), values)).text

    async def _check(self, template: Template) -> tuple[Problem, ...]:
        if self.down:
            raise Refused("service_unavailable", "no process")
        return await self._renderer.check(template)

    def _clock(self) -> float:
        self.at += self.step
        return self.at


@pytest.fixture
def home(tmp_path: Path, renderer: ProcessRenderer) -> Home:
    return Home(tmp_path, renderer)


async def test_a_folder_is_a_template_with_what_its_toml_says(home: Home) -> None:
    home.put("welcome/subject.txt", "Hi {{ name }}\n")
    home.put("welcome/body.html", "<p>{{ name }}</p>")
    home.put("welcome/body.txt", "Hello {{ name }}")
    home.put("welcome/template.toml", TOML)
    found = await home.find("welcome")
    assert (found.subject, found.html, found.text) == ("Hi {{ name }}", "<p>{{ name }}</p>", "Hello {{ name }}")
    assert (found.sender, found.reply_to) == (Mailbox("shop@example.org", "Shop"), (Mailbox("help@example.org"),))
    assert found.variables == (
        Variable(name="name", sample="Ada", description="first name"),
        Variable(name="count", type=VariableType.NUMBER, default=1),
    )
    assert found.sample == {"name": "Ada", "count": 1}
    assert (found.label, found.origin, found.description) == ("welcome", "file", "After signing up")
    assert found.changed_at == 1_000_000_004
    assert await home.folder.all() == (found,)
    assert await home.broken() == {}


async def test_a_language_has_its_own_text_and_the_general_toml_and_falls_back(home: Home) -> None:
    home.put("welcome/body.txt", "Hello")
    home.put("welcome/template.toml", TOML)
    home.put("welcome.fr/body.txt", "Bonjour")
    home.put("welcome.pt-BR/body.txt", "Oi")
    home.put("order.shipped/body.txt", "Shipped")
    languages = {
        language: await home.text("welcome", language) for language in ("", "fr", "fr-CA", "pt-BR", "pt", "de")
    }
    assert languages == {"": "Hello", "fr": "Bonjour", "fr-CA": "Bonjour", "pt-BR": "Oi", "pt": "Hello", "de": "Hello"}
    assert (await home.find("welcome", "fr")).variables == (await home.find("welcome")).variables
    assert [one.label for one in await home.folder.all()] == ["order.shipped", "welcome", "welcome.fr", "welcome.pt-br"]
    assert await home.folder.find("gone", "") is None


async def test_layouts_and_parts_are_found_anywhere_in_the_directory(home: Home) -> None:
    home.put("_layouts/base.html", "<b>{% block body %}{% endblock %}</b>")
    home.put("welcome/items.html", "{{ x }}")
    home.put("logo.png", b"\x89PNG")
    (home.root / os.fsdecode(b"\xff.html")).write_text("a name that is no text")
    html = "{% extends '_layouts/base.html' %}{% block body %}{% include 'welcome/items.html' %}{% endblock %}"
    home.put("welcome/body.html", html)
    assert await home.text("welcome", x="Hi") == "Hi\n"
    assert await home.broken() == {}


async def test_a_changed_file_is_read_again_also_when_it_is_a_part(home: Home) -> None:
    home.put("part.txt", "one")
    home.put("welcome/body.txt", "{% include 'part.txt' %}")
    version = (await home.find("welcome")).version
    assert await home.text("welcome") == "one"
    home.put("part.txt", "two")
    assert await home.text("welcome") == "two"
    assert (await home.find("welcome")).version != version
    home.put("new/body.txt", "new")
    assert await home.text("new") == "new"
    (home.root / "new/body.txt").unlink()
    assert await home.folder.find("new", "") is None


async def test_nothing_is_looked_at_twice_within_a_second(home: Home) -> None:
    home.put("welcome/body.txt", "one")
    assert await home.text("welcome") == "one"
    home.step = 0.0
    home.put("welcome/body.txt", "two")
    assert await home.text("welcome") == "one"
    home.at += LOOK
    assert await home.text("welcome") == "two"


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    (
        ("welcome/body.txt", "{% if x %}", "body.txt line 1: "),
        ("welcome/subject.txt", "{{", "subject.txt line 1: "),
        ("welcome/body.txt", "{% include 'gone.txt' %}", "body.txt includes 'gone.txt', which is not there"),
        ("welcome/body.txt", b"\xff\xfe", "body.txt is not UTF-8"),
        ("welcome/body.txt", b"x" * (FILE + 1), f"at most {FILE} are read"),
        ("welcome/template.toml", "x = ", "template.toml: template.toml: is no TOML"),
        ("welcome/template.toml", "subject = 'x'", "the fields are description, from, reply_to, variables"),
        ("welcome/template.toml", "from = 'nobody'", "from: "),
        ("welcome/template.toml", "[variables.name]\ntype = 'date'", "variables.name: must be one of string, number"),
        ("welcome/template.toml", "[variables.name]\ndefault = 1", "variables.name.default: must be a string"),
        ("welcome/template.toml", "[variables.a]\ntype = 'list'\nsample = [2020-01-01]", "variables.a.sample: must"),
        ("welcome/template.toml", "[variables]\n'a b' = {}", "variables.a b: is no name of a variable"),
        ("welcome/template.toml", "[variables.name]\ntyp = 'list'", "its fields are type, default, sample"),
    ),
)
async def test_a_broken_file_is_told_and_the_last_good_version_stays(
    home: Home, path: str, content: str | bytes, reason: str
) -> None:
    home.put("other/body.txt", "other")
    home.put("welcome/body.txt", "good")
    assert await home.text("welcome") == "good"
    home.put(path, content)
    assert await home.text("welcome") == "good"
    (broken,) = await home.folder.broken()
    assert (broken.id, broken.kept) == ("welcome", True)
    assert reason in broken.reason
    assert await home.text("other") == "other"
    home.put(path, "")
    home.put("welcome/body.txt", "better")
    assert await home.text("welcome") == "better"
    assert await home.broken() == {}


async def test_what_was_broken_from_the_beginning_is_no_template(home: Home) -> None:
    home.put("welcome/body.txt", "{% if x %}")
    home.put("empty/subject.txt", "Only a subject")
    home.put("my template/body.txt", "x")
    assert await home.folder.all() == ()
    told = await home.broken()
    assert told["empty"] == "it has neither body.html nor body.txt"
    assert "1 to 100 letters" in told["my template"]
    assert not any(broken.kept for broken in await home.folder.broken())


async def test_what_leads_out_of_the_directory_is_not_read(
    home: Home, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("secret")
    home.put("welcome/body.txt", "{% include 'part.txt' %}")
    (home.root / "part.txt").symlink_to(outside / "secret.txt")
    (home.root / "shared").symlink_to(outside)
    assert await home.folder.find("welcome", "") is None
    told = await home.broken()
    assert told["part.txt"] == told["shared"] == "leads out of the directory: it is not read"
    assert "which is not there" in told["welcome"]


async def test_a_part_that_cannot_be_read_is_told_with_its_folder_and_hurts_only_who_needs_it(home: Home) -> None:
    home.put("welcome/body.txt", "{% include 'welcome/items.txt' %}")
    home.put("welcome/items.txt", "items")
    home.put("parts/more.txt", b"\xff")
    assert await home.text("welcome") == "items"
    assert await home.broken() == {"parts": "more.txt is not UTF-8"}
    home.put("welcome/items.txt", b"\xff")
    home.put("welcome/body.txt", "without")
    assert await home.text("welcome") == "without"
    assert (await home.broken())["welcome"] == "items.txt is not UTF-8"


async def test_links_within_the_directory_are_followed_as_kubernetes_mounts_have_them(home: Home) -> None:
    home.put("..2024/welcome/body.txt", "one")
    home.put("..2025/welcome/body.txt", "two")
    (home.root / "..data").symlink_to("..2024")
    (home.root / "welcome").symlink_to("..data/welcome")
    (home.root / "loop").symlink_to(".")
    assert await home.text("welcome") == "one"
    (home.root / "..data").unlink()
    (home.root / "..data").symlink_to("..2025")
    assert await home.text("welcome") == "two"
    assert [one.id for one in await home.folder.all()] == ["welcome"]


async def test_a_directory_that_is_gone_leaves_what_was_read(home: Home) -> None:
    home.put("welcome/body.txt", "good")
    assert await home.text("welcome") == "good"
    away = home.root.rename(home.root.with_name("away"))
    assert await home.text("welcome") == "good"
    assert "cannot be read" in (await home.broken())[home.root.name]
    away.rename(home.root)
    assert await home.text("welcome") == "good"
    assert await home.broken() == {}


async def test_while_nothing_can_be_checked_what_was_read_stays_and_it_is_tried_again(home: Home) -> None:
    home.put("welcome/body.txt", "one")
    assert await home.text("welcome") == "one"
    home.down = True
    home.put("welcome/body.txt", "two")
    assert await home.text("welcome") == "one"
    home.down = False
    assert await home.text("welcome") == "two"
