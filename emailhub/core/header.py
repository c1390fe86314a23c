"""What may reach a header of a message, and how it is written there (RFC 5322 §2.2, RFC 2047).

Nothing in here decodes: a value that looks like an encoded word is encoded itself, so that a reader sees exactly the
characters the sender gave and no decoder can turn them into a line break.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Callable, Iterator, Sequence

from emailhub.core.message import Mailbox

LINE = 78
"""Characters a header line should not exceed (RFC 5322 §2.1.1)."""
HARD = 998
"""Characters a line must not exceed; longer ones are cut or refused on the way."""
_ENCODED_LINE = 76
_WORD = 75
_FRAME = len("=?utf-8?q??=")

_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ATEXT = r"A-Za-z0-9!#$%&'*+/=?^_`{|}~-"
_ATOMS = re.compile(rf"[{_ATEXT}]+(?: [{_ATEXT}]+)*")
# Only a space between two other characters: folding inside a run could leave a line of nothing but white space, which
# some servers take for the end of the headers.
_FOLDABLE = re.compile(r"(?<=[^ ]) (?=[^ ])")
_Q_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
_Q = [chr(b) if b in _Q_PLAIN else "_" if b == 0x20 else f"={b:02X}" for b in range(256)]
# Quotes and two spaces in a row come out differently from one reader to the next.
_QUOTABLE = re.compile(r"[!#-\[\]-~]+(?: [!#-\[\]-~]+)*")
_PERCENT = [
    chr(b) if b in b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_" else f"%{b:02X}"
    for b in range(256)
]
_NAMES = {
    "\r": "a carriage return",
    "\n": "a line feed",
    "\t": "a tab",
    "\x00": "a NUL",
    "\u2028": "a line separator",
    "\u2029": "a paragraph separator",
}


def unsafe(value: str) -> str | None:
    """The first character of `value` that must not reach a header, in words, or None when there is none.

    Unsafe are the C0 and C1 controls (CR, LF, NUL, tab, U+0085 …), DEL, U+2028, U+2029 and lone surrogates.
    """
    if value.isascii() and value.isprintable():
        return None
    found = _UNSAFE.search(value)
    if found is None:
        return None
    char = found.group()
    kind = _NAMES.get(char) or ("a lone surrogate" if "\ud800" <= char <= "\udfff" else "a control character")
    return f"{kind} (U+{ord(char):04X}) at character {found.start() + 1}"


def text(field: str, value: str) -> str:
    """The unstructured header `field`, folded, without the final CRLF; 7-bit whatever the safe `value` holds."""
    value = value.strip(" ")
    line = f"{field}: {value}"
    if value.isascii() and "=?" not in value:
        if len(line) <= LINE:
            return line
        words = _FOLDABLE.split(value)
        if max(map(len, words)) < HARD - len(field) - 2:
            return _fold(field, words, LINE)
    return _fold(field, encoded_words(value, _first_room(field)), _ENCODED_LINE)


def mailboxes(field: str, boxes: Sequence[Mailbox]) -> str:
    """The address header `field`, folded, without the final CRLF. 7-bit unless a local part is not (RFC 6532)."""
    if len(boxes) == 1 and not boxes[0].name:
        return f"{field}: {boxes[0].address}"
    words: list[str] = []
    limit = LINE
    for box in boxes:
        parts = _mailbox(box, _WORD if words else _first_room(field))
        if parts[0].startswith("=?"):
            limit = _ENCODED_LINE
        parts[-1] += ","
        words += parts
    words[-1] = words[-1][:-1]
    return _fold(field, words, limit)


def parameter(name: str, value: str, *, words: bool = False) -> str:
    """`; name="value"` for a structured header, on lines of its own (RFC 2045 §5.1), 7-bit whatever `value` holds.

    What a quoted string cannot hold everywhere is written as RFC 2231 has it, no character cut in two; with `words` as
    an encoded word instead, which is wrong by the standard and the only thing some old mail programs read.
    """
    if _QUOTABLE.fullmatch(value) and "=?" not in value:
        return f';\r\n {name}="{value}"'
    if words:
        room = _ENCODED_LINE - len(name) - len(' =";')
        return f';\r\n {name}="' + "\r\n ".join(encoded_words(value, min(room, _WORD - 1))) + '"'
    room = LINE - len(f" {name}*00*=utf-8'';")
    pieces = ["".join([_PERCENT[b] for b in piece.encode()]) for piece in _pieces(value, _percent_cost, room, room)]
    if len(pieces) == 1:
        return f";\r\n {name}*=utf-8''{pieces[0]}"
    pieces[0] = f"utf-8''{pieces[0]}"
    return "".join([f";\r\n {name}*{number}*={piece}" for number, piece in enumerate(pieces)])


def display(box: Mailbox) -> str:
    """The mailbox for people and lists: `Ada Lovelace <ada@example.org>`, never encoded."""
    return f"{box.name} <{box.address}>" if box.name else box.address


def _mailbox(box: Mailbox, room: int) -> list[str]:
    if not box.name:
        return [box.address]
    angle = f"<{box.address}>"
    if not box.name.isascii() or "=?" in box.name:
        return [*encoded_words(box.name, room), angle]
    if _ATOMS.fullmatch(box.name):
        return [*box.name.split(" "), angle]
    escaped = box.name.replace("\\", "\\\\").replace('"', '\\"')
    return [f'"{escaped}"', angle]


def encoded_words(value: str, room: int) -> list[str]:
    """`value` as encoded words of at most 75 characters, the first at most `room`; no character is cut in two."""
    raw = value.encode()
    costly = len(raw.translate(None, _Q_PLAIN + b" "))
    if len(raw) + 2 * costly <= len(raw) * 4 / 3:
        pieces = _pieces(value, _q_cost, room - _FRAME, _WORD - _FRAME)
        return [f"=?utf-8?q?{''.join([_Q[b] for b in piece.encode()])}?=" for piece in pieces]
    pieces = _pieces(value, _utf8_length, (room - _FRAME) // 4 * 3, (_WORD - _FRAME) // 4 * 3)
    return [f"=?utf-8?b?{b2a_base64(piece.encode(), newline=False).decode()}?=" for piece in pieces]


def _utf8_length(char: str) -> int:
    return len(char.encode())


def _q_cost(char: str) -> int:
    return sum(len(_Q[b]) for b in char.encode())


def _percent_cost(char: str) -> int:
    return sum(len(_PERCENT[b]) for b in char.encode())


def _pieces(value: str, cost: Callable[[str], int], first: int, rest: int) -> Iterator[str]:
    start, used, room = 0, 0, first
    for at, char in enumerate(value):
        price = cost(char)
        if used + price > room:
            yield value[start:at]
            start, used, room = at, 0, rest
        used += price
    yield value[start:]


def _first_room(field: str) -> int:
    room = _ENCODED_LINE - len(field) - 2
    return room if room >= 2 * _FRAME else _WORD


def _fold(field: str, words: Sequence[str], limit: int) -> str:
    """Joins `words` by single spaces, breaking before a word that would make the line longer than `limit`."""
    lines: list[str] = []
    line = f"{field}:"
    for word in words:
        # A first line with nothing after the colon is legal but some servers drop it: only an encoded word that cannot
        # be made shorter than the field's name leaves it empty.
        alone = line == f"{field}:" and not (word.startswith("=?") and len(word) < limit)
        if len(line) + 1 + len(word) > limit and not alone:
            lines.append(line)
            line = ""
        line = f"{line} {word}"
    lines.append(line)
    return "\r\n".join(lines)
