"""Signatures, checked by an independent verifier with the very record we tell people to publish."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from functools import cache

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from emailhub.adapters import dkim as ours
from emailhub.adapters.dkim import BadKey, DkimKey, Signer, load, record
from emailhub.core import mime
from emailhub.core.message import Mailbox, Submission

NOW = 1_700_000_000.7
FROM = Mailbox("news@example.com", "Ada Lovelace")


def _pem(
    key: rsa.RSAPrivateKey | Ed25519PrivateKey | ec.EllipticCurvePrivateKey,
    format: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(Encoding.PEM, format, encryption or NoEncryption()).decode()


@cache
def rsa_pem(bits: int = 2048) -> str:
    return _pem(rsa.generate_private_key(65537, bits))


ED_PEM = _pem(Ed25519PrivateKey.generate())


def keys(*pems: str, domain: str = "example.com") -> list[DkimKey]:
    return [DkimKey(domain, f"s{number}", pem) for number, pem in enumerate(pems, 1)]


def signer(*given: DkimKey) -> Signer:
    return Signer(given, now=lambda: NOW)


def verified(message: bytes, given: list[DkimKey]) -> int:
    """How many signatures the message has, all of them right."""
    zone = {f"{key.selector}._domainkey.{key.domain}.".encode(): record(load(key)).encode() for key in given}

    def lookup(name: bytes, timeout: int = 5) -> bytes | None:
        return zone.get(name)

    verifier = dkim.DKIM(message)
    count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)
    assert all(verifier.verify(idx=number, dnsfunc=lookup) for number in range(count))
    return count


def message(**given: object) -> bytes:
    submission = Submission(**{"to": (Mailbox("bob@example.org"),), "subject": "Hello", "text": "Hi\n"} | given)
    return mime.build(submission, sender=FROM, message_id="<1@example.com>", date=NOW, boundary="b0undary")


def tags(signed: bytes) -> dict[str, str]:
    """The tags of the first signature."""
    field = re.split(rb"\r\n(?![ \t])", signed)[0].decode().partition(":")[2]
    return {
        name.strip(): re.sub(r"\s+", "", value) for name, _, value in (tag.partition("=") for tag in field.split(";"))
    }


@pytest.mark.parametrize("pem", (rsa_pem(), ED_PEM), ids=("rsa", "ed25519"))
def test_an_independent_verifier_accepts_the_signature_and_refuses_any_change(pem: str) -> None:
    given = keys(pem)
    signed = signer(*given).sign(message(), "example.com")
    assert signed.endswith(message())
    assert verified(signed, given) == 1
    for old, new in ((b"Hi", b"Ho"), (b"Subject: Hello", b"Subject: Hallo"), (b"bob@", b"rob@")):
        with pytest.raises((AssertionError, dkim.ValidationError)):
            verified(signed.replace(old, new), given)


def test_nobody_can_add_a_second_from_subject_date_or_to() -> None:
    given = keys(ED_PEM)
    signed = signer(*given).sign(message(), "example.com")
    for field in (b"From: x@evil.test", b"Subject: Other", b"Date: now", b"To: x@evil.test", b"MIME-Version: 1.0"):
        for forged in (field + b"\r\n" + signed, signed.replace(b"\r\n\r\n", b"\r\n" + field + b"\r\n\r\n", 1)):
            try:
                assert not dkim.verify(forged, dnsfunc=lambda *_, **__: record(load(given[0])).encode())
            except dkim.DKIMException:
                continue  # refused as malformed, which is as good


def test_what_is_signed_and_how_is_in_the_tags_and_the_whole_body_is() -> None:
    unsubscribe = (("List-Unsubscribe", "<https://x.test/u>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    content = message(cc=(Mailbox("cid@example.org"),), reply_to=(Mailbox("re@example.com"),), headers=unsubscribe)
    said = tags(signer(*keys(rsa_pem())).sign(content, "example.com"))
    assert {name: said[name] for name in ("v", "a", "c", "d", "s", "t")} == {
        "v": "1",
        "a": "rsa-sha256",
        "c": "relaxed/relaxed",
        "d": "example.com",
        "s": "s1",
        "t": "1700000000",
    }
    assert "l" not in said
    names = said["h"].split(":")
    signed_twice = {name for name in names if names.count(name) == 2}
    assert signed_twice >= {
        "From", "To", "Subject", "Date", "Cc", "Reply-To", "Message-ID", "MIME-Version", "Content-Type",
        "List-Unsubscribe", "List-Unsubscribe-Post",
    }  # fmt: skip
    assert set(names) == signed_twice
    assert len(b64decode(said["b"])) == 256


def test_a_field_that_is_absent_is_signed_as_absent_when_readers_trust_it() -> None:
    names = tags(signer(*keys(ED_PEM)).sign(b"From: a@example.com\r\n\r\nHi\r\n", "example.com"))["h"]
    assert names == "From:From:To:Subject:Date"


def test_several_keys_of_a_domain_make_several_signatures() -> None:
    given = keys(rsa_pem(), ED_PEM)
    assert verified(signer(*given).sign(message(), "example.com"), given) == 2


@pytest.mark.parametrize(
    ("sender", "signed_by"),
    (
        ("example.com", "example.com"),
        ("mail.example.com", "mail.example.com"),
        ("a.mail.example.com", "mail.example.com"),
        ("other.example.com", "example.com"),
        ("notexample.com", None),
        ("com", None),
        ("example.com.evil.test", None),
    ),
)
def test_the_nearest_domain_with_a_key_signs_and_never_a_stranger(sender: str, signed_by: str | None) -> None:
    both = signer(*keys(ED_PEM), *keys(ED_PEM, domain="mail.Example.com"))
    signed = both.sign(message(), sender)
    if signed_by is None:
        assert signed == message()
    else:
        assert tags(signed)["d"] == signed_by


def test_only_rsa_is_worth_a_thread() -> None:
    assert signer(*keys(rsa_pem())).costs("x.example.com")
    assert not signer(*keys(ED_PEM)).costs("example.com")
    assert not signer(*keys(rsa_pem())).costs("example.org")


@pytest.mark.parametrize("ending", (b"", b"\r\n", b"\r\n\r\n\r\n", b" \t \r\n \r\n\r\n"))
@pytest.mark.parametrize("body", (b"", b"Hi", b"  Hi \t there  \r\n\r\n .\r\nend", b"\tx\t\t y"))
def test_blanks_and_empty_lines_in_the_body_are_read_as_the_verifier_reads_them(body: bytes, ending: bytes) -> None:
    given = keys(ED_PEM)
    content = b"From: a@example.com\r\nSubject: x\r\n\r\n" + body + ending
    if content.endswith((b" ", b"\t")):
        content += b"\r\n"
    assert verified(signer(*given).sign(content, "example.com"), given) == 1


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from((b"\r\n", b" ", b"\t", b"a", b"\n", b"\r")), max_size=30), st.integers(1, 20))
def test_wherever_slices_of_a_body_end_its_hash_is_that_of_the_whole(pieces: list[bytes], size: int) -> None:
    content = b"".join(pieces)
    whole = ours.body_hash(content, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "SLICE", size)
        assert ours.body_hash(content, 0) == whole


@pytest.mark.parametrize(
    "head",
    (
        b"From: a@example.com\r\nSubject:  a \t b\r\n   folded\r\n\tand again  \r\n",
        b"from:a@example.com\r\nSUBJECT:x\r\n",
        b"From: a@example.com\r\nSubject: " + b"long " * 190 + b"\r\n",
        b"From: a@example.com\r\nSubject:\r\n",
        b"From: a@example.com\r\nSubject: one\r\nSubject: two\r\n",
        "From: jörg@example.com\r\nSubject: é\r\n".encode(),
    ),
)
def test_odd_headers_are_read_as_the_verifier_reads_them(head: bytes) -> None:
    given = keys(ED_PEM, rsa_pem())
    assert verified(signer(*given).sign(head + b"\r\nHi\r\n", "example.com"), given) == 2


_PRINTABLE = st.text(st.characters(min_codepoint=32, exclude_categories=("C", "Zl", "Zp")), max_size=300)
_TEXTS = st.one_of(_PRINTABLE, st.text(st.sampled_from(" \t\r\n.=-éA"), max_size=300))


@settings(max_examples=40, deadline=None)
@given(subject=_PRINTABLE, text=_TEXTS, html=st.none() | _TEXTS, name=_PRINTABLE, copies=st.integers(0, 30))
def test_whatever_a_message_holds_its_signatures_are_right(
    subject: str, text: str, html: str | None, name: str, copies: int
) -> None:
    given = keys(rsa_pem(), ED_PEM)
    content = message(
        subject=subject,
        text=text,
        html=html,
        to=(Mailbox("bob@example.org", name),),
        cc=tuple(Mailbox(f"c{number}@example.org", name[:20]) for number in range(copies)),
    )
    signed = signer(*given).sign(content, "example.com")
    assert verified(signed, given) == 2
    head = signed[: len(signed) - len(content)]
    assert all(len(line) <= 78 for line in head.split(b"\r\n"))
    assert head.isascii()


@pytest.mark.parametrize(
    ("make", "says"),
    (
        (lambda: rsa_pem(1024), "has 1024 bits; RSA needs 2048 at least"),
        (lambda: _pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
        (lambda: _pem(Ed25519PrivateKey.generate(), encryption=BestAvailableEncryption(b"x")), "has a password"),
        (lambda: "hello", "no private key in PEM form"),
        (lambda: "", "no private key in PEM form"),
    ),
)
def test_a_key_that_cannot_sign_is_refused_at_start_naming_its_domain(make: Callable[[], str], says: str) -> None:
    with pytest.raises(BadKey, match=says) as caught:
        signer(DkimKey("example.com", "s1", make()))
    assert "the DKIM key s1 of example.com" in str(caught.value)


@pytest.mark.parametrize("selector", ("", "-a", "a b", "a..b", "a\r\nx"))
def test_a_selector_that_is_no_name_is_refused(selector: str) -> None:
    with pytest.raises(BadKey, match="no valid selector"):
        signer(DkimKey("example.com", selector, ED_PEM))


def test_the_older_form_of_rsa_keys_is_read_too_and_keys_print_without_themselves() -> None:
    old = _pem(rsa.generate_private_key(65537, 2048), PrivateFormat.TraditionalOpenSSL)
    assert old.startswith("-----BEGIN RSA PRIVATE KEY-----")
    given = keys(old)
    assert verified(signer(*given).sign(message(), "example.com"), given) == 1
    assert repr(given[0]) == "DkimKey(s1._domainkey.example.com)"
