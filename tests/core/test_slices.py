"""Long texts piece by piece: what comes out is what one go would give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core import fields, fingerprint, slices
from emailhub.core.message import Limits
from emailhub.core.parse import submission


@given(st.text(), st.integers(1, 5))
def test_the_pieces_are_the_text_and_their_bytes_its_bytes(text: str, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", size)
        assert "".join(slices.slices(text)) == text
        assert slices.utf8(text) == text.encode()


@given(st.lists(st.text()))
def test_a_text_that_grows_is_what_one_go_makes(pieces: list[str]) -> None:
    assert slices.text_of(pieces) == "".join(pieces)


def test_half_a_surrogate_pair_is_named_wherever_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 2)
    with pytest.raises(fields.BadValueError, match=r"U\+D83C"):
        fields.document("äbcde\ud83c", 100)


def print_of(text: str) -> bytes:
    given = {"to": "ada@example.org", "subject": "S", "text": text}
    return fingerprint.fingerprint(submission(given, Limits(), now=0.0))


def test_long_texts_have_the_same_fingerprint_only_when_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint, "SLICE", 3)
    monkeypatch.setattr(slices, "SLICE", 3)
    texts = ["abcd", "abce", "bbcd", "abcdä", "abc", "ab", '("abcd",)']
    assert len({print_of(text) for text in texts}) == len(texts)
    assert print_of("abcdefgh") == print_of("abcdefgh")
