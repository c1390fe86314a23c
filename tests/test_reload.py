"""Reading settings again: taken over whole, refused whole, one after the other, and logged with who asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from emailhub.core.audit import AuditFilter, AuditPage, Deed
from emailhub.core.errors import BadSettings
from emailhub.engine.audit import AuditLog
from emailhub.engine.desk import Actor
from emailhub.reload import Reloader, Requests
from emailhub.settings import Loaded, Settings, load

REAL = {"SMTP_HOST": "smtp.example.com", "EMAIL_FROM": "hub@example.com"}


class Parts:
    """What runs: remembers what it was given, or refuses it."""

    def __init__(self) -> None:
        self.given: list[Settings] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def adopt(self, settings: Settings) -> None:
        await self.gate.wait()
        if self.error:
            raise self.error
        self.given.append(settings)


class Sources:
    """The environment, which changes while the hub runs."""

    def __init__(self, **environ: str) -> None:
        self.environ = REAL | environ

    def read(self) -> Loaded:
        return load(self.environ)


def made(**environ: str) -> tuple[Reloader, Sources, Parts]:
    sources, parts = Sources(**environ), Parts()
    return Reloader(sources.read(), sources.read, parts.adopt), sources, parts


def fields(caplog: pytest.LogCaptureFixture, message: str) -> dict[str, Any]:
    return dict(vars(next(record for record in caplog.records if record.message == message))["emailhub_fields"])


async def test_what_changed_is_taken_over_and_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    reloader, sources, parts = made()
    sources.environ |= {"EMAILHUB_SMTP_RATE": "10/s", "EMAILHUB_PORT": "9", "REDIS_URL": "redis://x/0"}
    found = await reloader.reload("ann from 10.0.0.1")
    assert [str(change) for change in found.applied] == ["relay default: rate: not set -> 10/s"]
    assert [change.what for change in found.restart] == ["REDIS_URL", "EMAILHUB_PORT"]
    assert "REDIS_URL" in found.warnings[0]
    (taken,) = parts.given
    assert taken.relays[0].rate == ((10, 1.0),)
    assert taken.port == 8000
    logged = fields(caplog, "settings read again")
    assert logged["by"] == "ann from 10.0.0.1"
    assert logged["applied"] == ["relay default: rate: not set -> 10/s"]


async def test_what_needs_a_restart_is_told_until_there_was_one_and_the_rest_once() -> None:
    reloader, sources, parts = made()
    sources.environ |= {"EMAILHUB_SMTP_RATE": "10/s", "EMAILHUB_PORT": "9"}
    await reloader.reload("ann")
    again = await reloader.reload("ann")
    assert (again.applied, [change.what for change in again.restart]) == ((), ["EMAILHUB_PORT"])
    assert len(parts.given) == 1


async def test_what_is_in_force_is_told_with_what_its_sources_say_by_now() -> None:
    reloader, sources, _ = made(SMTP_PASS="canary-word", SMTP_USER="hub")
    assert not (await reloader.setup()).reloadable
    sources.environ |= {"EMAILHUB_SMTP_RATE": "10/s", "EMAILHUB_PORT": "9", "SMTP_PASS": "canary-next"}
    setup = await reloader.setup()
    assert [change.what for change in (*setup.reloadable, *setup.restart)] == ["relay default", "EMAILHUB_PORT"]
    rows = {one.name: one for one in setup.settings}
    assert (rows["EMAILHUB_PORT"].value, rows["EMAILHUB_PORT"].source) == ("8000", "default")
    assert rows["SMTP_PASS"].value == "***"
    assert "canary" not in repr(setup)


async def test_after_a_reload_each_setting_names_the_source_of_the_value_in_force() -> None:
    reloader, sources, _ = made()
    sources.environ |= {"EMAILHUB_SMTP_RATE": "10/s", "EMAILHUB_PORT": "9"}
    await reloader.reload("ann")
    setup = await reloader.setup()
    rows = {one.name: one for one in setup.settings}
    assert (rows["EMAILHUB_SMTP_RATE"].value, rows["EMAILHUB_SMTP_RATE"].source) == ("10/s", "environment")
    assert (rows["EMAILHUB_PORT"].value, rows["EMAILHUB_PORT"].source) == ("8000", "default")
    assert (setup.reloadable, [change.what for change in setup.restart]) == ((), ["EMAILHUB_PORT"])


async def test_settings_that_would_be_refused_are_told_with_those_in_force() -> None:
    reloader, sources, _ = made()
    sources.environ["EMAILHUB_PORT"] = "x"
    setup = await reloader.setup()
    assert [problem.field for problem in setup.problems] == ["EMAILHUB_PORT (environment)"]
    assert {one.name: one.value for one in setup.settings}["EMAILHUB_PORT"] == "8000"


async def test_settings_that_do_not_work_are_refused_whole(caplog: pytest.LogCaptureFixture) -> None:
    reloader, sources, parts = made()
    sources.environ |= {"EMAILHUB_SMTP_RATE": "10/s", "EMAILHUB_PORT": "x", "EMAILHUB_PROT": "1"}
    with pytest.raises(BadSettings, match="nothing was changed: 2 settings need your attention") as caught:
        await reloader.reload("ann")
    assert [problem.field for problem in caught.value.problems] == [
        "EMAILHUB_PROT (environment)",
        "EMAILHUB_PORT (environment)",
    ]
    assert parts.given == []
    logged = fields(caplog, "settings refused")
    assert logged["by"] == "ann"
    assert len(logged["problems"]) == 2
    del sources.environ["EMAILHUB_PROT"], sources.environ["EMAILHUB_PORT"]
    assert len((await reloader.reload("ann")).applied) == 1


@pytest.mark.parametrize("error", (OSError("the file is gone"), ValueError("no such thing")))
async def test_what_the_parts_cannot_work_with_is_refused_and_offered_again(error: Exception) -> None:
    reloader, sources, parts = made()
    sources.environ["EMAILHUB_SMTP_RATE"] = "10/s"
    parts.error = error
    with pytest.raises(BadSettings) as caught:
        await reloader.reload("ann")
    assert caught.value.problems[0].message == str(error)
    parts.error = None
    assert len((await reloader.reload("ann")).applied) == 1


async def test_two_at_once_are_done_one_after_the_other() -> None:
    reloader, sources, parts = made()
    parts.gate.clear()
    sources.environ["EMAILHUB_SMTP_RATE"] = "10/s"
    both = asyncio.gather(reloader.reload("ann"), reloader.reload("bob"))
    parts.gate.set()
    first, second = await both
    assert (len(first.applied), second.applied) == (1, ())


async def test_parts_are_exchanged_even_when_nobody_waits_any_more() -> None:
    reloader, sources, parts = made()
    parts.gate.clear()
    sources.environ["EMAILHUB_SMTP_RATE"] = "10/s"
    asked = asyncio.create_task(reloader.reload("ann"))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    parts.gate.set()
    assert (await reloader.reload("bob")).applied == ()
    assert len(parts.given) == 1


class Remembered:
    """An audit log that remembers what it is told."""

    def __init__(self) -> None:
        self.deeds: list[Deed] = []
        self.told = asyncio.Event()

    async def record(self, deed: Deed) -> None:
        self.deeds.append(deed)
        self.told.set()

    async def page(self, wanted: AuditFilter, *, before: int | None, after: int | None, limit: int) -> AuditPage:
        raise NotImplementedError


async def test_every_reload_is_in_the_audit_log_also_the_one_that_was_refused() -> None:
    reloader, sources, _ = made()
    log = Remembered()
    requests = Requests(reloader, AuditLog(log, now=lambda: 5.0))
    sources.environ["EMAILHUB_SMTP_RATE"] = "10/s"
    await requests.take(Actor("ann", "http", "10.0.0.1"), "a higher limit")
    await requests.take(Actor("ann"))
    sources.environ["EMAILHUB_SMTP_RATE"] = "often"
    with pytest.raises(BadSettings):
        await requests.take(Actor("bob"))
    assert [(deed.actor, deed.peer, deed.what, deed.result) for deed in log.deeds] == [
        ("ann", "10.0.0.1", "settings.reload", "done"),
        ("ann", "", "settings.reload", "done"),
        ("bob", "", "settings.reload", "refused"),
    ]
    assert [deed.detail for deed in log.deeds[:2]] == ["relay default", "nothing changed"]
    assert [deed.reason for deed in log.deeds[:2]] == ["a higher limit", ""]
    assert "EMAILHUB_SMTP_RATE" in log.deeds[2].detail


async def test_a_signal_asks_for_a_reload_too_and_its_failure_ends_nothing() -> None:
    reloader, sources, _ = made()
    log = Remembered()
    sources.environ["EMAILHUB_SMTP_RATE"] = "often"
    Requests(reloader, AuditLog(log, now=lambda: 5.0)).signalled()
    await asyncio.wait_for(log.told.wait(), 5)
    assert [(deed.actor, deed.result) for deed in log.deeds] == [("the signal SIGHUP", "refused")]
