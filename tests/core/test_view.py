"""What is read in the bytes of a message, ours and others', to be shown."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core import mime, view
from emailhub.core.message import Attachment, Mailbox, Submission

HUB = Mailbox("hub@example.org", "The Hub")


def built(*files: Attachment, **given: str) -> bytes:
    message = Submission(**{"to": (HUB,), "subject": "Hello", "text": "Hello Ada", "attachments": files, **given})  # type: ignore[arg-type]
    return mime.build(message, sender=HUB, message_id="<1@example.org>", date=0.0, boundary="b0undary")


def test_what_was_built_is_read_back_for_the_screen() -> None:
    seen = view.read(built(subject="Grüße " * 30, html="<p>ä</p>", text="a\r\nb"))
    assert dict(seen.headers)["Subject"] == ("Grüße " * 30).strip()
    assert (seen.text, seen.html, seen.files) == ("a\nb\n", "<p>ä</p>\n", ())


def test_encoded_words_of_other_charsets_are_read_and_nonsense_is_left_as_it_is() -> None:
    subject = b"Subject: =?iso-8859-1?Q?Gr=FC=DFe_?= =?UTF-8*de?B?w6Q=?= and =?x-unknown?q?a?= =?utf-8?b?A?=\r\n\r\n"
    assert view.read(subject).headers == (("Subject", "Grüße ä and =?x-unknown?q?a?==?utf-8?b?A?="),)


def test_a_foreign_message_with_attachments_is_read_too() -> None:
    message = EmailMessage()
    message["Subject"] = "Report"
    message.set_content("See attachment")
    message.add_alternative("<p>See attachment</p>", subtype="html")
    message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename="Bericht für März.pdf")
    message.add_attachment("a,b\n", subtype="csv", filename="a.csv")
    seen = view.read(message.as_bytes())
    assert (seen.text, seen.html) == ("See attachment\n", "<p>See attachment</p>\n")
    assert [(part.type, part.size) for part in seen.files] == [("application/pdf", 5), ("text/csv", 4)]
    assert seen.files[0].name == "Bericht für März.pdf"


@pytest.mark.parametrize(
    "content",
    (
        b"",
        b"no headers at all",
        b"Subject: =?utf-8?b?!!!?=\r\n\r\nx",
        b"Subject: =?nonsense?q?x?=\r\n\r\nx",
        b"Subject: \xff\xfe\r\nX: \xc3\xa4\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=nonsense\r\n\r\n\xe4",
        b"Content-Type: text/plain; charset=\x00\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: multipart/mixed; boundary=\r\n\r\nx",
        b"Content-Type: message/rfc822\r\n\r\n" * 3000,
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n" * 3000,
        b"Content-Transfer-Encoding: base64\r\n\r\n!!!",
        b"Content-Type: application/x; name*=x''%ff\r\nContent-Disposition: attachment; filename*=utf-8''%\r\n\r\n",
        b"Content-Disposition: attachment; filename*0*=nonsense'x'%e4; filename*2=y\r\n\r\nx",
    ),
    ids=lambda content: ascii(content[:40]),
)
def test_reading_never_fails(content: bytes) -> None:
    assert isinstance(view.read(content), view.View)


@given(
    st.binary(max_size=500)
    | st.lists(
        st.sampled_from(
            [
                b"Content-Type: ",
                b"multipart/mixed; ",
                b"boundary=a",
                b"\r\n",
                b"--a",
                b"=?",
                b"?=",
                b"utf-8",
                b"*0*='",
                b"%",
                b"\xff",
                b"Content-Disposition: attachment; filename",
                b";",
                b'"',
            ]
        ),
        max_size=30,
    ).map(b"".join)
)
def test_reading_never_fails_on_any_bytes(content: bytes) -> None:
    assert isinstance(view.read(content), view.View)


@pytest.mark.parametrize("size", (1000, 60_000, 70_000, 1_000_000, 1_000_001, 1_000_002))
def test_files_are_read_back_whatever_their_size(size: int) -> None:
    pattern = bytes(range(256)) * (size // 256 + 1)
    picture = Attachment(filename="März.png", content=pattern[:size], content_id="a@b")
    rest = Attachment(filename="b.csv", content=b"a,b\n")
    apart = view.Apart(built(picture, rest, html='<img src="cid:a@b">'))
    seen = apart.view()
    assert (seen.text, seen.html) == ("Hello Ada\n", '<img src="cid:a@b">\n')
    assert seen.files == (
        view.File("März.png", "image/png", size, "a@b", inline=True),
        view.File("b.csv", "text/csv", 4),
    )
    assert (apart.opened(0), apart.opened(1)) == (picture.content, rest.content)
    for number in (-1, 2):
        with pytest.raises(IndexError):
            apart.opened(number)


def test_a_file_of_text_that_the_html_shows_is_not_taken_for_the_text() -> None:
    file = Attachment(filename="a.txt", content=b"no", content_id="a")
    seen = view.read(built(file, text=None, html="<p>yes</p>"))  # type: ignore[arg-type]
    assert (seen.text, seen.html, [one.name for one in seen.files]) == (None, "<p>yes</p>\n", ["a.txt"])


def test_large_texts_in_base64_are_read_too() -> None:
    text, html = "Καλημέρα\n" * 20_000, "<p>Καλημέρα</p>\n" * 20_000
    seen = view.read(built(text=text, html=html))
    assert (seen.text, seen.html, seen.files) == (text, html, ())


@pytest.mark.parametrize("code", (b"A" * 70_001, b"!" * 70_000, b"QUJD" * 20_000 + b"=" * 9))
def test_large_base64_of_others_that_is_broken_harms_nobody(code: bytes) -> None:
    content = b"Subject: x\r\nContent-Transfer-Encoding: base64\r\nContent-Type: application/pdf\r\n\r\n" + code
    apart = view.Apart(content)
    (file,) = apart.view().files
    assert file.type == "application/pdf"
    apart.opened(0)


def test_a_part_that_looks_like_the_place_of_another_is_what_it_is() -> None:
    content = built(text="*0-50*", html="<p>x</p>") + b" " * 100_000
    assert view.read(content).text == "*0-50*\n"
