"""The bytes of a message that is sent again: all as it was, but for what names this very message."""

from email import message_from_bytes, policy

from emailhub.core import mime
from emailhub.core.again import renewed
from emailhub.core.message import Again, Attachment, Mailbox, Submission

ADA, BOB = Mailbox("ada@example.org", "Ada Lovelace"), Mailbox("bob@example.org")
FIRST = Submission(
    to=(ADA,),
    cc=(BOB,),
    subject="A subject so long that it is folded, because a line of a header ends at seventy-eight characters",
    html="<p>Grüße</p>",
    attachments=(Attachment(filename="März.pdf", content=b"%PDF" * 50),),
    headers=(("X-Kind", "invoice"),),
    request_id="r-1",
)


def built(submission: Submission, id: str) -> bytes:
    return mime.build(submission, sender=BOB, message_id=f"<{id}@x>", date=1e9 if id == "1" else 2e9, boundary=id)


def again(content: bytes, *, to: tuple[Mailbox, ...] = (ADA,), renamed: bool = False, kept: bool = True) -> bytes:
    origin = Again(id="1", content=content, renamed=renamed)
    return built(Submission(to=to, subject="", again=origin, request_id="r-1" if kept else None), "2")


def test_only_its_message_id_and_its_date_are_new() -> None:
    first = built(FIRST, "1")
    second = again(first)
    changed = [(old, new) for old, new in zip(first.split(b"\r\n"), second.split(b"\r\n"), strict=True) if old != new]
    assert changed == [
        (b"Date: Sun, 09 Sep 2001 01:46:40 +0000", b"Date: Wed, 18 May 2033 03:33:20 +0000"),
        (b"Message-ID: <1@x>", b"Message-ID: <2@x>"),
    ]


def test_a_signature_over_what_was_does_not_go_along() -> None:
    signed = b"DKIM-Signature: v=1; a=rsa-sha256;\r\n\tb=abc\r\n def\r\n" + built(FIRST, "1")
    assert again(signed) == again(built(FIRST, "1"))


def test_others_are_named_in_place_of_those_it_was_for() -> None:
    second = message_from_bytes(again(built(FIRST, "1"), to=(BOB,), renamed=True, kept=False), policy=policy.default)
    assert (second["To"], second["Cc"], second["X-Request-ID"]) == ("bob@example.org", None, None)
    assert (second["X-Kind"], second["Subject"]) == ("invoice", FIRST.subject)
    assert [part.get_filename() for part in second.iter_attachments()] == ["März.pdf"]


def test_a_body_that_looks_like_a_header_is_left_alone() -> None:
    content = b"Subject: x\r\nMessage-ID: <1@x>\r\n\r\nMessage-ID: <1@x>\r\n\r\nCc: y\r\n"
    assert renewed(content, ["Message-ID: <2@x>"], ["Cc"]) == content.replace(b"<1@x>", b"<2@x>", 1)


def test_what_it_did_not_have_comes_first() -> None:
    assert renewed(b"Subject: x\r\n\r\nHi", ["Date: now"]) == b"Date: now\r\nSubject: x\r\n\r\nHi"
