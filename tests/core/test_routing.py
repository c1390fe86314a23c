"""Routing: who may carry a domain, who is asked first, and how equals share."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.routing import Route, Router, domain_of, matches

SES = Route(name="ses", domains=("example.com", "*.example.com"), priority=0)
GMAIL = Route(name="gmail", priority=1)


@pytest.mark.parametrize(
    ("pattern", "domain", "fits"),
    (
        ("example.com", "example.com", True),
        ("example.com", "mail.example.com", False),
        ("example.com", "notexample.com", False),
        ("*.example.com", "mail.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "notexample.com", False),
    ),
)
def test_a_pattern_is_a_domain_or_all_its_sub_domains(pattern: str, domain: str, fits: bool) -> None:
    assert matches(pattern, domain) is fits


@pytest.mark.parametrize(
    ("address", "domain"), (("a@Example.COM", "example.com"), ('"x@y"@z.org', "z.org"), ("nobody", ""))
)
def test_the_domain_of_an_address_is_what_follows_its_last_at(address: str, domain: str) -> None:
    assert domain_of(address) == domain


def test_the_lowest_priority_number_that_may_carry_the_domain_is_the_home() -> None:
    router = Router((GMAIL, SES))
    assert router.home("example.com", 0.99) == "ses"
    assert router.home("other.org", 0.0) == "gmail"
    assert [route.name for route in router.candidates("mail.example.com")] == ["ses", "gmail"]
    assert not router.uniform
    assert Router((GMAIL,)).uniform


def test_no_relay_for_a_domain_is_none() -> None:
    assert Router((SES,)).home("other.org", 0.5) is None
    assert Router().home("example.com", 0.5) is None


def test_a_draining_relay_gets_no_new_mail_but_may_still_carry() -> None:
    draining = Route(name="old", priority=0, draining=True)
    router = Router((draining, GMAIL))
    assert router.home("a.test", 0.0) == "gmail"
    assert [route.name for route in router.candidates("a.test")] == ["old", "gmail"]
    assert Router((draining,)).home("a.test", 0.0) is None


def test_equals_share_by_weight() -> None:
    router = Router((Route(name="a", weight=3), Route(name="b", weight=1), Route(name="spare", weight=0)))
    found = Counter(router.home("x.test", draw / 1000) for draw in range(1000))
    assert found == {"a": 750, "b": 250}
    assert Router((Route(name="spare", weight=0),)).home("x.test", 0.4) == "spare"
    assert Router((Route(name="spare", weight=0), Route(name="last", priority=9))).home("x.test", 0.4) == "last"


@given(st.floats(0.0, 1.0, exclude_max=True), st.lists(st.integers(0, 5), min_size=1, max_size=5))
def test_every_draw_has_a_home_among_the_best(draw: float, weights: list[int]) -> None:
    router = Router(Route(name=f"r{number}", weight=weight) for number, weight in enumerate(weights))
    name = router.home("x.test", draw)
    assert name is not None
    assert weights[int(name[1:])] > 0 or not any(weights)
