"""What is said of mail that waits for its relay."""

import pytest
from msgspec.structs import replace

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.status import LimitStatus, PoolFacts, RelayStatus
from emailhub.web.pages.ways import Stop, ways
from tests.support.demo_hub import DemoHub
from tests.support.factories import NOW
from tests.web.pages.reading import page, words_of

OPEN = Snapshot(phase=Phase.OPEN)
HOUR = LimitStatus(limit=60, seconds=3600.0, used=60, free_at=NOW + 90)
SES = RelayStatus(
    name="ses",
    host="smtp.x.test",
    captures=False,
    breaker=Snapshot(),
    next_probe=None,
    capacity=20,
    in_flight=0,
    pool=PoolFacts(),
)


def stop(**how: object) -> Stop | None:
    return ways([replace(SES, **how)])["ses"].stop


def test_mail_of_a_relay_that_is_well_waits_for_nothing_but_its_turn() -> None:
    assert stop() is None
    assert stop(limits=(replace(HOUR, used=59, free_at=None),)) is None


def test_a_limit_that_only_sets_the_pace_is_not_named() -> None:
    assert stop(limits=(LimitStatus(limit=10, seconds=1.0, used=10, free_at=NOW + 0.1),)) is None


def test_mail_that_waits_for_an_allowance_says_which_and_until_when() -> None:
    day = LimitStatus(limit=2000, seconds=86400.0, used=2000, free_at=NOW + 4000)
    assert stop(limits=(HOUR,)) == Stop("relay ses has used its 60 an hour", "more may go", NOW + 90)
    assert stop(limits=(HOUR, day)) == Stop("relay ses has used its 2,000 a day", "more may go", NOW + 4000)


def test_mail_that_waits_for_the_breaker_says_what_comes_next() -> None:
    text = "relay ses takes no mail now"
    assert stop(breaker=OPEN, next_probe=NOW + 42, limits=(HOUR,)) == Stop(text, "next try", NOW + 42)
    assert stop(breaker=replace(OPEN, phase=Phase.HALF_OPEN)) == Stop(text, "a probe is on its way")
    ready = replace(OPEN, phase=Phase.HALF_OPEN, at_mail=True, ready=True)
    assert stop(breaker=ready) == Stop(text, "the next message is the probe")
    paused = replace(OPEN, mode=Mode.OPEN)
    assert stop(breaker=paused) == Stop(text, "paused until somebody ends it")
    assert stop(breaker=paused, next_probe=NOW + 900) == Stop(text, "the pause ends", NOW + 900)


def test_mail_that_another_relay_carries_waits_for_nothing() -> None:
    assert stop(breaker=OPEN, next_probe=NOW + 42, covered_by=("mailgun",)) is None


async def test_the_list_says_why_mail_of_a_relay_at_its_limit_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    demo = DemoHub("calm", now=lambda: NOW)
    monkeypatch.setattr(demo.board, "_more", lambda *_: {"limits": (HOUR,)})
    text = words_of(await page(demo, "/messages?state=queued"))
    assert "has used its 60 an hour · more may go in 1:30" in text
