"""An attempt as a timed conversation: what was said when, how long each stage took, what each recipient was told."""

from __future__ import annotations

from itertools import groupby

from msgspec import Struct

from emailhub.core.delivery import State
from emailhub.core.records import AttemptRecord, AttemptResult
from emailhub.core.verdict import Kind, Line
from emailhub.web.pages import words

RELEASED = "released"
"""The kind of a result whose attempt ended before anything could be delivered."""
_FREE = frozenset({Kind.RELAY.value, Kind.SENDER.value, RELEASED})
"""These use up no attempt."""
_ARROWS = {"client": "›", "server": "‹", "note": "·"}
_PARTS = {
    "connect": "opening",
    "greeting": "opening",
    "ehlo": "opening",
    "tls": "opening",
    "login": "opening",
    "mail": "envelope",
    "rcpt": "envelope",
    "data": "envelope",
    "body": "payload",
    "final": "final",
    "final reply": "final",
}
"""Which part of the conversation a stage belongs to; the parts are told apart by colour."""
_NARROWEST = 0.8
_STRETCHES = 12
_BODY = " bytes of message"
_GLYPHS = {
    State.SENT: ("ok", "✓"),
    State.FAILED: ("bad", "✕"),
    State.DEFERRED: ("warn", "◷"),
    State.HELD: ("info", "?"),
}
_WORDS = {Kind.PERMANENT.value: "refused", RELEASED: "given back"}


class Talk(Struct, frozen=True):
    """A line of the conversation as shown; `at` is empty where the time is that of the line before.

    `aside` is a remark of ours that belongs to the line; where a body went it is all there is.
    """

    at: str
    side: str
    arrow: str
    text: str
    refusal: bool
    aside: str = ""


class Stretch(Struct, frozen=True):
    """One stage on the bar: where it begins and how wide it is in per cent, which part it belongs to, its length."""

    stage: str
    part: str
    left: float
    width: float
    lasted: str


class Answer(Struct, frozen=True):
    """What an attempt came to for one recipient; `text` is one plain line."""

    address: str
    tone: str
    glyph: str
    word: str
    text: str


def lines(attempt: AttemptRecord) -> tuple[Talk, ...]:
    """The conversation; each time is shown once, and commands that left together are said to."""
    shown, before = list[Talk](), ""
    for side, group in groupby(attempt.transcript, key=_side):
        said = tuple(group)
        for line in said:
            at = f"{line.at:,.0f} ms"
            # No answer came in between, so the server got these at once.
            together = "one write" if side == "client" and line is said[-1] is not said[0] else ""
            refusal = side == "server" and line.text[:1] in {"4", "5"}
            text, aside = _apart(line.text) if side == "client" else (line.text, "")
            aside = ", ".join(filter(None, (aside, together)))
            shown.append(Talk("" if at == before else at, side, _ARROWS[side], text, refusal, aside))
            before = at
    return tuple(shown)


def stretches(attempt: AttemptRecord) -> tuple[Stretch, ...]:
    """The stages side by side, in order; none when they were not measured.

    Where there are many, because a message took several transactions, each is shown once with all its time.
    """
    stages = attempt.session.stages
    if len(stages) > _STRETCHES:
        names = dict.fromkeys(stage for stage, _ in stages)
        stages = tuple((name, sum(took for stage, took in stages if stage == name)) for name in names)
    # A stage too short to be seen is drawn all the same, so the drawn widths are made to fit again.
    total = sum(took for _, took in stages)
    drawn = [max(100 * took / total, _NARROWEST) if total > 0 else 100 / len(stages) for _, took in stages]
    scale = 100 / sum(drawn) if drawn else 0.0
    found, left = [], 0.0
    for (stage, lasted), wide in zip(stages, drawn, strict=True):
        width = wide * scale
        found.append(Stretch(stage, _PARTS.get(stage, "opening"), round(left, 2), round(width, 2), took(lasted)))
        left += width
    return tuple(found)


def answers(attempt: AttemptRecord) -> tuple[Answer, ...]:
    """What each recipient was told, in the order of the envelope."""
    return tuple(_answer(result) for result in attempt.results)


def connection(attempt: AttemptRecord) -> str:
    """Which connection was used: `new connection ses-12`, `connection ses-12, 41st message on it`."""
    session = attempt.session
    name = f"connection {session.id}" if session.id else "connection"
    if session.uses > 1:
        return f"{name}, {_ordinal(session.uses)} message on it"
    return f"new {name}" if session.id else ""


def took(milliseconds: float) -> str:
    """`38 ms`, `0.4 ms` where that says more, `2.40 s`."""
    return f"{milliseconds:.1f} ms" if 0 < milliseconds < 9.95 else words.duration(milliseconds / 1000)


def meaning(text: str, kind: str) -> str:
    """What was found out, and whether that cost an attempt."""
    return f"{text} · attempt not counted" if kind in _FREE else text


def said(result: AttemptResult) -> str:
    """In one word what the attempt came to: `refused` is a failure by the server's word."""
    return _WORDS.get(result.kind, result.state.value)


def _answer(result: AttemptResult) -> Answer:
    tone, glyph = _GLYPHS.get(result.state, ("neutral", "…"))
    return Answer(result.address, tone, glyph, said(result), meaning(result.text, result.kind))


def _apart(text: str) -> tuple[str, str]:
    """The command, and what stands there in place of a body: `BDAT 2386 LAST (2,386 bytes of message)`."""
    if _BODY not in text:
        return text, ""
    command, _, rest = text.rpartition("(") if text.endswith(")") else ("", "", text)
    return command.strip(), rest.removesuffix(")")


def _side(line: Line) -> str:
    return line.side if line.side in _ARROWS else "note"


def _ordinal(count: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th")
    return f"{count}th" if count % 100 in {11, 12, 13} else f"{count}{ending}"
