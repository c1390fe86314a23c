"""Reading replies and writing bodies, whatever pieces they come and go in."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.adapters.smtp.body import stuffed
from emailhub.adapters.smtp.wire import CHUNK, Lost, Wire
from emailhub.core.reply import Reply


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def wired() -> tuple[Wire, Sink]:
    wire, sink = Wire(), Sink()
    wire.connection_made(sink)
    return wire, sink


async def replies_to(data: bytes, cuts: list[int], expected: int) -> list[Reply]:
    wire, _ = wired()
    wire.command(b"X\r\n" * expected, expected)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        wire.data_received(data[start:end])
    return [await wire.reply(1.0) for _ in range(expected)]


lines = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30)
replies = st.tuples(st.integers(200, 599), st.lists(lines, min_size=1, max_size=4))


@given(given_replies=st.lists(replies, min_size=1, max_size=5), cuts=st.lists(st.integers(0, 2000), max_size=8))
def test_replies_are_the_same_in_whatever_pieces_they_arrive(
    given_replies: list[tuple[int, list[str]]], cuts: list[int]
) -> None:
    data = b"".join(
        f"{code}{'-' if n < len(texts) - 1 else ' '}{text}\r\n".encode()
        for code, texts in given_replies
        for n, text in enumerate(texts)
    )
    got = asyncio.run(replies_to(data, cuts, len(given_replies)))
    assert got == [Reply.of(code, "\n".join(texts)) for code, texts in given_replies]


@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_no_bytes_break_the_reader_and_a_reply_is_a_code_or_minus_one(data: bytes, cuts: list[int]) -> None:
    async def feed() -> list[Reply]:
        wire, _ = wired()
        wire.command(b"X\r\n" * 3000, 3000)
        edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        for start, end in itertools.pairwise(edges):
            wire.data_received(data[start:end])
        wire.connection_lost(None)
        got = []
        try:
            while True:
                got.append(await wire.reply(1.0))
        except Lost:
            return got

    for reply in asyncio.run(feed()):
        assert reply.code == -1 or 100 <= reply.code <= 999
        assert not any(ord(char) < 32 for char in reply.text)


async def test_lines_of_one_reply_with_different_codes_are_no_reply() -> None:
    assert [r.code for r in await replies_to(b"250-a\r\n550 b\r\n", [], 1)] == [-1]


async def test_a_reply_that_arrived_before_the_loss_is_still_read() -> None:
    wire, _ = wired()
    wire.command(b"MAIL\r\nRCPT\r\n", 2)
    wire.data_received(b"550 no\r\n")
    wire.connection_lost(ConnectionResetError("reset"))
    assert (await wire.reply(1.0)).code == 550
    with pytest.raises(Lost, match="reset"):
        await wire.reply(1.0)


async def test_the_end_is_announced_right_before_the_last_byte_is_written() -> None:
    wire, sink = wired()
    body = stuffed(b"x" * (3 * CHUNK))
    seen: list[int] = []
    await wire.body(body, 1.0, 1e6, lambda: seen.append(sum(map(len, sink.written))))
    assert b"".join(sink.written) == body
    assert seen == [3 * CHUNK]


async def test_a_body_that_fills_whole_chunks_still_ends_after_the_announcement() -> None:
    wire, sink = wired()
    body = b"y" * (CHUNK - 5) + b"\r\n.\r\n"
    seen: list[int] = []
    await wire.body(body, 1.0, 1e6, lambda: seen.append(sum(map(len, sink.written))))
    assert (seen, b"".join(sink.written)) == ([0], body)


async def test_the_end_is_not_announced_on_a_connection_that_is_gone() -> None:
    wire, sink = wired()
    wire.connection_lost(None)
    with pytest.raises(Lost):
        await wire.body(stuffed(b"x"), 1.0, 1e6, lambda: pytest.fail("announced"))
    assert sink.written == []


async def test_what_nobody_asked_for_makes_the_connection_unusable_and_is_told() -> None:
    told: list[bool] = []
    wire, _ = wired()
    wire.on_odd = lambda: told.append(True)
    assert wire.usable
    wire.data_received(b"421 bye\r\n")
    assert (wire.usable, told) == (False, [True])


async def test_a_partial_line_nobody_asked_for_makes_the_connection_unusable() -> None:
    wire, _ = wired()
    wire.data_received(b"25")
    assert not wire.usable


@given(st.binary(max_size=300) | st.text("\r\n.a", max_size=40).map(str.encode))
def test_a_stuffed_body_ends_once_and_unstuffs_to_the_same_lines(content: bytes) -> None:
    body = stuffed(content)
    assert body.endswith(b".\r\n")
    assert (b"\r\n" + body).count(b"\r\n.\r\n") == 1
    assert body.count(b"\n") == body.count(b"\r") == body.count(b"\r\n")
    inside = ("\r\n" + body[:-3].decode("latin-1")).replace("\r\n.", "\r\n")[2:]
    normal = content.decode("latin-1").replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")
    assert inside == normal or inside == normal + "\r\n"
