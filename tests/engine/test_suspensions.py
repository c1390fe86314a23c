"""Suspended senders and a clock that jumps."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from emailhub.core.kept import SuspensionRecord
from emailhub.core.records import Scalar
from emailhub.engine.suspensions import LONGEST, UNDECIDED, Suspensions

NOW = 1_800_000_000.0
DAYS = 3 * 86_400.0
DOMAIN = "shop.example"


class NoStore:
    """Nothing of this is stored."""

    async def suspend(
        self, relay: str, one: SuspensionRecord, now: float, event: str | None, data: Mapping[str, Scalar]
    ) -> None:
        raise NotImplementedError

    async def resume(self, relay: str, domain: str, now: float, data: Mapping[str, Scalar]) -> None:
        raise NotImplementedError


def suspended(next_try: float, now: float) -> Suspensions:
    known = SuspensionRecord(DOMAIN, NOW, "550 5.7.1 sender not verified", next_try, 1)
    return Suspensions("default", [known], NoStore(), now=lambda: now)


@pytest.mark.parametrize("back", (3600.0 + UNDECIDED, DAYS))
def test_after_a_clock_set_back_a_suspended_sender_is_tried_again_within_the_longest_pause(back: float) -> None:
    now = NOW - back
    found = suspended(NOW + 600, now)
    assert found.stays(lambda _: None)[DOMAIN].until == now + LONGEST
    assert found.next_try(DOMAIN) == now + LONGEST


def test_a_pause_as_long_as_any_is_kept_to_the_second() -> None:
    assert suspended(NOW + LONGEST, NOW).stays(lambda _: None)[DOMAIN].until == NOW + LONGEST
    assert suspended(NOW + 600, NOW).stays(lambda _: None)[DOMAIN].until == NOW + 600


def test_after_a_clock_set_ahead_one_message_asks_and_the_others_wait_for_its_answer() -> None:
    stay = suspended(NOW + 600, NOW + DAYS).stays(lambda _: None)[DOMAIN]
    assert stay.probe
    assert NOW + DAYS < stay.until <= NOW + DAYS + LONGEST
