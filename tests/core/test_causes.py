"""Replies that differ only in whom, when and under which number they speak are one cause."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.causes import Cause, grouped, plainly


@pytest.mark.parametrize(
    ("said", "plain"),
    (
        ("550 5.1.1 user unknown", "550 5.1.1 user unknown"),
        (
            "550 5.1.1 <grace@exmaple.com>: Recipient address rejected: User unknown in virtual mailbox table",
            "550 5.1.1 Recipient address rejected: User unknown in virtual mailbox table",
        ),
        (
            "550-5.1.1 This account does not exist. https://help.example/?p=N a64c23a62f3a-ab7fc51ee1dsi44.212 - gsmtp",
            "550 5.1.1 This account does not exist. … - gsmtp",
        ),
        ("554 5.7.1 Client host [192.0.2.25] blocked", "554 5.7.1 Client host […] blocked"),
        ("552 5.2.2 mailbox full: 1,048,576 of 1,000,000 bytes", "552 5.2.2 mailbox full: … of … bytes"),
        ("451 4.7.1 Greylisted, try again in 300 seconds", "451 4.7.1 Greylisted, try again in … seconds"),
        ("expired: not sent within 24 h of its acceptance", "expired: not sent within … h of its acceptance"),
        ("no such user ada@example.org here", "no such user here"),
        ("", ""),
    ),
)  # fmt: skip
def test_a_cause_keeps_the_codes_and_the_words_and_nothing_that_changes(said: str, plain: str) -> None:
    assert plainly(said) == plain


def test_the_same_reason_for_many_people_is_one_cause_and_the_most_frequent_comes_first() -> None:
    unknown = [(f"550 5.1.1 <user{number}@example.com>: User unknown", 1) for number in range(41)]
    texts = [("552 5.2.2 mailbox full", 3), *unknown, ("554 5.7.1 rejected as spam", 2), ("550 5.1.1 user Unknown", 1)]
    assert grouped(texts, 2) == (
        Cause("550 5.1.1 User unknown", 42, "5.1.1"),
        Cause("552 5.2.2 mailbox full", 3, "5.2.2"),
    )


def test_what_no_server_said_has_no_code() -> None:
    assert grouped([("expired after 24 h", 1)], 5)[0].code == ""


@given(st.text(max_size=400))
def test_whatever_a_server_says_becomes_one_short_line(said: str) -> None:
    plain = plainly(said)
    assert len(plain) <= 140
    assert plain == " ".join(plain.split())
