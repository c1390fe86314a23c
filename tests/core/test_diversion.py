"""Who gets mail on a hub that must not reach everybody."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.diversion import Addressed, Course, Diversion

DEV = "dev@team.test"
MIXED = Addressed(("ann@example.com", "bob@customer.org"), ("cid@sub.example.com",), ("dan@customer.org",))
ALLOW = ("example.com", "*.example.com")


def test_without_rules_everything_goes_out_as_addressed() -> None:
    assert Diversion().course(MIXED) == Course(MIXED)


def test_divert_to_takes_the_place_of_every_recipient_and_the_originals_are_kept() -> None:
    course = Diversion(DEV).course(MIXED)
    assert course.out == Addressed((DEV,))
    assert course.kept == Addressed()
    assert course.diverted == MIXED.all
    assert course.note.startswith("diverted to dev@team.test (EMAILHUB_DIVERT_TO): ann@example.com, bob@customer.org")


@pytest.mark.parametrize(
    ("addressed", "out"),
    (
        (Addressed(cc=("x@y.test",)), Addressed(cc=(DEV,))),
        (Addressed(bcc=("x@y.test",)), Addressed(bcc=(DEV,))),
        (Addressed(("Dev@Team.test",)), Addressed(("Dev@Team.test",))),
        (Addressed(("x@y.test",), (DEV,)), Addressed(cc=(DEV,))),
    ),
)
def test_the_diverted_address_stands_where_the_first_original_stood_and_never_twice(
    addressed: Addressed, out: Addressed
) -> None:
    assert Diversion(DEV).course(addressed).out == out


def test_allowed_recipients_go_out_and_the_rest_is_kept() -> None:
    course = Diversion(allow=ALLOW).course(MIXED)
    assert course.out == Addressed(("ann@example.com",), ("cid@sub.example.com",))
    assert course.kept == Addressed(("bob@customer.org",), (), ("dan@customer.org",))
    assert course.diverted == ("bob@customer.org", "dan@customer.org")
    assert course.note == "kept back, not in EMAILHUB_ALLOW_RECIPIENTS: bob@customer.org, dan@customer.org"


def test_when_nobody_is_allowed_the_whole_message_is_kept_as_it_was_addressed() -> None:
    stranger = Addressed(("bob@customer.org",), (), ("dan@customer.org",))
    course = Diversion(allow=ALLOW).course(stranger)
    assert (course.out, course.kept, course.diverted) == (Addressed(), stranger, ())


def test_with_both_allowed_recipients_go_out_and_the_rest_is_diverted() -> None:
    course = Diversion(DEV, ALLOW).course(MIXED)
    assert course.out == Addressed(("ann@example.com", DEV), ("cid@sub.example.com",))
    assert course.kept == Addressed()
    assert course.diverted == ("bob@customer.org", "dan@customer.org")


@pytest.mark.parametrize(
    ("pattern", "address", "allowed"),
    (
        ("ann@example.com", "ann@example.com", True),
        ("Ann@Example.com", "aNN@example.com", True),
        ("ann@example.com", "joann@example.com", False),
        ("ann@example.com", "ann@example.com.evil.test", False),
        ("example.com", "x@example.com", True),
        ("example.com", "x@a.example.com", False),
        ("example.com", "x@notexample.com", False),
        ("*.example.com", "x@a.b.example.com", True),
        ("*.example.com", "x@example.com", False),
        ("*.example.com", "x@aexample.com", False),
        ("example.com", "example.com@evil.test", False),
    ),
)
def test_a_pattern_is_an_address_a_domain_or_all_its_sub_domains(pattern: str, address: str, allowed: bool) -> None:
    assert Diversion(allow=(pattern,)).allows(address) is allowed


def test_a_note_of_many_recipients_stays_one_short_line() -> None:
    many = Addressed(tuple(f"recipient-{number}@customer.org" for number in range(50)))
    assert len(Diversion(DEV).course(many).note) == 400


_ADDRESSES = st.lists(st.sampled_from([*MIXED.all, DEV, "eve@evil.test", "ANN@example.com"]), unique=True).map(tuple)
_RULES = st.builds(
    Diversion,
    st.none() | st.just(DEV),
    st.lists(st.sampled_from([*ALLOW, "dan@customer.org"]), unique=True).map(tuple),
)


@given(rules=_RULES, to=_ADDRESSES, cc=_ADDRESSES, bcc=_ADDRESSES)
def test_nobody_who_is_not_allowed_ever_gets_mail_and_nobody_is_forgotten(
    rules: Diversion, to: tuple[str, ...], cc: tuple[str, ...], bcc: tuple[str, ...]
) -> None:
    course = rules.course(Addressed(to, cc, bcc))
    for address in course.out.all:
        assert rules.allows(address)
    for address in (*to, *cc, *bcc):
        assert address in course.out.all or address in course.kept.all or address in course.diverted
        assert (address in course.out.all) is rules.allows(address)
