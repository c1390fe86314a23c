"""Trouble on purpose: the shares are what they say, and every reply means what its table says."""

from __future__ import annotations

import pytest

from emailhub.core.chaos import PUTTING_OFF, REFUSING, Fate, Saying, facts, fate, problems, words
from emailhub.core.judge import judge
from emailhub.core.reply import Reply
from emailhub.core.status import ChaosStatus
from emailhub.core.verdict import Kind

MIXED = ChaosStatus(transient=0.25, permanent=0.125, drop=0.125, slow=0.5, delay=2.0)


def test_each_trouble_takes_its_share_of_the_draws() -> None:
    met = [fate(MIXED, draw / 1000, half) for draw in range(1000) for half in (0.1, 0.9)]
    shares = {what: met.count(what) / len(met) for what in Fate}
    assert shares == {
        Fate.PUT_OFF: 0.25,
        Fate.REFUSED: 0.125,
        Fate.CUT: 0.0625,
        Fate.SWALLOWED: 0.0625,
        Fate.WELL: 0.5,
    }


@pytest.mark.parametrize("draw", (0.0, 0.5, 0.999999))
def test_without_shares_all_is_well_and_with_a_whole_one_nothing_is(draw: float) -> None:
    assert fate(ChaosStatus(), draw, 0.0) is Fate.WELL
    assert fate(ChaosStatus(transient=1.0), draw, 0.0) is Fate.PUT_OFF
    assert fate(ChaosStatus(permanent=1.0), draw, 0.0) is Fate.REFUSED
    assert fate(ChaosStatus(drop=1.0), draw, 0.0) is Fate.CUT


@pytest.mark.parametrize("saying", PUTTING_OFF, ids=lambda saying: saying.text[:12])
def test_what_puts_off_is_judged_transient(saying: Saying) -> None:
    assert judge(saying.stage, Reply.of(saying.code, saying.text.format(to="a@b.test"))).kind is Kind.TRANSIENT


@pytest.mark.parametrize("saying", REFUSING, ids=lambda saying: saying.text[:12])
def test_what_refuses_is_judged_permanent(saying: Saying) -> None:
    assert judge(saying.stage, Reply.of(saying.code, saying.text.format(to="a@b.test"))).kind is Kind.PERMANENT


@pytest.mark.parametrize(
    ("status", "field", "says"),
    (
        (ChaosStatus(transient=1.5), "transient", "between 0 and 1"),
        (ChaosStatus(slow=-0.1), "slow", "between 0 and 1"),
        (ChaosStatus(drop=float("nan")), "drop", "between 0 and 1"),
        (ChaosStatus(transient=0.6, permanent=0.5), "transient", "110% together"),
        (ChaosStatus(delay=601.0), "delay", "between 0 and 600 seconds"),
        (ChaosStatus(delay=float("nan")), "delay", "between 0 and 600 seconds"),
    ),
)
def test_impossible_behaviour_is_refused_with_field_and_limit(status: ChaosStatus, field: str, says: str) -> None:
    (problem,) = problems(status)
    assert problem.field == field
    assert says in problem.message


def test_shares_that_are_everything_together_are_fine() -> None:
    assert problems(ChaosStatus(transient=0.1, permanent=0.2, drop=0.7, slow=1.0, delay=600.0)) == ()


def test_the_behaviour_reads_as_one_line_and_as_short_facts() -> None:
    assert words(MIXED) == "25% put off, 12.5% refused, 12.5% dropped, 50% slow by 2 s"
    assert words(ChaosStatus()) == "no trouble"
    assert facts(MIXED) == {"transient": 0.25, "permanent": 0.125, "drop": 0.125, "slow": 0.5, "delay": 2.0}
