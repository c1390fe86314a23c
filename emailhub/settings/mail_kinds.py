"""What settings about mail and relays may be: names, domains, rates, keys, and how the chaos relay behaves."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from emailhub.core.address import parse_mailbox
from emailhub.core.chaos import problems
from emailhub.core.errors import InvalidMessage
from emailhub.core.limits import Rate
from emailhub.core.patterns import distinct, domain, pattern, rate, rates_text
from emailhub.core.status import ChaosStatus
from emailhub.settings import kinds, units
from emailhub.settings.kinds import Kind, Raw, scalar, several
from emailhub.settings.secret import Secret

RSA_BITS = 2048
"""RFC 8301 §3.2: verifiers need not accept shorter ones for long."""

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII | re.IGNORECASE)
_BUILT_IN = frozenset({"capture", "chaos"})
_PERCENT = re.compile(r"(\d+(?:\.\d+)?)\s*%", re.ASCII)
_ODDS = ("transient", "permanent", "drop", "slow")


class CaFile(msgspec.Struct, frozen=True):
    """A file of certificates: its `path`, and the `digest` of what it held when the settings were read.

    Certificates are renewed under the same name: without the digest a reload would see no difference.
    """

    path: Path
    digest: str

    def __str__(self) -> str:
        return str(self.path)


def _ca(text: str) -> CaFile:
    path = Path(text)
    if not path.is_file():
        raise ValueError("there is no such file")
    try:
        return CaFile(path, hashlib.sha256(path.read_bytes()).hexdigest())
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("small letters, digits and hyphens, at most 32, the first no hyphen")
    if text in _BUILT_IN:
        raise ValueError(f"{text} is the name of a relay that is built in")
    return text


def _address(text: str) -> str:
    try:
        mailbox = parse_mailbox(text, field="it", allow_local=True)
    except InvalidMessage as error:
        raise ValueError("; ".join(f"it {problem.message}" for problem in error.problems)) from None
    if mailbox.name or text.endswith(">"):
        raise ValueError("the bare address, without a name")
    return mailbox.address


def _recipient(text: str) -> str:
    local, at, name = text.rpartition("@")
    if "*" in local:
        raise ValueError(f"{text!r}: for everybody at a domain write the domain alone: {name}")
    return _address(text) if at else pattern(text)


def _rates(raw: Raw) -> tuple[Rate, ...]:
    return distinct(several(rate)(raw))


def _selector(text: str) -> str:
    if len(text) > 63 or not _SELECTOR.fullmatch(text):
        raise ValueError("letters, digits, hyphens and dots: it becomes part of a DNS name")
    return text


def _pem(raw: Raw) -> Secret:
    if not isinstance(raw, str):
        raise ValueError("one text, not several")
    try:
        key = load_pem_private_key(raw.encode(), password=None)
    except TypeError:
        raise ValueError(
            "the key has a password; write it without one: openssl pkey -in key.pem -out open.pem"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError("not a private key that can be read") from None
    if isinstance(key, RSAPrivateKey):
        if key.key_size < RSA_BITS:
            raise ValueError(f"an RSA key of {key.key_size} bits; at least {RSA_BITS} are needed")
    elif not isinstance(key, Ed25519PrivateKey):
        raise ValueError("neither an RSA nor an Ed25519 key")
    return Secret(raw)


def _chaos(raw: Raw) -> ChaosStatus:
    values: dict[str, float] = {}
    for item in several(str)(raw):
        name, _, text = (part.strip() for part in item.partition("="))
        if name in values:
            raise ValueError(f"{name} is there twice")
        values[name] = _behaviour(name, text)
    status = ChaosStatus(**values)
    if wrong := problems(status):
        raise ValueError(wrong[0].message)
    return status


def _behaviour(name: str, text: str) -> float:
    if name == "delay":
        return units.duration(text)
    if name not in _ODDS:
        raise ValueError(f"{name!r} is none of {', '.join(_ODDS)}, delay")
    match = _PERCENT.fullmatch(text)
    if not match or float(match[1]) > 100:
        raise ValueError(f"{name}: a percentage from 0% to 100%")
    return float(match[1]) / 100


def chaos_text(chaos: ChaosStatus) -> str:
    """As EMAILHUB_CHAOS writes it; what never happens is left out."""
    values: dict[str, Any] = msgspec.structs.asdict(chaos)
    parts = [f"{name}={values[name] * 100:g}%" for name in _ODDS if values[name]]
    return ",".join([*parts, f"delay={units.duration_text(chaos.delay)}"])


def _token_url(text: str) -> str:
    kinds.check_url(text, ("https", "http"))
    if text.lower().startswith("http://") and not _is_loopback(urlsplit(text).hostname or ""):
        raise ValueError("secrets travel to it: it must begin with https:// (http:// only on this machine)")
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


NAME = Kind("name", "a name such as ses or my-relay", scalar(_name))
DOMAIN = Kind("domain", "a domain such as example.com", scalar(domain))
DOMAINS = Kind("list of domains", "domains such as example.com or *.example.com", several(pattern), ", ".join)
PATTERN = Kind("domain", "a domain such as example.com, or *.example.com for its sub-domains", scalar(pattern))
ADDRESS = Kind("address", "one address such as staging@example.com", scalar(_address))
RECIPIENTS = Kind(
    "list of addresses and domains",
    "addresses and domains such as ann@example.com, example.com or *.example.com",
    several(_recipient),
    ", ".join,
)
RATES = Kind("list of rates", "rates such as 10/s, 500/hour or 2000/day, one for each span", _rates, rates_text)
SELECTOR = Kind("name", "a DKIM selector such as s1", scalar(_selector))
PEM = Kind(
    "secret",
    f"a private key in PEM form without a password: RSA of {RSA_BITS} bits or more, or Ed25519",
    _pem,
    secret=True,
)
CA = Kind("path", "the path of a file, such as /etc/ssl/private-ca.pem", scalar(_ca))
TOKEN_URL = Kind("URL", "a URL such as https://oauth2.googleapis.com/token", scalar(_token_url))
CHAOS = Kind(
    "list",
    "odds and a delay such as transient=10%,permanent=5%,drop=2%,slow=5%,delay=3s",
    _chaos,
    chaos_text,
)
