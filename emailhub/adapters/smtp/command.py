"""The commands of a transaction, and what can be refused without asking: no byte of data becomes a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from emailhub.core.verdict import Envelope, Kind, Stage, Verdict

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
_UNSAFE_SENDER = "the sender's address has a character that no SMTP command may carry"
_UNSAFE_RECIPIENT = "the address has a character that no SMTP command may carry"
_MESSAGE_NEEDS_UTF8 = "the message needs SMTPUTF8 (RFC 6531), which the relay does not offer"
_ADDRESS_NEEDS_UTF8 = "the address needs SMTPUTF8 (RFC 6531), which the relay does not offer"


def mail(envelope: Envelope, offers: Mapping[str, str]) -> str:
    """MAIL with the parameters that the server offers and the message needs."""
    command = f"MAIL FROM:<{envelope.sender}>"
    if "size" in offers:
        command += f" SIZE={len(envelope.content)}"
    if "smtputf8" in offers and _international(envelope):
        command += " SMTPUTF8"
    if "8bitmime" in offers and not envelope.content.isascii():
        command += " BODY=8BITMIME"
    return command


def rcpt(address: str) -> str:
    """RCPT for one recipient."""
    return f"RCPT TO:<{address}>"


def impossible(envelope: Envelope, offers: Mapping[str, str]) -> Verdict | None:
    """Why the message as a whole cannot go to a server with these `offers`; None when it can."""
    if _UNSAFE.search(envelope.sender):
        return _refused(_UNSAFE_SENDER)
    limit, size = offers.get("size", ""), len(envelope.content)
    if limit.isdecimal() and 0 < int(limit) < size:
        return _refused(f"the message has {size:,} bytes and the relay takes {int(limit):,} at most (SIZE)")
    if "smtputf8" not in offers and not envelope.sender.isascii():
        return _refused(_MESSAGE_NEEDS_UTF8)
    if envelope.smtputf8 and "smtputf8" not in offers and not envelope.content.isascii():
        return _refused(_MESSAGE_NEEDS_UTF8)
    return None


def unreachable(envelope: Envelope, due: Iterable[int], offers: Mapping[str, str]) -> dict[int, Verdict]:
    """The recipients among `due` (indexes) that no command may name, or none at this server, each with its reason."""
    found = {}
    for index in due:
        address = envelope.recipients[index]
        if _UNSAFE.search(address):
            found[index] = _refused(_UNSAFE_RECIPIENT)
        elif not address.isascii() and "smtputf8" not in offers:
            found[index] = _refused(_ADDRESS_NEEDS_UTF8)
    return found


def _international(envelope: Envelope) -> bool:
    return envelope.smtputf8 or not envelope.sender.isascii() or not all(map(str.isascii, envelope.recipients))


def _refused(text: str) -> Verdict:
    return Verdict(Kind.PERMANENT, Stage.MAIL, text)
