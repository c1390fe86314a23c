"""Relays: how they stand, and forcing a breaker by hand."""

import pytest

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.core.status import PoolFacts, RelayStatus
from emailhub.web.pages.standing import relay_view
from tests.support.factories import NOW
from tests.support.web_hub import WebHub
from tests.web.pages.reading import page, part, press, words_of

RELAY = "/relays/capture"


async def test_a_relay_that_is_well_says_so_and_explains_its_history(hub: WebHub) -> None:
    text = words_of(await page(hub, RELAY))
    assert "The breaker is closed Mail flows." in text
    assert "Nothing has happened to this relay." in text


async def test_forcing_open_keeps_reason_actor_and_end(hub: WebHub) -> None:
    answer = await press(hub, f"{RELAY}/breaker", state="open", reason=" upkeep  at the\nprovider ", **{"for": "900"})
    assert answer.status_code == 303
    found = hub.faces.board.relay("capture").breaker
    assert (found.mode, found.phase, found.note) == (Mode.OPEN, Phase.OPEN, "upkeep at the provider")
    assert found.until == hub.clock.at + 900
    text = words_of(await page(hub, RELAY))
    assert "The relay is paused: nothing is handed to it until the pause ends." in text
    assert "Paused by hand" in text
    assert "The pause ends by itself in 15:00" in text
    assert "Set by local from 127.0.0.1: upkeep at the provider" in text
    assert "Paused" in words_of(part(await page(hub, RELAY), "history"))


async def test_back_to_automatic_ends_it(hub: WebHub) -> None:
    await press(hub, f"{RELAY}/breaker", state="open", reason="upkeep")
    await press(hub, f"{RELAY}/breaker", state="auto")
    assert hub.faces.board.relay("capture").breaker.mode is Mode.AUTO
    assert "The breaker decides by itself again." in words_of(await page(hub, RELAY))


async def test_an_open_breaker_can_be_told_to_try_now(hub: WebHub) -> None:
    await press(hub, f"{RELAY}/breaker", state="open", reason="upkeep")
    await press(hub, f"{RELAY}/breaker", state="auto")
    html = await page(hub, RELAY)
    assert ">Try now<" in html
    await press(hub, f"{RELAY}/breaker", state="auto")
    assert "The relay is tried now" in words_of(await page(hub, RELAY))


@pytest.mark.parametrize(
    ("fields", "said"), (({"state": "open", "reason": "  "}, "Say why"), ({"state": "ajar"}, "Choose"), ({}, "Choose"))
)
async def test_without_a_reason_or_with_nonsense_nothing_changes(
    hub: WebHub, fields: dict[str, str], said: str
) -> None:
    before = hub.faces.board.relay("capture").breaker
    assert (await press(hub, f"{RELAY}/breaker", **fields)).status_code == 303
    assert hub.faces.board.relay("capture").breaker == before
    assert said in words_of(await page(hub, RELAY))


@pytest.mark.parametrize("seconds", ("-5", "1e9", "abc", "99999999999999", "²", "١٢"))
async def test_a_made_up_length_of_the_pause_means_until_somebody_ends_it(hub: WebHub, seconds: str) -> None:
    answer = await press(hub, f"{RELAY}/breaker", state="open", reason="x", **{"for": seconds})
    assert answer.status_code == 303
    assert hub.faces.board.relay("capture").breaker.until is None


async def test_forced_closed_is_shown_as_such(hub: WebHub) -> None:
    await press(hub, f"{RELAY}/breaker", state="closed", reason="provider says it is up")
    text = words_of(await page(hub, RELAY))
    assert "Forced closed" in text
    assert "failures do not open the breaker" in text


async def test_forced_closed_ends_by_itself_when_told_until_when(hub: WebHub) -> None:
    await press(hub, f"{RELAY}/breaker", state="closed", reason="it is up", **{"for": "3600"})
    assert hub.faces.board.relay("capture").breaker.until == hub.clock.at + 3600
    assert "The breaker decides again in 1:00:00" in words_of(await page(hub, RELAY))


async def test_an_unknown_relay_cannot_be_forced(hub: WebHub) -> None:
    assert (await press(hub, "/relays/none/breaker", state="open", reason="x")).status_code == 404


async def test_all_relays_stand_side_by_side(hub: WebHub) -> None:
    html = await page(hub, "/relays")
    assert 'href="/relays/capture"' in html
    assert "capture, last 24 hours: closed for 1 d" in html


async def test_trouble_began_with_the_first_opening_not_with_the_latest_failed_probe() -> None:
    def event(ago: float, kind: str) -> Event:
        return Event(1, NOW - ago, kind, None, "default", {})

    relay = RelayStatus(
        name="default",
        host="smtp.x.test:587",
        captures=False,
        breaker=Snapshot(phase=Phase.OPEN, cause="refused", since=NOW - 5),
        next_probe=NOW + 25,
        capacity=20,
        in_flight=0,
        pool=PoolFacts(),
    )
    turns = [event(5, "breaker_opened"), event(6, "breaker_probing"), event(90, "breaker_opened")]
    older = [event(4000, "breaker_closed"), event(5000, "breaker_opened")]
    assert relay_view(relay, [*turns, *older], NOW).since == NOW - 90


async def test_a_relay_says_how_much_waits_for_it(hub: WebHub) -> None:
    assert "Waiting nothing, scheduled ones aside" in words_of(part(await page(hub, RELAY), "connections"))
    await hub.send()
    await hub.send()
    assert "Waiting 2 messages, scheduled ones aside" in words_of(part(await page(hub, RELAY), "connections"))
