"""Addresses, parsed once: a mailbox of RFC 5322 without its traps, the domain as A-labels (RFC 5891).

Accepted are `ada@example.org`, `<ada@example.org>`, `Ada Lovelace <ada@example.org>` and `"Lovelace, Ada" <…>`. Not
accepted is everything two parsers have ever read in two ways: source routes, groups, comments, quoted local parts, IP
literals, encoded words in the local part, several addresses in one string.

Domains: any dotted name is accepted, also `.test`, `.local` and `.internal`: the hub resolves no recipient's domain,
the relay does, and teams send to such names while they test. Of the names without a dot only `localhost` is accepted
(`ada@gmail` is nearly always a slip); `allow_local` accepts the others too, for an operator's own settings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import idna

from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.header import unsafe
from emailhub.core.message import Mailbox

LONGEST = 320
"""Characters of an address with its name; checked first, so that no later step sees a long string."""
_LOCAL_OCTETS = 64
_ADDRESS_OCTETS = 254
_DOMAIN_LENGTH = 253

_ATEXT = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\U0010ffff-]"
_LOCAL = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
# What nearly all addresses look like, and nothing that any rule below would change or refuse.
_COMMON = re.compile(
    rf"(?=.{{3,254}}\Z)(?=[^@]{{1,64}}@)[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@(?:{_LABEL}\.)+[a-z]{{2,63}}"
)
_SPECIAL = re.compile(r"[()<>,;]")
_PHRASE = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^"\\()<>\[\]:;@,])*')
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
# Embeddings and overrides make a name read backwards or hide its end; isolates are harmless and common in templates.
_BIDI = re.compile(r"[\u202a-\u202e]")
_EXAMPLE = "write it like ada@example.org or Ada Lovelace <ada@example.org>"


class _BadAddressError(ValueError):
    """Carries the sentence of the problem to the one place that knows the field."""


def parse_mailbox(value: str, *, field: str, allow_local: bool = False) -> Mailbox:
    """The one mailbox `value` holds: address with a lower-case ASCII domain, local part as given (NFC), name unquoted.

    Raises InvalidMessage with one problem of `field`. Takes time linear in LONGEST, whatever `value` is.
    """
    try:
        return _mailbox(value, allow_local)
    except _BadAddressError as error:
        raise InvalidMessage((Problem(field, str(error)),)) from None


def parse_list(value: str | Sequence[object], field: str) -> tuple[Mailbox, ...]:
    """The mailboxes of `value`, one string or a list of strings, in order; duplicates are kept.

    Raises InvalidMessage with a problem per bad item, named `field[0]`, `field[1]` …
    """
    if isinstance(value, str):
        return (parse_mailbox(value, field=field),)
    boxes: list[Mailbox] = []
    problems: list[Problem] = []
    for number, item in enumerate(value):
        name = f"{field}[{number}]"
        if not isinstance(item, str):
            problems.append(Problem(name, f"must be a string: {_EXAMPLE}"))
            continue
        try:
            boxes.append(parse_mailbox(item, field=name))
        except InvalidMessage as error:
            problems += error.problems
    if problems:
        raise InvalidMessage(tuple(problems))
    return tuple(boxes)


def needs_smtputf8(addresses: Sequence[str]) -> bool:
    """Whether any of `addresses` has a non-ASCII local part, so that only an SMTPUTF8 relay can take it (RFC 6531)."""
    return not all(map(str.isascii, addresses))


def _mailbox(value: str, allow_local: bool) -> Mailbox:
    if _COMMON.fullmatch(value) and "xn--" not in value:
        return Mailbox(value)
    if len(value) > LONGEST:
        raise _BadAddressError(f"is {len(value)} characters long; an address with its name has at most {LONGEST}")
    flaw = unsafe(value)
    if flaw:
        raise _BadAddressError(f"contains {flaw}, which must not reach a header; remove it")
    value = value.strip(" ")
    if not value:
        raise _BadAddressError(f"is empty; {_EXAMPLE}")
    if "<" not in value or not value.endswith(">"):
        return Mailbox(_address(value, allow_local))
    phrase, _, address = value[:-1].rpartition("<")
    name = _name(phrase.strip(" "))
    return Mailbox(_address(address.strip(" "), allow_local), name)


def _name(phrase: str) -> str:
    if not _PHRASE.fullmatch(phrase):
        raise _BadAddressError(_phrase_flaw(phrase))
    if '"' in phrase:
        phrase = _QUOTED.sub(lambda quoted: _ESCAPE.sub(r"\1", quoted[1]), phrase)
    if _BIDI.search(phrase):
        raise _BadAddressError("has a name with a character that turns the writing direction (U+202A to U+202E)")
    return phrase.strip(" ")


def _phrase_flaw(phrase: str) -> str:
    if "<" in phrase or "," in phrase or ";" in phrase:
        return 'looks like several addresses; give a list of them, or put the name in quotes: "Lovelace, Ada" <…>'
    if "(" in phrase or ")" in phrase:
        return 'has a comment in parentheses, which is not accepted; put the name in quotes: "Ada (Sales)" <…>'
    return 'has a name with one of " \\ [ ] : @ in it; put the name in quotes: "Ada: Sales" <ada@example.org>'


def _address(value: str, allow_local: bool) -> str:
    local, at, domain = value.rpartition("@")
    if not at or not domain or not _LOCAL.fullmatch(local) or _SPECIAL.search(domain):
        raise _BadAddressError(_address_flaw(value, local, domain))
    if "=?" in local:
        # A local part may legally spell an encoded word; a reader that decodes it would see other characters.
        raise _BadAddressError("has =? before the @, which mail programs read as encoded text; it is not accepted")
    local = _local(local)
    address = f"{local}@{_domain(domain, allow_local)}"
    if len(address.encode()) > _ADDRESS_OCTETS:
        raise _BadAddressError(f"is longer than {_ADDRESS_OCTETS} octets, the longest address SMTP carries")
    return address


def _address_flaw(value: str, local: str, domain: str) -> str:
    """Why `value` is no address, for people: the first of the usual mistakes that it shows."""
    mistakes = {
        "has a comment in parentheses, which is not accepted; leave it out": "(" in value or ")" in value,
        f"has angle brackets in the wrong place; {_EXAMPLE}": "<" in value or ">" in value,
        "is a source route or begins with @, which is not accepted; leave the route out": value.startswith("@"),
        'has a quoted part before the @ ("a b"@…), which is not accepted': local.startswith('"'),
        "is an address group or a URI, which is not accepted; list the addresses": ":" in local or ";" in value,
        "holds several addresses; give a list with one address each": "@" in local or "," in value,
        f"is not an address; {_EXAMPLE}": not local or not domain,
        f"has a space before the @; {_EXAMPLE}": " " in local,
        "has a dot at the start or end, or two in a row, before the @": "." in (local[:1], local[-1:]) or ".." in local,
    }
    return next((text for text, made in mistakes.items() if made), "has a character before the @ that none can hold")


def _local(local: str) -> str:
    if not local.isascii():
        local = unicodedata.normalize("NFC", local)
        odd = next((c for c in local if not c.isascii() and unicodedata.category(c)[0] in "CZ"), None)
        if odd or unicodedata.combining(local[0]):
            raise _BadAddressError(f"has U+{ord(odd or local[0]):04X} before the @, which an address cannot hold there")
    if len(local.encode()) > _LOCAL_OCTETS:
        raise _BadAddressError(f"has more than {_LOCAL_OCTETS} octets before the @, the most SMTP carries")
    return local


def _domain(domain: str, allow_local: bool) -> str:
    if domain.startswith("["):
        raise _BadAddressError("has an IP address instead of a domain, which is not accepted; use a domain name")
    name = domain.lower()
    if not name.isascii() or "xn--" in name:
        name = _a_labels(domain)
    if not _DOMAIN.fullmatch(name) or len(name) > _DOMAIN_LENGTH:
        raise _BadAddressError(
            "has no valid domain after the @: letters, digits, hyphens and dots, at most 253 characters"
        )
    _, dot, last = name.rpartition(".")
    if last.isdigit():
        raise _BadAddressError("has a domain that ends in a number; use a domain name, not an IP address")
    if not dot and name != "localhost" and not allow_local:
        raise _BadAddressError(
            "has a domain without a dot; write it in full, such as example.org (localhost is accepted)"
        )
    return name


def _a_labels(domain: str) -> str:
    try:
        return idna.encode(domain, uts46=True).decode("ascii").lower()
    except UnicodeError:
        raise _BadAddressError("has a domain that is not a valid internationalised name (IDNA 2008)") from None
