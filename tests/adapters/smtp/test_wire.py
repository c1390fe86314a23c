"""Reading replies and writing bodies, whatever pieces they come and go in."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.adapters.smtp.batch import Batch
from emailhub.adapters.smtp.body import stuffed
from emailhub.adapters.smtp.replies import ReplyReader
from emailhub.adapters.smtp.wire import CHUNK, Lost, Wire
from emailhub.core.reply import Reply


class Sink(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self, written: list[bytes] | None = None) -> None:
        super().__init__()
        self.written: list[bytes] = [] if written is None else written
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


@given(st.integers(200, 599), st.text("25.1 \t\x00é-a", max_size=24) | st.text(max_size=24))
def test_a_reply_of_one_line_means_the_same_read_quickly_and_thoroughly(code: int, text: str) -> None:
    line = f"{code} {text}".replace("\n", " ").replace("\r", " ")
    quickly = ReplyReader().feed(f"{line}\r\n".encode())
    slowly = ReplyReader()
    pieces = [slowly.feed(bytes([byte])) for byte in f"{line}\r\n".encode()]
    assert list(quickly) == [reply for piece in pieces for reply in piece]


@given(
    st.lists(st.sampled_from((b"250 2.1.0 Ok\r\n", b"354 go\n", b"250-a\r\n250 b\r\n", b"550 5.1.1\r\n")), max_size=4)
)
def test_replies_that_come_together_are_those_that_come_one_by_one(pieces: list[bytes]) -> None:
    apart, together = ReplyReader(), ReplyReader()
    singly = [reply for piece in pieces for reply in apart.feed(piece)]
    assert list(together.feed(b"".join(pieces))) == singly
    assert not together.halfway


async def test_what_is_said_in_one_turn_is_written_when_it_ends_in_the_order_it_was_said() -> None:
    batch, written = Batch(), list[bytes]()
    wires = [Wire(batch), Wire(batch)]
    for wire in wires:
        wire.connection_made(Sink(written))
    wires[0].command(b"1")
    wires[1].command(b"2")
    wires[0].command(b"3")
    assert written == []
    await asyncio.sleep(0)
    assert written == [b"1", b"2", b"3"]


async def test_what_was_said_before_a_large_body_or_a_goodbye_is_written_before_it() -> None:
    wire, sink = wired()
    wire.command(b"MAIL\r\n")
    await wire.body(b"z" * (CHUNK + 1), 1.0, 1e6, lambda: None)
    wire.command(b"RSET\r\n")
    wire.quit()
    assert b"".join(sink.written) == b"MAIL\r\n" + b"z" * (CHUNK + 1) + b"RSET\r\nQUIT\r\n"


async def test_nothing_is_written_to_a_connection_that_closed_within_the_turn() -> None:
    wire, sink = wired()
    wire.command(b"MAIL\r\n")
    wire.abort()
    await asyncio.sleep(0)
    assert sink.written == []


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
