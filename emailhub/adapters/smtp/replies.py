"""From bytes to replies (RFC 5321 §4.2), bounded, whatever pieces they come in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from emailhub.core.reply import Reply

_LONGEST_REPLY = 64 * 1024
_LONGEST_TEXT = 2000
_LONGEST_COMMON = 200
_PLAIN = re.compile(r"([2-5]\d\d) (?:([245]\.\d{1,3}\.\d{1,3}) +)?(\S(?:.*\S)?)\r?\n")
"""A reply in one line, as nearly all are."""
_LINE = re.compile(rb"([1-9]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class ReplyReader:
    """Cuts what arrives into replies.

    One of code -1 stands for what is no reply; `garbled` is then True: nothing after it has a question it belongs to.
    """

    def __init__(self) -> None:
        self.garbled = False
        self._rest = b""
        self._texts: list[bytes] = []
        self._code = b""
        self._size = 0

    @property
    def halfway(self) -> bool:
        """True while a reply has begun and not ended."""
        return bool(self._rest or self._texts)

    def feed(self, data: bytes) -> Sequence[Reply]:
        """Take in what arrived; the replies that are complete with it."""
        if len(data) < _LONGEST_COMMON and not self._rest and not self._texts and (known := _plain(data)):
            return known
        *whole, self._rest = (self._rest + data).split(b"\n")
        found = []
        for line in whole:
            reply = self._take_line(line.rstrip(b"\r"))
            if reply is not None:
                found.append(reply)
                if reply.code < 0:
                    return found
        if self._size + len(self._rest) > _LONGEST_REPLY:
            found.append(self._give_up(b"a reply longer than 64 KiB"))
        return found

    def _take_line(self, line: bytes) -> Reply | None:
        """The reply that ends with this line; None when more of it is to come."""
        found = _LINE.fullmatch(line)
        self._size += len(line)
        if found is None or self._size > _LONGEST_REPLY or self._code not in {b"", found[1]}:
            return self._give_up(line)
        self._texts.append(found[3] or b"")
        self._code = found[1]
        return self._finish(int(found[1])) if found[2] != b"-" else None

    def _finish(self, code: int) -> Reply:
        text = b"\n".join(self._texts)
        self._forget()
        return _reply(code, text)

    def _give_up(self, line: bytes) -> Reply:
        self.garbled = True
        self._rest = b""
        self._forget()
        return Reply(-1, "", _CONTROLS.sub(" ", line[:200].decode("utf-8", "replace")))

    def _forget(self) -> None:
        self._texts.clear()
        self._code = b""
        self._size = 0


def _plain(data: bytes) -> Sequence[Reply]:
    """The replies that `data` is, each in one plain line; none when it takes a closer look."""
    if data.find(b"\n") == len(data) - 1:
        reply = _alone(data)
        return () if reply is None else (reply,)
    return _together(data)


@lru_cache(maxsize=256)
def _together(data: bytes) -> Sequence[Reply]:
    """What answers commands written together comes together, and is the same for message after message."""
    *lines, rest = data.split(b"\n")
    replies = [_alone(line + b"\n") for line in lines]
    return () if rest or None in replies else [reply for reply in replies if reply is not None]


def _alone(line: bytes) -> Reply | None:
    found = _PLAIN.fullmatch(line.decode()) if line.isascii() else None
    # A dot in the second place: an enhanced code without text.
    if found is None or not (text := found[3]).isprintable() or text[1:2] == ".":
        return None
    return Reply(int(found[1]), found[2] or "", text)


def _reply(code: int, text: bytes) -> Reply:
    return Reply.of(code, _CONTROLS.sub(" ", text.decode("utf-8", "replace"))[:_LONGEST_TEXT])
