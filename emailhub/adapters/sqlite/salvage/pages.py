"""The pages of a database file with what its write-ahead log adds, read without SQLite.

The formats are those of https://sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

MAGIC = b"SQLite format 3\0"
_USUAL_SIZE = 4096
_LOG_HEADER = 32
_FRAME_HEADER = 24


class Pages:
    """Page `number` counts from 1. `size` and `usable` in bytes; `headed`: the first page begins as it should."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        header = self._file.read(100)
        self.headed = header.startswith(MAGIC)
        log = _Log(Path(f"{path}-wal"))
        self._logged = log.pages
        self.size = log.size or _size(header)
        # The bytes at the end of each page that SQLite leaves to extensions: none in a file of ours.
        self.usable = self.size
        self.count = max(path.stat().st_size // self.size, log.count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()

    def read(self, number: int) -> bytes:
        """The page, shorter or empty where the file ends. A page the disk cannot read is empty."""
        if number in self._logged:
            return self._logged[number]
        try:
            self._file.seek((number - 1) * self.size)
            return self._file.read(self.size)
        except OSError:
            return b""

    def version(self) -> int | None:
        """The number of the schema (`PRAGMA user_version`), or None when the first page does not tell."""
        first = self.read(1)
        return int.from_bytes(first[60:64], "big") if first.startswith(MAGIC) and len(first) == self.size else None


def _size(header: bytes) -> int:
    size = int.from_bytes(header[16:18], "big")
    size = 65536 if size == 1 else size
    sound = header.startswith(MAGIC) and size >= 512 and not size & (size - 1)
    return size if sound else _USUAL_SIZE


class _Log:
    """What a write-ahead log adds: the `pages` of its whole commits, and how many pages the file then has (`count`)."""

    def __init__(self, path: Path) -> None:
        self.pages: dict[int, bytes] = {}
        self.count = 0
        self.size = 0
        raw = path.read_bytes() if path.exists() else b""
        if len(raw) < _LOG_HEADER or raw[:3] != b"\x37\x7f\x06":
            return
        self._read(raw)

    def _read(self, raw: bytes) -> None:
        order = ">" if raw[3] & 1 else "<"
        size, salts = int.from_bytes(raw[8:12], "big"), raw[16:24]
        sums = _checksum(raw[:24], (0, 0), order)
        if sums != struct.unpack(">2I", raw[24:32]):
            return
        pending: dict[int, bytes] = {}
        for header, page in _frames(raw, size):
            sums = _checksum(page, _checksum(header[:8], sums, order), order)
            if header[8:16] != salts or sums != struct.unpack(">2I", header[16:24]):
                return  # what follows is of an earlier round of the log, or was cut off
            number, count = struct.unpack(">2I", header[:8])
            pending[number] = page
            if count:
                self.pages |= pending
                self.count, self.size = count, size
                pending = {}


def _frames(raw: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    whole = _FRAME_HEADER + size
    for at in range(_LOG_HEADER, len(raw) - whole + 1, whole):
        yield raw[at : at + _FRAME_HEADER], raw[at + _FRAME_HEADER : at + whole]


def _checksum(data: bytes, sums: Sequence[int], order: str) -> tuple[int, int]:
    one, two = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for first, second in zip(words[::2], words[1::2], strict=True):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return one, two
