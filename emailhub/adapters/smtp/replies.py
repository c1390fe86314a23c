"""From bytes to replies (RFC 5321 §4.2), bounded, whatever pieces they come in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from emailhub.core.reply import Reply

_LONGEST_REPLY = 64 * 1024
_LONGEST_TEXT = 2000
_LONGEST_COMMON = 200
_LINE = re.compile(rb"([1-9]\d\d)(?:([ -])(.*))?", re.DOTALL)
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class ReplyReader:
    """Cuts what arrives into replies and hands each to `deliver`.

    `garbled` is called with a reply of code -1 for what is none: after that nothing can be paired with its question.
    """

    def __init__(self, deliver: Callable[[Reply], None], garbled: Callable[[Reply], None]) -> None:
        self._deliver = deliver
        self._garbled = garbled
        self._rest = b""
        self._texts: list[bytes] = []
        self._code = b""
        self._size = 0

    @property
    def halfway(self) -> bool:
        """True while a reply has begun and not ended."""
        return bool(self._rest or self._texts)

    def feed(self, data: bytes) -> None:
        """Take in what arrived."""
        data, self._rest, start = self._rest + data, b"", 0
        while (end := data.find(b"\n", start)) >= 0:
            if not self._take_line(data[start:end].rstrip(b"\r")):
                return
            start = end + 1
        self._rest = data[start:]
        if self._size + len(self._rest) > _LONGEST_REPLY:
            self._give_up(b"a reply longer than 64 KiB")

    def _take_line(self, line: bytes) -> bool:
        """False when it belongs to no reply."""
        if not self._texts and len(line) < _LONGEST_COMMON and (reply := _alone(line)) is not None:
            self._deliver(reply)
            return True
        found = _LINE.fullmatch(line)
        self._size += len(line)
        if found is None or self._size > _LONGEST_REPLY or self._code not in {b"", found[1]}:
            self._give_up(line)
            return False
        self._texts.append(found[3] or b"")
        self._code = found[1]
        if found[2] != b"-":
            self._finish(int(found[1]))
        return True

    def _finish(self, code: int) -> None:
        text = b"\n".join(self._texts)
        self._forget()
        self._deliver(_reply(code, text))

    def _give_up(self, line: bytes) -> None:
        self._rest = b""
        self._forget()
        self._garbled(Reply(-1, "", _CONTROLS.sub(" ", line[:200].decode("utf-8", "replace"))))

    def _forget(self) -> None:
        self._texts.clear()
        self._code = b""
        self._size = 0


@lru_cache(maxsize=512)
def _alone(line: bytes) -> Reply | None:
    """The reply that is this one line; None when it is not one. A server says the same few over and over."""
    found = _LINE.fullmatch(line)
    return None if found is None or found[2] == b"-" else _reply(int(found[1]), found[3] or b"")


def _reply(code: int, text: bytes) -> Reply:
    return Reply.of(code, _CONTROLS.sub(" ", text.decode("utf-8", "replace"))[:_LONGEST_TEXT])
