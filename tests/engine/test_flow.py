"""What is said of relays that are limited, covered, or do not let a sender send."""

from __future__ import annotations

from typing import Any

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.status import Flow, LimitStatus, PoolFacts, RelayStatus, Suspension
from emailhub.engine.flow import relay_flows
from tests.support.factories import NOW


def relay(**given: Any) -> RelayStatus:
    fields: dict[str, Any] = {
        "name": "ses",
        "host": "smtp.x.test:587",
        "captures": False,
        "breaker": Snapshot(),
        "next_probe": None,
        "capacity": 5,
        "in_flight": 0,
        "pool": PoolFacts(),
    }
    return RelayStatus(**{**fields, **given})


def said(of: RelayStatus, waiting: int = 312) -> list[Flow]:
    return list(relay_flows(of, waiting, NOW, many=True))


DAY_USED = LimitStatus(limit=2000, seconds=86400.0, used=2000, free_at=NOW + 4 * 3600)
SECOND_USED = LimitStatus(limit=10, seconds=1.0, used=10, free_at=NOW + 0.4)


def test_nothing_is_said_of_a_relay_that_is_well_or_keeps_to_a_fast_rate() -> None:
    assert said(relay()) == said(relay(limits=(SECOND_USED,))) == []


def test_a_used_up_day_says_how_much_when_more_may_go_and_that_nothing_is_lost() -> None:
    (flow,) = said(relay(limits=(SECOND_USED, DAY_USED)))
    assert (flow.level, flow.headline) == ("warn", "Relay ses has used its 2,000 a day.")
    assert flow.sentence == "312 messages wait, none is lost. More may go at 12:00 UTC."
    assert said(relay(limits=(DAY_USED,)), waiting=0)[0].level == "info"


def test_a_covered_relay_says_who_carries_its_mail_since_when_and_why_instead_of_that_it_waits() -> None:
    breaker = Snapshot(phase=Phase.OPEN, cause="login refused", since=NOW - 60, probe_at=NOW + 23)
    covered = relay(
        breaker=breaker,
        next_probe=NOW + 23,
        covered_by=("gmail",),
        covered_since=NOW - 48 * 60,
        covered_why="login refused",
    )
    (flow,) = said(covered)
    assert flow.headline == "Mail of relay ses is carried by gmail since 07:12 UTC."
    assert flow.sentence == "Login refused. Relay ses is tried again in 0:23."
    assert (flow.level, flow.action) == ("warn", ("Try the login now", "/relays/ses/breaker"))


def test_a_suspended_sender_is_said_with_the_relay_s_words_and_the_next_try() -> None:
    one = Suspension(domain="example.org", since=NOW - 60, reply="550 5.7.60 not allowed", next_try=NOW + 540)
    (flow,) = said(relay(suspended=(one,)))
    assert flow.headline == "Relay ses does not let example.org send."
    assert flow.sentence.startswith("550 5.7.60 not allowed. Its mail waits or goes over another relay.")
    assert flow.sentence.endswith("One message asks again at 08:09 UTC.")


def test_a_relay_that_waits_for_a_message_to_prove_itself_keeps_its_cause_and_says_what_it_waits_for() -> None:
    ready = Snapshot(phase=Phase.HALF_OPEN, cause="421 4.3.2 not now", since=NOW - 60, at_mail=True, ready=True)
    (flow,) = said(relay(breaker=ready), waiting=0)
    assert (flow.level, flow.headline) == ("warn", "Relay ses takes no mail.")
    assert (
        flow.sentence == "421 4.3.2 not now. Nothing waits. It answers again; the next message shows if it takes mail."
    )


def test_a_relay_that_refuses_the_login_says_so_since_its_first_refusal_and_offers_the_next_try() -> None:
    cause = "the relay rejected our login: 535 5.7.8 bad password"
    breaker = Snapshot(phase=Phase.OPEN, cause=cause, since=NOW - 60, trouble_since=NOW - 3600, probe_at=NOW + 42)
    (flow,) = said(relay(breaker=breaker, next_probe=NOW + 42))
    assert flow.headline == "Mail is waiting: relay ses refuses the login since 07:00 UTC."
    assert (flow.action, flow.fields) == (("Try the login now", "/relays/ses/breaker"), {"state": "auto"})


def test_a_paused_relay_offers_to_be_resumed_and_one_that_is_probed_only_to_be_looked_at() -> None:
    paused = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN, actor="ada", note="upkeep", since=NOW)
    assert said(relay(breaker=paused))[0].action == ("Resume relay ses", "/relays/ses/breaker")
    (flow,) = said(relay(breaker=Snapshot(phase=Phase.HALF_OPEN, cause="421 not now", since=NOW)))
    assert (flow.action, flow.fields) == (("Open relay ses", "/relays/ses"), {})
