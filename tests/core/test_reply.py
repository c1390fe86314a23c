"""A reply as a value: whatever bytes a server sent, a code, an enhanced code or none, and one line of text."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.reply import Reply


@pytest.mark.parametrize(
    ("message", "enhanced", "text"),
    (
        ("5.1.1 User unknown", "5.1.1", "User unknown"),
        ("5.1.1  User unknown ", "5.1.1", "User unknown"),
        ("User unknown", "", "User unknown"),
        ("5.1.1", "5.1.1", ""),
        ("", "", ""),
        ("5.7.26 Not\n5.7.26 authenticated", "5.7.26", "Not authenticated"),
        ("5.7.26 Not\nauthenticated", "5.7.26", "Not authenticated"),
        ("Not\n5.7.26 authenticated", "", "Not 5.7.26 authenticated"),
        ("\n  \n5.7.1 No\n", "5.7.1", "No"),
        ("5.7.1: No", "", "5.7.1: No"),
        ("3.7.1 No", "", "3.7.1 No"),
        ("5.7.1000 No", "", "5.7.1000 No"),
        ("192.0.2.1 is listed", "", "192.0.2.1 is listed"),
        ("2.0.0 Ok: queued as 4BqT1c2Yz1z9sTL", "2.0.0", "Ok: queued as 4BqT1c2Yz1z9sTL"),
    ),
)
def test_an_enhanced_code_is_told_from_the_text(message: str, enhanced: str, text: str) -> None:
    assert Reply.of(550, message) == Reply(550, enhanced, text)


@given(code=st.integers(-1, 999), message=st.text(max_size=300))
def test_any_message_makes_a_reply_of_one_line(code: int, message: str) -> None:
    reply = Reply.of(code, message)
    assert reply.code == code
    assert reply.enhanced == "" or re.fullmatch(r"[245]\.\d{1,3}\.\d{1,3}", reply.enhanced)
    assert len(reply.text.splitlines()) <= 1
    assert len(reply.text) <= len(message)
    assert str(reply).startswith(str(code))


words = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=12)


@given(enhanced=st.sampled_from(("", "5.1.1", "4.2.0", "2.0.0")), lines=st.lists(words, min_size=1, max_size=5))
def test_one_line_or_many_the_words_and_the_enhanced_code_are_kept(enhanced: str, lines: list[str]) -> None:
    message = "\n".join(f"{enhanced} {line}".strip() for line in lines)
    assert Reply.of(250, message) == Reply(250, enhanced, " ".join(lines))
