"""The switch of the chaos relay: kept, told, and overruled only by new settings."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from emailhub.adapters.capture import CaptureRelay
from emailhub.adapters.chaos import ChaosRelay
from emailhub.adapters.sqlite.behaviour import SqliteBehaviour
from emailhub.core.errors import InvalidMessage
from emailhub.core.status import ChaosStatus
from emailhub.engine.chaos import ChaosSwitch, behaviour_of
from tests.support.factories import NOW, Store, opened, parcel

WISHED = ChaosStatus(transient=0.5)
CONFIGURED = ChaosStatus(drop=0.1)


async def switched(store: Store, configured: ChaosStatus = CONFIGURED) -> tuple[ChaosSwitch, ChaosRelay]:
    """A fresh relay after a start with these settings."""
    relay = ChaosRelay(configured, random=random.random)
    switch = ChaosSwitch(relay, SqliteBehaviour(store.database), configured=configured, now=lambda: NOW)
    await switch.restore()
    return switch, relay


async def test_what_was_set_holds_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        switch, relay = await switched(store)
        assert relay.behaviour == CONFIGURED
        assert await switch.set(WISHED, "ann from 10.0.0.7") == WISHED
        assert relay.behaviour == WISHED
    async with opened(tmp_path / "hub.db") as store:
        _, relay = await switched(store)
        assert relay.behaviour == WISHED


async def test_settings_that_say_something_new_hold_again(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        switch, _ = await switched(store)
        await switch.set(WISHED, "ann")
        other = ChaosStatus(slow=1.0)
        _, relay = await switched(store, other)
        assert relay.behaviour == other
        _, relay = await switched(store, other)
        assert relay.behaviour == other


async def test_the_change_is_an_event_of_the_relay_with_who_did_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        switch, _ = await switched(store)
        await switch.set(WISHED, "ann")
        (event,) = await store.history.relay_events("chaos", 10)
        assert (event.kind, event.data["actor"], event.data["text"]) == ("chaos_set", "ann", "50% put off")
        assert event.data["transient"] == 0.5


async def test_impossible_behaviour_changes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        switch, relay = await switched(store)
        with pytest.raises(InvalidMessage, match="transient: must be between 0 and 1"):
            await switch.set(ChaosStatus(transient=2.0), "ann")
        assert relay.behaviour == CONFIGURED
        assert await store.history.relay_events("chaos", 10) == ()


async def test_once_it_is_not_set_up_any_more_its_mail_stays_captured(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        await switched(store)
        await store.outbox.add([parcel("A", relay="chaos"), parcel("B", relay="default")])
        behaviour = SqliteBehaviour(store.database)
        assert await behaviour.end_chaos("chaos", "capture") == 1
        assert [(await store.history.find(id)).summary.relay for id in "AB"] == ["capture", "default"]
        assert await behaviour.end_chaos("chaos", "capture") == 0


def test_only_the_chaos_relay_has_a_behaviour() -> None:
    assert behaviour_of(ChaosRelay(WISHED, random=random.random)) == WISHED
    assert behaviour_of(CaptureRelay()) is None
