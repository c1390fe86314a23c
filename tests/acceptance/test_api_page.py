"""The page about the API, and README: every example runs as it stands there, and no field and no error is left out."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright._impl._driver import compute_driver_executable

from emailhub.core import parse
from emailhub.web.errors import NAMES
from tests.acceptance.hub import Hub, running

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
KEY = "eh_of_the_page_0123456789"
CURL = 'curl() { command curl --silent --show-error --fail-with-body --noproxy "*" "$@"; }\n'


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest_asyncio.fixture(scope="module")
async def hub(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Hub]:
    async with running(tmp_path_factory.mktemp("page"), EMAILHUB_API_KEYS=KEY) as found:
        found.client.headers["authorization"] = f"Bearer {KEY}"
        yield found


async def run(hub: Hub, *command: str) -> str:
    env = {"PATH": os.environ["PATH"], "EMAILHUB_URL": str(hub.client.base_url).rstrip("/"), "EMAILHUB_API_KEY": KEY}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=hub.folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_every_curl_command_works(hub: Hub) -> None:
    said = [await run(hub, "bash", "-euo", "pipefail", "-c", CURL + block) for block in blocks("sh")]
    assert len(said) >= 4
    assert '"index":1' in said[1], "the bad one of the permissive batch"
    assert (await hub.counts())["canceled"] == 1


async def test_every_python_program_works(hub: Hub) -> None:
    programs = blocks("python")
    assert len(programs) >= 4
    script = "import sys\nfor program in sys.argv[1:]:\n    exec(compile(program, 'docs/api.md', 'exec'), {})\n"
    before = sum((await hub.counts()).values())
    await run(hub, sys.executable, "-W", "error", "-c", script, *programs)
    assert sum((await hub.counts()).values()) == before + 3


async def test_the_node_program_that_needs_no_package_works(hub: Hub) -> None:
    (program,) = [block for block in blocks("js") if "import" not in block]
    node, _ = compute_driver_executable()  # the browser tests bring their own
    (hub.folder / "program.mjs").write_text(program)
    id = (await run(hub, str(node), "program.mjs")).strip()
    assert (await hub.get(f"/emails/{id}"))["subject"] == "Welcome"


async def test_the_first_command_of_the_readme_works_on_a_hub_without_any_setting(tmp_path: Path) -> None:
    (command,) = [
        block for block in re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE) if "curl" in block
    ]
    async with running(tmp_path) as plain:
        address = str(plain.client.base_url).rstrip("/")
        said = await run(plain, "bash", "-euc", CURL + command.replace("http://127.0.0.1:8000", address))
        assert (await plain.get("/emails"))["data"][0]["id"] in said


def test_it_names_every_field_every_error_and_only_links_that_lead_somewhere() -> None:
    table = PAGE[PAGE.index("### Fields") : PAGE.index("## Send many")]
    assert [field for field in parse.FIELDS if f"`{field}`" not in table] == []
    errors = PAGE[PAGE.index("## Errors") : PAGE.index("## Limits")]
    assert [
        name for status, name in NAMES.items() if f"| {status} | `" not in errors or f"`{name}`" not in errors
    ] == []
    anchors = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-")
        for line in re.findall(r"^#+ (.*)", PAGE, re.MULTILINE)
    }
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= anchors
