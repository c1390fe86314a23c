"""Header values: what is unsafe in them, how they are written, how they are shown."""

from __future__ import annotations

import re
from base64 import b64decode
from quopri import decodestring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core import header
from emailhub.core.message import Mailbox


@pytest.mark.parametrize(
    ("value", "flaw"),
    (
        ("plain", None),
        ("Grüße, 日本 \U0001f600 \u200d \u00a0", None),
        ("a\rb", "a carriage return (U+000D) at character 2"),
        ("a\nb", "a line feed (U+000A) at character 2"),
        ("\x00", "a NUL (U+0000) at character 1"),
        ("\t", "a tab (U+0009) at character 1"),
        ("ä\x85", "a control character (U+0085) at character 2"),
        ("\x7f", "a control character (U+007F) at character 1"),
        ("\u2028", "a line separator (U+2028) at character 1"),
        ("\u2029", "a paragraph separator (U+2029) at character 1"),
        ("\ud800", "a lone surrogate (U+D800) at character 1"),
    ),
    ids=ascii,
)
def test_an_unsafe_character_is_named_with_its_place(value: str, flaw: str | None) -> None:
    assert header.unsafe(value) == flaw


def test_a_plain_value_is_one_line_and_a_long_one_is_folded_at_single_spaces() -> None:
    assert header.text("Subject", " Hello ") == "Subject: Hello"
    assert header.text("Subject", "x" * 69) == f"Subject: {'x' * 69}"
    folded = header.text("Subject", f"{'a' * 60} {'b' * 60}  {'c' * 10}")
    assert folded == f"Subject: {'a' * 60}\r\n {'b' * 60}  {'c' * 10}"


def test_a_word_too_long_for_any_line_is_encoded_and_a_long_link_is_not() -> None:
    assert header.text("List-Unsubscribe", f"<https://x.org/{'a' * 900}>").count("\r\n") == 0
    assert "=?utf-8?q?" in header.text("Subject", "x" * 998)


@pytest.mark.parametrize(
    ("boxes", "written"),
    (
        ([Mailbox("a@x.org")], "To: a@x.org"),
        ([Mailbox("a@x.org", "Ada Lovelace")], "To: Ada Lovelace <a@x.org>"),
        ([Mailbox("a@x.org", "Lovelace, Ada")], 'To: "Lovelace, Ada" <a@x.org>'),
        ([Mailbox("a@x.org", 'A "B" \\')], 'To: "A \\"B\\" \\\\" <a@x.org>'),
        ([Mailbox("a@x.org", "Ada  L")], 'To: "Ada  L" <a@x.org>'),
        ([Mailbox("a@x.org", "Åse Ada Lovelace")], "To: =?utf-8?q?=C3=85se_Ada_Lovelace?= <a@x.org>"),
        ([Mailbox("a@x.org", "株式会社")], "To: =?utf-8?b?5qCq5byP5Lya56S+?= <a@x.org>"),
        ([Mailbox("a@x.org"), Mailbox("b@x.org", "Bob")], "To: a@x.org, Bob <b@x.org>"),
        (
            [Mailbox(f"{n}@{'x' * 28}.org") for n in "abc"],
            f"To: a@{'x' * 28}.org, b@{'x' * 28}.org,\r\n c@{'x' * 28}.org",
        ),
    ),
    ids=str,
)
def test_mailboxes_are_written_as_atoms_quoted_strings_or_encoded_words(boxes: list[Mailbox], written: str) -> None:
    assert header.mailboxes("To", boxes) == written


def test_a_mailbox_is_shown_to_people_as_they_write_it() -> None:
    assert header.display(Mailbox("a@x.org", "Åse")) == "Åse <a@x.org>"
    assert header.display(Mailbox("a@x.org")) == "a@x.org"


@given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=200), st.integers(24, 75))
def test_encoded_words_hold_whole_characters_and_fit_their_lines(value: str, room: int) -> None:
    words = header.encoded_words(value, room)
    assert len(words[0]) <= room
    decoded = ""
    for word in words:
        found = re.fullmatch(r"=\?utf-8\?([bq])\?([!*+/=\-_A-Za-z0-9]+)\?=", word)
        assert found
        assert len(word) <= 75
        raw = b64decode(found[2]) if found[1] == "b" else decodestring(found[2].encode(), header=True)
        decoded += raw.decode()
    assert decoded == value
