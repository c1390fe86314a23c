"""`emailhub breaker`."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import rich_click as click

from emailhub.cli.breaker import moment
from tests.support.fake_hub import FakeHub, Run

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def answer(**changes: Any) -> dict[str, Any]:
    plain = {"object": "breaker", "relay": "default", "state": "closed", "forced": "auto", "cause": "", "actor": ""}
    return {**plain, **changes}


def test_show_lists_every_breaker_with_cause_and_next_probe(run: Run, hub: FakeHub) -> None:
    sick = answer(relay="second", state="open", cause="connection refused", next_probe_at="2026-11-24T12:00:30.000Z")
    hub.answers["GET", "/breakers"] = {"data": [answer(), sick]}
    result = run("breaker", "--url", hub.url)
    assert result.stdout.splitlines() == [
        "default  closed",
        "second  open",
        "  cause: connection refused",
        "  next probe: 2026-11-24T12:00:30.000Z",
    ]


def test_open_close_and_auto_force_the_relay_with_a_reason(run: Run, hub: FakeHub) -> None:
    hub.answers["POST", "/breakers/default"] = answer(
        state="open", forced="open", reason="maintenance", actor="cli", until="2026-11-24T12:30:00.000Z"
    )
    hub.answers["POST", "/breakers/second"] = answer(relay="second")
    hub.answers["GET", "/breakers"] = {"data": [answer()]}
    result = run("breaker", "open", "--reason", "maintenance", "--until", "2126-11-24T12:30Z", "--url", hub.url)
    assert result.stdout == (
        "default  open  (forced open, until 2026-11-24T12:30:00.000Z, by cli, because: maintenance)\n"
    )
    assert run("breaker", "close", "second", "--reason", "they are back", "--url", hub.url).exit_code == 0
    assert run("breaker", "auto", "second", "--url", hub.url).stdout == "second  closed\n"
    assert [asked.document for asked in hub.asked if asked.method == "POST"] == [
        {"state": "open", "reason": "maintenance", "until": "2126-11-24T12:30:00Z"},
        {"state": "closed", "reason": "they are back"},
        {"state": "auto", "reason": "back to automatic"},
    ]


def test_beside_the_relay_that_captures_the_one_that_sends_is_meant(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/breakers"] = {"data": [answer(), answer(relay="capture")]}
    hub.answers["POST", "/breakers/default"] = answer(state="open")
    result = run("breaker", "open", "--reason", "upkeep", "--url", hub.url)
    assert (result.exit_code, result.stdout) == (0, "default  open\n")


def test_where_there_are_several_relays_one_must_be_named(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/breakers"] = {"data": [answer(), answer(relay="second")]}
    result = run("breaker", "auto", "--url", hub.url)
    assert result.exit_code == 2
    assert "default, second" in result.stderr


def test_scripts_get_the_answer_of_the_api(run: Run, hub: FakeHub) -> None:
    hub.answers["GET", "/breakers"] = {"data": [answer()]}
    assert json.loads(run("breaker", "show", "--json", "--url", hub.url).stdout) == {"data": [answer()]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    (
        (("open",), "--reason"),
        (("close", "--reason", "r", "--until", "5m"), "--until"),
        (("open", "--reason", "r", "--until", "soon"), "neither a duration"),
        (("explode",), "explode"),
    ),
)
def test_a_wrong_use_is_exit_2_and_asks_the_hub_nothing(
    run: Run, hub: FakeHub, arguments: tuple[str, ...], says: str
) -> None:
    result = run("breaker", *arguments, "--url", hub.url)
    assert result.exit_code == 2
    assert says in result.stderr
    assert hub.asked == []


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("30m", "2026-11-24T12:30:00+00:00"),
        ("1h30m", "2026-11-24T13:30:00+00:00"),
        ("2026-11-25T00:00+01:00", "2026-11-24T23:00:00+00:00"),
    ),
)
def test_until_is_a_duration_or_a_time_with_its_zone(text: str, expected: str) -> None:
    assert moment(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ("2026-11-25T00:00", "2026-11-24T11:59Z", "tomorrow", "30"))
def test_a_time_without_zone_or_in_the_past_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        moment(text, NOW)
