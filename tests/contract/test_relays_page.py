"""The page about relays: every example loads as it stands there, and its tables of keys are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.cli import cli
from emailhub.settings import KEYS_BEGIN, KEYS_END, Loaded, keys_markdown, load

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "relays.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECRETS = re.compile(r"/run/secrets/([\w.-]+)")
ELSEWHERE = {"EMAIL_FROM": "noreply@example.com"}
"""What an example leaves to the rest of the file."""


def blocks(kind: str, page: str = PAGE) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def variables() -> list[str]:
    return [block for block in blocks("sh") if re.match(r"[A-Z_]+=", block)]


def loaded(text: str, folder: Path, *, toml: bool) -> Loaded:
    """The settings of an example, with its secret files in `folder`."""
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name in SECRETS.findall(text):
        (folder / name).write_bytes(key if name.endswith(".pem") else b"a secret")
    text = SECRETS.sub(lambda found: str(folder / found[1]), text)
    file = folder / ("emailhub.toml" if toml else ".env")
    file.write_text(text, encoding="utf-8")
    if toml:
        return load({} if text.startswith("email_from") else ELSEWHERE, toml_path=file)
    return load({}, dotenv_path=file)


def test_there_are_examples_of_every_kind() -> None:
    text = "".join(blocks("toml"))
    assert all(word in text for word in ("[[relay]]", "[[destination]]", "[[dkim]]", "oauth2 =", "from_domains"))
    assert len(variables()) >= 5


@pytest.mark.parametrize("example", blocks("toml") + blocks("toml", README), ids=lambda text: text.split("\n", 1)[0])
def test_every_example_of_the_file_loads_without_a_warning(example: str, tmp_path: Path) -> None:
    found = loaded(example, tmp_path, toml=True)
    assert found.warnings == ()
    settings = found.settings
    assert len(settings.relays) == example.count("[[relay]]")
    assert len(settings.destinations) == example.count("[[destination]]")
    assert len(settings.dkim) == example.count("[[dkim]]")


@pytest.mark.parametrize("example", variables(), ids=lambda text: text.split("\n", 1)[0])
def test_every_example_of_variables_loads_without_a_warning(example: str, tmp_path: Path) -> None:
    found = loaded(example, tmp_path, toml=False)
    assert found.warnings == ()
    written = {name.removesuffix("_FILE") for name in re.findall(r"^([A-Z0-9_]+)=", example, re.MULTILINE)}
    assert {name for name, source in found.sources.items() if source != "default"} == written


def test_every_command_there_is_one() -> None:
    named = set(re.findall(r"(?:^|`)emailhub (\w+)", PAGE, re.MULTILINE))
    assert named
    assert named <= set(cli.commands)


def test_the_links_of_the_page_lead_somewhere() -> None:
    headings = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_the_tables_of_keys_are_those_of_the_code() -> None:
    match = re.search(f"{KEYS_BEGIN}\n(.*?)\n{KEYS_END}", PAGE, re.DOTALL)
    assert match
    assert match[1].strip() == keys_markdown(), (
        "run `python -m emailhub.settings keys` and paste its output between the two lines"
    )
