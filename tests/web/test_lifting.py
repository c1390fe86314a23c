"""Long base64 strings beside the parser: what is read is what the parser alone would read, or its error."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailhub.core.errors import InvalidMessage
from emailhub.web import body, lifting
from emailhub.web.body import object_in
from emailhub.web.errors import WebError

LONG = "QUJD" * 100_000
FILE = {"filename": "a", "content": LONG}
MARK = "\ue000lifted 0"


def lifts(source: bytes) -> int:
    return len(lifting.lifted(source)[1])


@pytest.mark.parametrize(
    ("document", "lifted"),
    (
        ({"attachments": [FILE, FILE | {"content": "QUJE" * 100_000}], "to": "a"}, 2),
        ({"content": LONG, "attachments": [{"content": {"content": LONG}}]}, 2),
        ({"attachments": [FILE], "text": 'he said "content": "' + LONG}, 2),
        ({"attachments": [FILE], "text": "ü" * 100_000}, 2),
        ({"text": 'ü🎉"\\\n\t' * 100_000, "html": "<p>é</p>" * 100_000, "body": {"text": LONG}}, 3),
        ([{"html": "🎉" * 100_000}, {"html": "x" * 60_000, "body": "\x7f" * 70_000}], 2),
        ({"attachments": [FILE], "note": {"content": MARK}}, 1),
        ({"attachments": [FILE | {"content": LONG + "\u00fc"}]}, 0),
        ({"attachments": [FILE | {"content": LONG + "\t"}]}, 0),
        ({"attachments": [FILE | {"content": LONG + '"'}]}, 0),
        ({"attachments": [FILE | {"content": LONG + "\\"}]}, 0),
        ({"attachments": [FILE | {"content": LONG + "\\/"}]}, 0),
        ({"subject": LONG}, 0),
        ({'say "content': LONG}, 1),
    ),
)
@pytest.mark.parametrize("indent", (None, 1))
@pytest.mark.parametrize("escaped", (True, False))
async def test_what_is_read_is_what_was_sent(document: Any, lifted: int, indent: int | None, escaped: bool) -> None:
    source = json.dumps(document, indent=indent, ensure_ascii=escaped).encode()
    document = json.loads(source)
    assert lifts(source) == lifted
    if "note" in document:
        # Who sends the mark itself gets a string of their own request in its place.
        document["note"]["content"] = LONG
    assert body.parsed(source) == document


async def test_a_slash_may_be_escaped_and_line_ends_are_left_out() -> None:
    lines = "\r\n".join(["QU/D" * 19] * 10_000)
    source = json.dumps({"content": lines}).replace("/", "\\/").encode()
    assert lifts(source) == 1
    assert await object_in(source) == {"content": "QU/D" * 190_000}


@settings(max_examples=30)
@given(st.integers(0, 40), st.sampled_from(("\\/", "\\n", "\\r\\n")))
def test_an_escape_where_the_text_is_cut_is_read_whole(shift: int, escape: str) -> None:
    text = "Q" * (lifting._SLICE - 20 + shift) + escape + "Q" * 100
    (found,) = lifting.lifted(f'{{"content":"{text}"}}'.encode())[1].values()
    assert found == json.loads(f'"{text}"').replace("\r", "").replace("\n", "")


@settings(max_examples=150)
@given(
    st.text(st.sampled_from('ab"\\/\n\t\x7fäß日🎉\U0010ffff'), min_size=30, max_size=80),
    st.booleans(),
    st.integers(13, 60),
    st.sampled_from(["", "\ud800", "\udc00"]),
)
def test_a_text_in_slices_is_what_the_parser_makes_of_it(text: str, escaped: bool, size: int, lone: str) -> None:
    source = json.dumps({"html": text + lone}, ensure_ascii=escaped).encode(errors="surrogatepass")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifting, "LONG", 13)
        patch.setattr(lifting, "_SLICE", size)
        _, strings = lifting.lifted(source)
    assert list(strings.values()) == ([] if lone else [text])


def test_of_a_large_body_the_parser_sees_little(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def seeing(text: str, **given: Any) -> object:
        seen.append(len(text))
        return lifting.decode(text, **given)

    monkeypatch.setattr(body, "decode", seeing)
    body.parsed(json.dumps({"html": "<p>ä</p>\n" * 500_000, "text": "x" * 10**6, "to": "a"}).encode())
    assert seen == [len('{"html": "_lifted 0", "text": "_lifted 1", "to": "a"}')]


@pytest.mark.parametrize(
    "source",
    (
        b'{"text": "%b", }',
        b'{"text": "%b',
        b'{"text": "%b\n"}',
        b'{"text": "%b\xff"}',
        b'{"text": "%b\\ud800"}',
        b'{"text": "%b\\udc00"}',
        b'{"text": "%b\\x"}',
        b'{"text": "%b\\u12"}',
        b'{"text": "%b", "text": ""}',
        b'{"content": "%b", }',
        b'{"content": "%b"',
        b'{"content": "%b", "content": "%b"}',
        b'{"a": 1, "content": "%b", "a": 2}',
        b'{"content": "%b", "a": NaN}',
        b'{"content": "%b", "a": "\xff"}',
        b'{"content": "%b", "a": "\\ud800"}',
        b'"content" "%b"',
        b'{x"content": "%b"}',
        b'{"content": "%b\n"}',
        b'{"content": "%b", "a": ' + b"[" * 80 + b"]" * 80 + b"}",
    ),
)
async def test_what_is_wrong_is_told_as_the_parser_alone_tells_it(
    source: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = source.replace(b"%b", LONG.encode())
    with pytest.raises((WebError, InvalidMessage)) as told:
        await object_in(whole)
    monkeypatch.setattr(body, "lifted", lambda body: (body, {}))
    with pytest.raises((WebError, InvalidMessage)) as alone:
        await object_in(whole)
    assert (str(told.value), told.value.problems) == (str(alone.value), alone.value.problems)
