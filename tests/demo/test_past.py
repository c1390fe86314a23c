"""The day that is made up for a demo: every state is in it, and the same number makes up the same day."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from emailhub.adapters.sqlite import SqliteHistory, open_database
from emailhub.core.delivery import State
from emailhub.core.verdict import Stage
from emailhub.demo.hub import settings_for
from emailhub.demo.past import Past
from emailhub.demo.relays import ROLES
from emailhub.settings import SettingsError
from tests.support.factories import NOW


async def made_up(path: Path, seed: int, hours: float) -> tuple[SqliteHistory, list[Any]]:
    """The outbox of a made-up day, read before it is closed: how many are in each state, and whom each went to."""
    database = await open_database(path, on_events=lambda _: None, lock_wait=0, gather=0)
    try:
        await Past(database, Random(seed), NOW, per_minute=3, hours=hours).write()
        history = SqliteHistory(database)
        totals = await history.totals()
        rows = await database.read(
            lambda c: c.execute("SELECT id, state, subject, to_header, final_at FROM message ORDER BY seq").fetchall()
        )
        minutes = await history.minutes(NOW - 86400, NOW, 3600)
        timings = await history.timings(NOW - 86400, NOW, 3600)
        strip = [event.kind for event in await history.relay_events("gmail", 50)]
        letters = await database.read(lambda c: c.execute("SELECT count(*) FROM publication").fetchone()[0])
        return history, [totals.by_state, rows, minutes, timings, strip, letters]
    finally:
        await database.close()


async def test_every_state_in_which_mail_can_rest_is_there_and_so_is_a_day_of_history(tmp_path: Path) -> None:
    _, (states, _, minutes, timings, strip, letters) = await made_up(tmp_path / "a.db", 1, 16)
    missing = {state for state in State if not states[state]} - {State.SENDING}
    assert missing == set()
    assert all(minute.sent for minute in minutes[9:])
    assert timings.whole.p50 < timings.whole.p95 < 86400
    assert strip.count("breaker_opened") >= 2
    assert letters == 3


async def test_no_stage_is_timed_that_the_conversation_never_came_to(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "a.db", on_events=lambda _: None, lock_wait=0, gather=0)
    try:
        await Past(database, Random(1), NOW, per_minute=3, hours=3).write()
        attempts = await SqliteHistory(database).relay_attempts("ses", 500)
    finally:
        await database.close()
    refused = [one for one in attempts if one.results[0].stage == Stage.RCPT.value]
    assert refused
    assert {stage for one in refused for stage, _ in one.session.stages} == {"mail", "rcpt"}


async def test_the_same_seed_makes_up_the_same_mail_and_another_one_other_mail(tmp_path: Path) -> None:
    _, once = await made_up(tmp_path / "a.db", 7, 3)
    _, again = await made_up(tmp_path / "b.db", 7, 3)
    _, other = await made_up(tmp_path / "c.db", 8, 3)
    assert once[0] == again[0]
    assert [row[2:4] for row in once[1]] == [row[2:4] for row in again[1]]
    assert once[1] != other[1]


def test_the_settings_of_a_demo_name_only_hosts_that_cannot_exist_and_a_file_of_its_own(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, host="127.0.0.1", port=8000, anybody=False).settings
    assert [relay.name for relay in settings.relays] == [role.name for role in ROLES]
    assert all(relay.host.endswith(".example") for relay in settings.relays)
    assert settings.database.parent == tmp_path
    assert settings.rabbitmq_url is None


def test_a_demo_listens_beyond_loopback_only_when_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="EMAILHUB_HOST"):
        settings_for(tmp_path, host="0.0.0.0", port=8000, anybody=False)
    assert settings_for(tmp_path, host="0.0.0.0", port=8000, anybody=True).settings.auth == "none"
