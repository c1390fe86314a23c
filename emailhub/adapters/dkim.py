"""Signing mail (DKIM: RFC 6376, Ed25519 of RFC 8463), so that whoever receives it knows who vouches for it."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

LEAST_BITS = 2048
"""RFC 8301 §3.2: shorter RSA keys are no longer trusted."""
ALWAYS = (b"From", b"To", b"Subject", b"Date")
"""Signed once more than they are there: nobody can add another one for readers to see instead (RFC 6376 §8.15)."""
WHERE_PRESENT = (
    b"Cc",
    b"Reply-To",
    b"Message-ID",
    b"MIME-Version",
    b"Content-Type",
    b"Content-Transfer-Encoding",
    b"List-Unsubscribe",
    b"List-Unsubscribe-Post",
)
SLICE = 512 * 1024
"""Bytes of a body that are looked at in one go."""
_LINE = 72
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_BLANKS = re.compile(rb"[ \t]+")
_BLANK_END = re.compile(rb" (?=\r\n)")
_SELECTOR = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*")

PrivateKey = RSAPrivateKey | Ed25519PrivateKey


class BadKey(ValueError):
    """A key that cannot sign; the text names its domain and selector and says what to do."""


class DkimKey(msgspec.Struct, frozen=True):
    """The key that signs for `domain` and its sub-domains; its public half is the TXT record of the name
    `selector`._domainkey.`domain`. `pem` is PKCS#8 or PKCS#1, without a password.
    """

    domain: str
    selector: str
    pem: str

    def __repr__(self) -> str:
        return f"DkimKey({self.selector}._domainkey.{self.domain})"


def load(key: DkimKey) -> PrivateKey:
    """The private key of `key`. Raises BadKey."""
    where = f"the DKIM key {key.selector} of {key.domain}"
    if not _SELECTOR.fullmatch(key.selector):
        raise BadKey(f"{where} has no valid selector: letters, digits and hyphens, with dots between them")
    try:
        private = load_pem_private_key(key.pem.encode(), password=None)
    except TypeError:
        raise BadKey(f"{where} has a password; write it without: openssl pkey -in key.pem -out open.pem") from None
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey(f"{where} is no private key in PEM form that can be read") from None
    if isinstance(private, RSAPrivateKey):
        if private.key_size < LEAST_BITS:
            raise BadKey(f"{where} has {private.key_size} bits; RSA needs {LEAST_BITS} at least")
        return private
    if isinstance(private, Ed25519PrivateKey):
        return private
    raise BadKey(f"{where} is neither an RSA nor an Ed25519 key")


def record(private: PrivateKey) -> str:
    """The value of the TXT record that lets receivers check what `private` signs (RFC 6376 §3.6.1, RFC 8463 §4)."""
    public = private.public_key()
    if isinstance(private, Ed25519PrivateKey):
        return f"v=DKIM1; k=ed25519; p={b64encode(public.public_bytes(Encoding.Raw, PublicFormat.Raw)).decode()}"
    der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return f"v=DKIM1; k=rsa; p={b64encode(der).decode()}"


class Signer:
    """Signs with the keys of the sender's domain, else of its nearest parent that has any; several make several
    signatures. `now` gives unix seconds. Raises BadKey.
    """

    def __init__(self, keys: Sequence[DkimKey], *, now: Callable[[], float]) -> None:
        self._now = now
        self._keys: dict[str, list[_Key]] = {}
        for key in keys:
            self._keys.setdefault(key.domain.lower(), []).append(_Key(key))

    def sign(self, content: bytes, domain: str) -> bytes:
        """`content`, a message with CRLF line ends from an address in `domain`, with its signatures in front.

        As it is when there is no key for `domain`. The signature covers the whole body; nothing may be changed after it
        but the order of fields that are not signed.
        """
        keys = self._for(domain)
        if not keys:
            return content
        head = content.find(b"\r\n\r\n")
        head = len(content) if head < 0 else head
        fields = _FIELD_END.split(content[:head])
        digest = body_hash(content, head + 4)
        at = int(self._now())
        return b"".join((*(key.signature(fields, digest, at) for key in keys), content))

    def costs(self, domain: str) -> bool:
        """Whether a signature for `domain` takes so long that it belongs in a thread.

        RSA-2048 takes 0.7 ms, of which nearly all runs without the interpreter's lock; Ed25519 takes 0.04 ms, less than
        the way to a thread and back.
        """
        return any(key.slow for key in self._for(domain))

    def _for(self, domain: str) -> list[_Key]:
        while domain:
            if keys := self._keys.get(domain):
                return keys
            domain = domain.partition(".")[2]
        return []


class _Key:
    def __init__(self, key: DkimKey) -> None:
        self._private = load(key)
        self._domain = key.domain.lower()
        self._selector = key.selector
        self.slow = isinstance(self._private, RSAPrivateKey)

    def signature(self, fields: Sequence[bytes], digest: str, at: int) -> bytes:
        """The whole field with its CRLF."""
        signed, names = _chosen(fields)
        algorithm = "rsa-sha256" if self.slow else "ed25519-sha256"
        start = (
            f"DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n"
            f" d={self._domain}; s={self._selector}; t={at};\r\n"
            f"{_folded_names(names)}\r\n bh={digest};\r\n b="
        ).encode()
        data = b"".join([relaxed_field(field) + b"\r\n" for field in signed]) + relaxed_field(start)
        code = b64encode(self._sign(data)).decode()
        return start + "\r\n ".join([code[at : at + _LINE] for at in range(0, len(code), _LINE)]).encode() + b"\r\n"

    def _sign(self, data: bytes) -> bytes:
        if isinstance(self._private, RSAPrivateKey):
            return self._private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        # RFC 8463 §3: what is signed is the SHA-256 of the data.
        return self._private.sign(sha256(data).digest())


def _chosen(fields: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """The fields to sign, each name's last one first (RFC 6376 §5.4.2), and the names for the tag h=."""
    by_name: dict[bytes, list[bytes]] = {}
    for field in fields:
        by_name.setdefault(field.partition(b":")[0].strip(b" \t").lower(), []).append(field)
    signed: list[bytes] = []
    names: list[bytes] = []
    for name in (*ALWAYS, *WHERE_PRESENT):
        found = by_name.get(name.lower(), [])
        if found or name in ALWAYS:
            signed += reversed(found)
            names += [name] * (len(found) + 1)
    return signed, names


def _folded_names(names: Sequence[bytes]) -> str:
    lines, line = [], " h="
    for name in names:
        if len(line) + len(name) + 1 > _LINE:
            lines.append(line)
            line = "  "
        line += f"{name.decode()}:"
    return "\r\n".join([*lines, f"{line[:-1]};"])


def relaxed_field(field: bytes) -> bytes:
    """A header field in the relaxed form, without a final CRLF (RFC 6376 §3.4.2)."""
    name, _, value = field.partition(b":")
    return name.strip(b" \t").lower() + b":" + _BLANKS.sub(b" ", value.replace(b"\r\n", b"")).strip(b" ")


def body_hash(content: bytes, start: int) -> str:
    """The hash of the body that begins at `start`, as the tag bh= has it.

    The body counts in the relaxed form: no blanks at line ends, runs of them one space, no empty lines at the end
    (RFC 6376 §3.4.4). Slice by slice, as megabytes at once would stall the event loop from any thread.
    """
    hasher, held, empty = sha256(), 0, True
    while start < len(content):
        end = content.find(b"\n", start + SLICE) + 1 or len(content)
        piece = _relaxed(content[start:end])
        kept = _without_empty_lines(piece)
        if kept:
            hasher.update(b"\r\n" * held + kept)
            held, empty = 0, False
        # Ends of lines wait until something follows them.
        held += (len(piece) - len(kept)) // 2
        start = end
    if not empty:
        hasher.update(b"\r\n")
    return b64encode(hasher.digest()).decode()


def _relaxed(lines: bytes) -> bytes:
    # Most bodies have no tab and no two spaces in a row, and looking costs less than replacing.
    if b"\t" in lines or b"  " in lines:
        lines = _BLANKS.sub(b" ", lines)
    if b" \r\n" in lines:
        lines = _BLANK_END.sub(b"", lines)
    return lines.rstrip(b" ") if lines.endswith(b" ") else lines


def _without_empty_lines(lines: bytes) -> bytes:
    end = len(lines)
    while lines.endswith(b"\r\n", 0, end):
        end -= 2
    return lines[:end]
