"""The suppression list: addresses nothing is sent to, why, and which refusals put one on it."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from emailhub.core.reply import Reply
from emailhub.core.verdict import Kind, Stage

AUTOMATIC = "automatic"
"""The face of entries nobody made: the address refused mail for good."""
NOTE = 500
"""Characters of a note."""


class SuppressionOrigin(StrEnum):
    """Why an address is on the list.

    BOUNCE       mail for it was refused for good.
    COMPLAINT    its owner reported mail as spam.
    UNSUBSCRIBE  its owner wants no more mail.
    MANUAL       somebody decided so.
    """

    BOUNCE = "bounce"
    COMPLAINT = "complaint"
    UNSUBSCRIBE = "unsubscribe"
    MANUAL = "manual"


class Listing(Struct, frozen=True):
    """An address to put on the list. `note` is one line; `message` the id of the message that was refused."""

    address: str
    origin: SuppressionOrigin = SuppressionOrigin.MANUAL
    note: str = ""
    message: str | None = None


class Suppression(Struct, frozen=True, kw_only=True):
    """An address on the list. `face` is http, dashboard, cli or AUTOMATIC, `actor` who put it there, "" nobody.

    `since` in unix seconds (UTC); `message` is the id of the message whose refusal put it there.
    """

    id: int
    address: str
    origin: SuppressionOrigin
    note: str
    face: str
    actor: str
    message: str | None
    since: float


class SuppressionFilter(Struct, frozen=True):
    """Which entries a list shows: those of one `origin`, those with `search` in the address."""

    origin: SuppressionOrigin | None = None
    search: str = ""


class SuppressionPage(Struct, frozen=True):
    """A page of the list, newest first: `older` and `newer` are ids to page from, None at the end."""

    items: tuple[Suppression, ...]
    older: int | None
    newer: int | None


def folded(address: str) -> str:
    """`address` as the list compares it: without regard to upper and lower case of ASCII letters.

    A local part may tell them apart by the letter of RFC 5321 §2.4, and hardly any does: `Ada@` and `ada@` get their
    mail in one mailbox, and whoever wants none there means both.
    """
    return address.encode().lower().decode()


def why(origin: SuppressionOrigin, note: str) -> str:
    """One plain line for a recipient that is on the list."""
    text = f"on the suppression list ({_WORDS[origin]})"
    return f"{text}: {note}" if note else text


_WORDS = {
    SuppressionOrigin.BOUNCE: "refused for good",
    SuppressionOrigin.COMPLAINT: "reported as spam",
    SuppressionOrigin.UNSUBSCRIBE: "unsubscribed",
    SuppressionOrigin.MANUAL: "by hand",
}

# RFC 3463: the mailbox or its domain does not exist, has moved, or is disabled. Not its fullness (5.2.2), its limits
# (5.2.3) or its owner's rules (5.7.x), and nothing about the sender (5.1.7, 5.1.8).
_NO_SUCH_MAILBOX = re.compile(r"5\.1\.(?:1|2|3|6|10)|5\.2\.1")
_VAGUE = frozenset({"", "5.0.0", "5.1.0"})
_SAYS_SO = re.compile(
    r"\b(?:no such|unknown|invalid|nonexistent|non-existent) (?:local )?(?:user|recipient|mailbox|account|address)\b|"
    r"\b(?:user|recipient|mailbox|account|address)(?: \S+)? (?:is )?"
    r"(?:unknown|not found|does not exist|doesn't exist|no longer exists|has been disabled|is disabled|is inactive)\b|"
    r"\bdoesn't have an? \S+ account\b"
)
# Gmail says 5.2.1 also to whoever sends too fast.
_PASSES = re.compile(r"\brate\b|too quickly|too many|temporar|try again|quota")


def bounces(kind: str, stage: Stage, reply: Reply | None, *, alone: bool) -> bool:
    """Whether an attempt's result says that the address itself takes no mail, today or later.

    Content, sender, relay and quota never do. A reply to the whole message speaks of one address only when that was
    the only recipient (`alone`).
    """
    if kind != Kind.PERMANENT or reply is None or not 500 <= reply.code < 600:
        return False
    if not (stage is Stage.RCPT or (stage is Stage.FINAL and alone)):
        return False
    text = reply.text.lower()
    if _PASSES.search(text):
        return False
    if _NO_SUCH_MAILBOX.fullmatch(reply.enhanced):
        return True
    return stage is Stage.RCPT and reply.enhanced in _VAGUE and _SAYS_SO.search(text) is not None
