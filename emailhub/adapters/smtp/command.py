"""The commands of a transaction, and what can be refused without asking: no byte of data becomes a command."""

from __future__ import annotations

import re
from collections.abc import Iterable

from emailhub.adapters.smtp.connection import Offers
from emailhub.core.verdict import Envelope, Kind, Stage, Verdict

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")


def mail(envelope: Envelope, offers: Offers) -> str:
    """MAIL with the parameters that the server offers and the message needs."""
    command = f"MAIL FROM:<{envelope.sender}>"
    if offers.size:
        command += f" SIZE={len(envelope.content)}"
    if offers.smtputf8 and _international(envelope):
        command += " SMTPUTF8"
    if offers.eight_bit and not envelope.content.isascii():
        command += " BODY=8BITMIME"
    return command


def rcpt(address: str) -> str:
    """RCPT for one recipient."""
    return f"RCPT TO:<{address}>"


def obstacles(envelope: Envelope, due: Iterable[int], offers: Offers) -> dict[int, Verdict]:
    """The recipients among `due` (indexes) who cannot be reached at a server with these `offers`, each with its reason.

    All of them, for one reason, when it is the message that cannot go.
    """
    addresses = "".join((envelope.sender, *envelope.recipients))
    fits = not 0 < offers.limit < len(envelope.content)
    if fits and addresses.isascii() and not envelope.smtputf8 and _UNSAFE.search(addresses) is None:
        return {}
    refusal = _impossible(envelope, offers)
    return dict.fromkeys(due, refusal) if refusal is not None else _unreachable(envelope, due, offers)


def _impossible(envelope: Envelope, offers: Offers) -> Verdict | None:
    size, utf8 = len(envelope.content), offers.smtputf8
    if _UNSAFE.search(envelope.sender):
        return _refused("the sender's address has a character that no SMTP command may carry")
    if 0 < offers.limit < size:
        return _refused(f"the message has {size:,} bytes and the relay takes {offers.limit:,} at most (SIZE)")
    if not utf8 and not (envelope.sender.isascii() and (envelope.content.isascii() or not envelope.smtputf8)):
        return _refused("the message needs SMTPUTF8 (RFC 6531), which the relay does not offer")
    return None


def _unreachable(envelope: Envelope, due: Iterable[int], offers: Offers) -> dict[int, Verdict]:
    found = {}
    for index in due:
        address = envelope.recipients[index]
        if _UNSAFE.search(address):
            found[index] = _refused("the address has a character that no SMTP command may carry")
        elif not address.isascii() and not offers.smtputf8:
            found[index] = _refused("the address needs SMTPUTF8 (RFC 6531), which the relay does not offer")
    return found


def _international(envelope: Envelope) -> bool:
    return envelope.smtputf8 or not (envelope.sender.isascii() and all(map(str.isascii, envelope.recipients)))


def _refused(text: str) -> Verdict:
    return Verdict(Kind.PERMANENT, Stage.MAIL, text)
