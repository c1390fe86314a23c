"""Templates in a directory, used by the real process; its renderers end with it, however it ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

WELCOME = {"id": "welcome", "variables": {"name": "Ada"}}


def write(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / "welcome" / name.replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


async def send(hub: Hub) -> None:
    answer = await hub.post("/emails", {"to": "ada@example.org", "template": WELCOME})
    assert answer.status_code == 200, answer.text


def children(hub: Hub) -> list[int]:
    assert hub.process is not None
    tasks = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children")
    return [int(pid) for pid in tasks.read_text().split()]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


async def test_mail_is_made_from_files_as_they_are_now_and_no_renderer_outlives_the_hub(
    smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    root = tmp_path / "templates"
    write(root, subject_txt="Welcome, {{ name }}", body_html="<p>Hello {{ name }}</p>")
    hub = make_hub(smtp, EMAILHUB_TEMPLATES=str(root))
    await hub.start()
    await send(hub)
    await smtp.wait_for(1)
    made = message_from_bytes(smtp.messages[0].data, policy=policy.default)
    assert made["subject"] == "Welcome, Ada"
    assert made.get_body(("plain",)).get_content().strip() == "Hello Ada"
    assert made.get_body(("html",)).get_content().strip() == "<p>Hello Ada</p>"

    write(root, subject_txt="{{ broken")
    await hub.until(lambda: _templates_are(hub, "degraded"), "the broken file is told")
    await send(hub)
    write(root, subject_txt="Again, {{ name }}")
    await hub.until(lambda: _templates_are(hub, "ok"), "the repaired file is read")
    await send(hub)
    await smtp.wait_for(3)
    subjects = sorted(message_from_bytes(one.data)["subject"] for one in smtp.messages)
    assert subjects == ["Again, Ada", "Welcome, Ada", "Welcome, Ada"]

    (renderer,) = children(hub)
    assert await hub.stop() == 0
    assert gone(renderer)


@pytest.mark.nightly
async def test_a_killed_hub_leaves_no_renderer(smtp: SmtpServer, make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    root = tmp_path / "templates"
    write(root, subject_txt="S", body_txt="T")
    hub = make_hub(smtp, EMAILHUB_TEMPLATES=str(root))
    await hub.start()
    await send(hub)
    (renderer,) = children(hub)
    await hub.kill9()
    await hub.until(lambda: asyncio.to_thread(gone, renderer), "the renderer has noticed")


async def _templates_are(hub: Hub, status: str) -> bool:
    # A message that asks for a template makes the hub look sooner.
    await hub.post("/emails", {"to": "ada@example.org", "template": {"id": "gone"}})
    answer = await hub.client.get("/health/ready")
    return bool(answer.json()["parts"]["templates"]["status"] == status)
