"""The rows of a b-tree page: its cells, their overflow pages, and the values in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from emailhub.adapters.sqlite.salvage.pages import Pages

Value = None | int | float | str | bytes
TABLE_LEAF, TABLE_BRANCH, INDEX_LEAF, INDEX_BRANCH = 0x0D, 0x05, 0x0A, 0x02
_BRANCHES = (TABLE_BRANCH, INDEX_BRANCH)
_INDEXES = (INDEX_LEAF, INDEX_BRANCH)
_FILE_HEADER = 100
_LONGEST = 1 << 31


class Unreadable(Exception):
    """A page, a cell or a value is not what the format asks for."""


class Row(NamedTuple):
    """The stored `values`, and the rowid where the table has one."""

    rowid: int | None
    values: tuple[Value, ...]


class Page(NamedTuple):
    """A b-tree page: its kind, where its cells begin, and the last child of a branch."""

    kind: int
    data: bytes
    cells: tuple[int, ...]
    last: int


def page_of(pages: Pages, number: int) -> Page | None:
    """The page as a page of a b-tree, or None when it is none."""
    data, at = pages.read(number), _FILE_HEADER if number == 1 else 0
    if len(data) != pages.size or data[at] not in (*_BRANCHES, TABLE_LEAF, INDEX_LEAF):
        return None
    begin = at + (12 if data[at] in _BRANCHES else 8)
    count = int.from_bytes(data[at + 3 : at + 5], "big")
    end = begin + 2 * count
    if end > pages.usable:
        return None
    cells = struct.unpack(f">{count}H", data[begin:end])
    if any(not end <= cell < pages.usable for cell in cells):
        return None
    last = int.from_bytes(data[at + 8 : at + 12], "big") if data[at] in _BRANCHES else 0
    return Page(data[at], data, cells, last)


def children(page: Page) -> Iterator[int]:
    """The numbers of the pages below a branch."""
    if page.kind in _BRANCHES:
        yield from (int.from_bytes(page.data[cell : cell + 4], "big") for cell in page.cells)
        yield page.last


def rows(pages: Pages, page: Page) -> Iterator[Row | None]:
    """The rows on the page; None for each that cannot be read."""
    if page.kind == TABLE_BRANCH:
        return
    for cell in page.cells:
        try:
            yield _row(pages, page, cell)
        except (Unreadable, IndexError, struct.error, UnicodeDecodeError):
            yield None


def _row(pages: Pages, page: Page, at: int) -> Row:
    at += 4 if page.kind == INDEX_BRANCH else 0
    length, at = _varint(page.data, at)
    rowid = None
    if page.kind == TABLE_LEAF:
        unsigned, at = _varint(page.data, at)
        rowid = unsigned - (1 << 64) if unsigned >> 63 else unsigned
    return Row(rowid, tuple(_values(_payload(pages, page, at, length))))


def _payload(pages: Pages, page: Page, at: int, length: int) -> bytes:
    if length > _LONGEST:
        raise Unreadable
    here = _local(length, pages.usable, page.kind)
    found = [page.data[at : at + here]]
    missing = length - here
    following = int.from_bytes(page.data[at + here : at + here + 4], "big") if missing else 0
    while missing:
        data = pages.read(following) if 0 < following <= pages.count else b""
        if len(data) != pages.size:
            raise Unreadable
        some = data[4 : min(pages.usable, 4 + missing)]
        missing -= len(some)
        following = int.from_bytes(data[:4], "big")
        found.append(some)
    if following:
        raise Unreadable  # the chain does not end where the row does: one of its pages is not what was written
    payload = b"".join(found)
    if len(payload) != length:
        raise Unreadable
    return payload


def _local(length: int, usable: int, kind: int) -> int:
    """How many bytes of a payload are on the page itself."""
    least = (usable - 12) * 32 // 255 - 23
    most = (usable - 12) * 64 // 255 - 23 if kind in _INDEXES else usable - 35
    if length <= most:
        return length
    here = least + (length - least) % (usable - 4)
    return here if here <= most else least


def _values(payload: bytes) -> Iterator[Value]:
    end, at = _varint(payload, 0)
    body = end
    while at < end:
        kind, at = _varint(payload, at)
        value, body = _value(payload, body, kind)
        yield value
    if at != end or body != len(payload):
        raise Unreadable


_WHOLE = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def _value(payload: bytes, at: int, kind: int) -> tuple[Value, int]:
    if kind == 0:
        return None, at
    if kind in (8, 9):
        return kind - 8, at
    if kind in _WHOLE:
        end = at + _WHOLE[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if kind < 12:
        raise Unreadable
    end = at + (kind - 12) // 2
    raw = payload[at:end]
    return (raw.decode() if kind % 2 else raw), end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(8):
        byte = data[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | data[at + 8], at + 9
