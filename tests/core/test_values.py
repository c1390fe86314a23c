"""A document with too many values is told before it is parsed; text full of brackets and commas is not one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailhub.core import values
from emailhub.core.shapes import Properties, Unreadable, read
from emailhub.core.values import MOST, too_many

LITTLE = 'a,[{"\\\\\\"\n '
DOCUMENTS = st.recursive(
    st.text(st.sampled_from(LITTLE), max_size=6) | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.sampled_from(LITTLE), max_size=3), inner),
    max_leaves=12,
)


def marks(document: object) -> int:
    """Commas and opening brackets that are no text, counted the slow way."""
    if isinstance(document, dict):
        return 1 + max(len(document) - 1, 0) + sum(map(marks, document.values()))
    if isinstance(document, list):
        return 1 + max(len(document) - 1, 0) + sum(map(marks, document))
    return 0


@settings(max_examples=300)
@given(DOCUMENTS, st.integers(1, 7), st.booleans())
def test_what_is_counted_is_what_stands_outside_of_text_wherever_a_slice_ends(
    document: object, size: int, spaced: bool
) -> None:
    body = json.dumps(document, separators=(", ", ": ") if spaced else (",", ":")).encode()
    there = marks(document)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(values, "CAN_HAVE_TOO_MANY", 0)
        patch.setattr(values, "_SLICE", size)
        patch.setattr(values, "MOST", there)
        assert not too_many(body)
        if there:
            patch.setattr(values, "MOST", there - 1)
            assert too_many(body)


@pytest.mark.parametrize("one", (b"1", b'""', b"[]", b"{}", b'{"a":1}', b"[[[[[[1]]]]]]", b"null"))
def test_a_list_of_a_million_of_anything_is_too_many(one: bytes) -> None:
    assert too_many(b'{"to":[' + b",".join([one] * 1_000_000) + b"]}")


def test_megabytes_of_text_and_files_are_not() -> None:
    css = json.dumps("p { color: red, blue; } [a, b] \\ " * 100_000)
    file = json.dumps("QUJD" * 1_000_000)
    body = f'{{"html": {css}, "attachments": [{{"content": {file}}}]}}'.encode()
    assert body.count(b"{") + body.count(b",") > MOST
    assert not too_many(body)


def test_the_largest_batch_that_makes_sense_is_not() -> None:
    message = {"to": [f"r{n}@example.org" for n in range(50)], "variables": {f"v{n}": n for n in range(900)}}
    assert not too_many(json.dumps([message] * 100).encode())


def test_a_queue_body_with_too_many_is_a_dead_letter_with_the_reason() -> None:
    body = b'{"to":"ada@example.org","subject":"a","body":"b","data":[' + b",".join([b"[]"] * 300_000) + b"]}"
    found = read(body, Properties())
    assert isinstance(found, Unreadable)
    assert "more than 200,000 values" in found.reason
