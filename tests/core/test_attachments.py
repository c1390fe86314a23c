"""The files of a message: what is understood, what is refused and under which name, and what arrives of them."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from email import message_from_bytes, policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.utils import getaddresses
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emailhub.core import attachment, media, mime
from emailhub.core.errors import InvalidMessage
from emailhub.core.message import Attachment, Limits, Mailbox, Submission
from emailhub.core.parse import submission

NOW = 1_764_000_000.0
HUB = Mailbox("hub@example.org", "The Hub")
LEAST: dict[str, Any] = {"to": "ada@example.org", "subject": "Hello", "text": "Hello Ada"}


def base64(content: bytes) -> str:
    return b64encode(content).decode()


def parse(limits: Limits = Limits(), **fields: Any) -> Submission:  # noqa: B008 - it is frozen
    return submission(LEAST | fields, limits, now=NOW)


def one(**fields: Any) -> Attachment:
    (found,) = parse(attachments=[{"filename": "a.bin", "content": "QQ=="} | fields]).attachments
    return found


def problems(*attachments: Any, limits: Limits = Limits()) -> dict[str, str]:  # noqa: B008 - it is frozen
    with pytest.raises(InvalidMessage) as caught:
        parse(limits, attachments=list(attachments))
    return dict(caught.value.problems)


def build(message: Submission) -> bytes:
    return mime.build(message, sender=HUB, message_id="<1@example.org>", date=NOW, boundary="b0undary")


def read(content: bytes) -> EmailMessage:
    message = message_from_bytes(content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def payload(part: EmailMessage) -> bytes:
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


def skeleton(part: EmailMessage) -> Any:
    """The types of a message, as nested lists."""
    kind = part.get_content_type()
    return [kind, *(skeleton(inner) for inner in part.iter_parts())] if part.is_multipart() else kind  # type: ignore[arg-type]


def test_every_field_of_an_attachment_is_understood() -> None:
    found = parse(
        attachments=[
            {"filename": "Rechnung März.pdf", "content": base64(b"%PDF")},
            {"filename": "a.ics", "content": "QQ==", "content_type": "Text/Calendar; METHOD=REQUEST"},
            {"content": "QQ==", "content_type": "image/png", "content_id": "<logo@shop>"},
            {"content": "QQ==", "filename": "b.png", "inline_content_id": "b"},
            {"path": "https://example.org/files/Preis%20%C3%A4.pdf?v=2"},
        ]
    ).attachments
    assert found == (
        Attachment(filename="Rechnung März.pdf", content=b"%PDF"),
        Attachment(filename="a.ics", content=b"A", content_type="text/calendar; method=REQUEST"),
        Attachment(content=b"A", content_type="image/png", content_id="logo@shop"),
        Attachment(filename="b.png", content=b"A", content_id="b"),
        Attachment(filename="Preis ä.pdf", path="https://example.org/files/Preis%20%C3%A4.pdf?v=2"),
    )


@pytest.mark.parametrize(
    ("given", "content"),
    (
        ("", b""),
        ("QUI=", b"AB"),
        ("QU\r\nJD\n", b"ABC"),
        (" QUJD\t", b"ABC"),
        ([65, 66, 0, 255], b"AB\x00\xff"),
        ([], b""),
        ({"type": "Buffer", "data": [65, 66]}, b"AB"),
    ),
    ids=str,
)
def test_content_is_base64_or_a_list_of_bytes(given: Any, content: bytes) -> None:
    assert one(content=given).content == content


@pytest.mark.parametrize("edge", (-1, 0, 1, 2))
def test_content_longer_than_what_is_converted_at_once_stays_whole(edge: int) -> None:
    size = attachment.SLICE // 4 * 3 + edge
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    lines = re.sub(r"(.{76})", r"\1\r\n", base64(content))
    assert one(content=base64(content)).content == content
    assert one(content=lines).content == content
    (part,) = read(build(parse(attachments=[{"filename": "a.bin", "content": lines}]))).iter_attachments()
    assert payload(part) == content  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "field", "word"),
    (
        ("a.pdf", "attachments[0]", "object"),
        ({"filename": "a.pdf"}, "attachments[0]", "content or path"),
        ({"filename": "a", "content": "QQ==", "path": "https://a.test/a"}, "attachments[0]", "one of the two"),
        ({"content": "QQ=="}, "attachments[0].filename", "1 to 255"),
        ({"path": "https://a.test/"}, "attachments[0].filename", "1 to 255"),
        ({"filename": "a", "content": "QQ==", "disposition": "x"}, "attachments[0].disposition", "filename, content"),
        ({"filename": "", "content": "QQ=="}, "attachments[0].filename", "1 to 255"),
        ({"filename": "\u00a0", "content": "QQ=="}, "attachments[0].filename", "white space"),
        ({"filename": 7, "content": "QQ=="}, "attachments[0].filename", "string"),
        ({"filename": "../a", "content": "QQ=="}, "attachments[0].filename", "without a folder"),
        ({"filename": "C:\\a", "content": "QQ=="}, "attachments[0].filename", "without a folder"),
        ({"filename": "..", "content": "QQ=="}, "attachments[0].filename", "without a folder"),
        ({"filename": "ä" * 128, "content": "QQ=="}, "attachments[0].filename", "256 bytes"),
        ({"filename": "\u202efdp.exe", "content": "QQ=="}, "attachments[0].filename", "U+202E"),
        ({"filename": "a\x00b", "content": "QQ=="}, "attachments[0].filename", "a NUL"),
        ({"filename": "a\r\nBcc: eve@x.test", "content": "QQ=="}, "attachments[0].filename", "carriage return"),
        ({"filename": "a\ud800", "content": "QQ=="}, "attachments[0].filename", "surrogate"),
        ({"filename": "a", "content": 7}, "attachments[0].content", "base64"),
        ({"filename": "a", "content": "QQ"}, "attachments[0].content", "multiple of 4"),
        ({"filename": "a", "content": "QUI"}, "attachments[0].content", "multiple of 4"),
        ({"filename": "a", "content": "QQ==QQ=="}, "attachments[0].content", "padding at character 3"),
        ({"filename": "a", "content": "Q-_B"}, "attachments[0].content", "+ and /"),
        ({"filename": "a", "content": "QÄ=="}, "attachments[0].content", "+ and /"),
        ({"filename": "a", "content": "===="}, "attachments[0].content", "base64"),
        ({"filename": "a", "content": [1, 256]}, "attachments[0].content", "0 to 255"),
        ({"filename": "a", "content": [1, "2"]}, "attachments[0].content", "0 to 255"),
        ({"filename": "a", "content": "QQ==", "content_type": "pdf"}, "attachments[0].content_type", "MIME type"),
        (
            {"filename": "a", "content": "QQ==", "content_type": "a/b\r\nX: y"},
            "attachments[0].content_type",
            "carriage",
        ),
        ({"filename": "a", "content": "QQ==", "content_type": "a/b; name=x"}, "attachments[0].content_type", "itself"),
        ({"filename": "a", "content": "QQ==", "content_type": "a/b; c=1; C=2"}, "attachments[0].content_type", "twice"),
        ({"filename": "a", "content": "QQ==", "content_type": 'a/b; c="x'}, "attachments[0].content_type", "MIME"),
        ({"filename": "a", "content": "QQ==", "content_type": "multipart/mixed"}, "attachments[0].content_type", "no"),
        ({"filename": "a", "content": "QQ==", "content_type": "message/rfc822"}, "attachments[0].content_type", "no"),
        ({"filename": "a", "content": "QQ==", "content_id": "a b"}, "attachments[0].content_id", "letters"),
        ({"filename": "a", "content": "QQ==", "content_id": "a>\r\nX: y"}, "attachments[0].content_id", "letters"),
        ({"filename": "a", "content": "QQ==", "content_id": ""}, "attachments[0].content_id", "1 to 200"),
        ({"filename": "a", "path": "http://a.test/a"}, "attachments[0].path", "https://"),
        ({"filename": "a", "path": "https://a.test/ä"}, "attachments[0].path", "ASCII"),
    ),
    ids=str,
)
def test_a_bad_attachment_is_refused_under_the_name_of_its_field(given: Any, field: str, word: str) -> None:
    found = problems(given)
    assert set(found) == {field}
    assert word in found[field]


def test_all_problems_of_all_attachments_are_told_at_once() -> None:
    good = {"filename": "a", "content": "QQ==", "content_id": "a"}
    found = problems(good, {"filename": "/", "content": "?"}, good)
    assert set(found) == {"attachments[1].filename", "attachments[1].content", "attachments[2].content_id"}


def test_the_limits_are_checked_before_anything_is_decoded() -> None:
    limits, over = Limits(size=10_000), "!" * 10_000  # not base64: a decoder would say so
    found = problems({"filename": "a", "content": ""}, {"filename": "b", "content": over}, limits=limits)
    assert list(found) == ["attachments[1].content"]
    assert "10262 bytes; the limit is 10000 (EMAILHUB_MAX_MESSAGE_SIZE)" in found["attachments[1].content"]
    half = {"filename": "a", "content": "!" * 6_000}
    assert "12312 bytes together" in problems(half, half, limits=limits)["attachments"]
    assert "51 items; at most 50" in problems(*[half] * 51)["attachments"]
    parse(limits, attachments=[{"filename": "a", "content": "A" * 4}] * 50)


def test_white_space_in_base64_does_not_count_against_the_limit() -> None:
    airy = "\n".join("QUJD" for _ in range(2_000))
    assert (
        len(parse(Limits(size=9_000), attachments=[{"filename": "a", "content": airy}]).attachments[0].content) == 6_000
    )


@pytest.mark.parametrize(
    ("filename", "kind"),
    (("a.PDF", "application/pdf"), ("a.tar.gz", "application/gzip"), ("a", media.ANY), ("a.eml", media.ANY)),
)
def test_the_type_is_told_by_the_name_the_same_on_every_machine(filename: str, kind: str) -> None:
    assert media.type_of(filename) == kind


@pytest.mark.parametrize(
    ("fields", "expected"),
    (
        ({}, ["multipart/mixed", "text/plain", "image/png"]),
        ({"text": None, "html": "<b>"}, ["multipart/mixed", "text/html", "image/png"]),
        ({"html": "<b>"}, ["multipart/mixed", ["multipart/alternative", "text/plain", "text/html"], "image/png"]),
    ),
)
def test_files_follow_the_text(fields: dict[str, Any], expected: Any) -> None:
    files = [{"filename": "a.png", "content": "QQ=="}]
    assert skeleton(read(build(parse(**fields, attachments=files)))) == expected


def test_pictures_are_related_to_the_html_that_shows_them() -> None:
    picture = {"filename": "a.png", "content": "QQ==", "content_id": "a"}
    file = {"filename": "b.pdf", "content": "QUI="}
    html = '<img src="cid:a">'
    related = ["multipart/related", "text/html", "image/png"]
    assert skeleton(read(build(parse(text=None, html=html, attachments=[picture])))) == related
    message = read(build(parse(html=html, attachments=[file, picture])))
    assert skeleton(message) == [
        "multipart/mixed",
        ["multipart/alternative", "text/plain", related],
        "application/pdf",
    ]
    image = next(part for part in message.walk() if part.get_content_type() == "image/png")
    assert (image["content-id"], image.get_content_disposition()) == ("<a>", "inline")
    body = message.get_body(("html",))
    assert body is not None
    assert body.get_content().strip() == html


def test_a_picture_without_html_to_show_it_is_a_file() -> None:
    picture = {"filename": "a.png", "content": "QQ==", "content_id": "a"}
    (part,) = read(build(parse(attachments=[picture]))).iter_attachments()
    assert (part["content-id"], part.get_content_disposition()) == ("<a>", "attachment")


@pytest.mark.parametrize(
    ("content", "name", "charset"),
    (
        (b"plain", "a.txt", "utf-8"),
        ("über".encode(), "a.csv", "utf-8"),
        ("ü".encode() * 40_000, "a.txt", "utf-8"),
        (b"x" + "ü".encode() * 40_000, "a.txt", "utf-8"),
        ("über".encode("latin-1"), "a.txt", None),
        (b"x" * 65_530 + "über".encode("latin-1"), "a.txt", None),
        ("über".encode(), "a.pdf", None),
    ),
)
def test_a_text_in_utf_8_says_so(content: bytes, name: str, charset: str | None) -> None:
    file = Attachment(filename=name, content=content)
    message = Submission(to=(HUB,), subject="Hello", text="Hello", attachments=(file,))
    (part,) = read(build(message)).iter_attachments()
    assert part.get_content_charset() == charset


def test_an_ordinary_name_is_written_as_every_reader_knows_it() -> None:
    content = build(parse(attachments=[{"filename": "Your invoice 17.pdf", "content": "QQ=="}]))
    assert b'Content-Type: application/pdf;\r\n name="Your invoice 17.pdf"\r\n' in content
    assert b'Content-Disposition: attachment;\r\n filename="Your invoice 17.pdf"\r\n' in content


def test_another_name_is_written_by_the_standard_and_for_old_readers() -> None:
    content = build(parse(attachments=[{"filename": "Größe €.pdf", "content": "QQ=="}]))
    assert b'\r\n name="=?utf-8?b?R3LDtsOfZSDigqwucGRm?="\r\n' in content
    assert b"\r\n filename*=utf-8''Gr%C3%B6%C3%9Fe%20%E2%82%AC.pdf\r\n" in content


safe = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
line = st.text(safe, min_size=1, max_size=60).map(lambda text: text.strip(" ")).filter(bool)
addresses = st.from_regex(r"[a-z]{1,20}@[a-z]{1,20}\.(org|example)", fullmatch=True)
marks = "".join(chr(code) for code in (0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)))
filenames = (
    st.text(
        st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters=f"/\\{marks}"),
        min_size=1,
        max_size=63,
    )
    .map(str.strip)
    .filter(lambda text: text not in {"", ".", ".."})
)
files = st.fixed_dictionaries(
    {"filename": filenames, "content": st.binary(max_size=300).map(base64)},
    optional={
        "content_type": st.sampled_from(
            ("application/pdf", "image/png", "text/html", "text/plain; charset=latin1", "application/x-y; a=b")
        ),
        "content_id": st.from_regex(r"[a-z0-9.@_-]{1,40}", fullmatch=True),
    },
)
documents = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=300)
requests = st.fixed_dictionaries(
    {
        "to": st.lists(addresses, min_size=1, max_size=4, unique=True),
        "subject": line,
        "text": documents,
        "attachments": st.lists(files, max_size=5, unique_by=lambda file: file.get("content_id", file["filename"])),
    },
    optional={
        "html": documents,
        "cc": st.lists(addresses, min_size=1, max_size=2),
        "reply_to": addresses,
        "headers": st.dictionaries(
            st.from_regex(r"X-[A-Z][a-z0-9-]{0,30}[a-z]", fullmatch=True).filter(
                lambda name: not name.lower().startswith(("x-request-id", "x-emailhub-"))
            ),
            line,
            max_size=3,
        ),
    },
)


@settings(max_examples=60)
@given(requests)
@example({**LEAST, "to": ["ada@example.org"], "attachments": [{"filename": "=?utf-8?q?x?=", "content": "QQ=="}]})
@example({**LEAST, "to": ["ada@example.org"], "attachments": [{"filename": 'a "b"  c.pdf', "content": "QQ=="}]})
@example({**LEAST, "to": ["ada@example.org"], "attachments": [{"filename": "💌" * 63, "content": "QQ=="}]})
@example({**LEAST, "to": ["ada@example.org"], "attachments": [{"filename": "a" * 255, "content": "QQ=="}]})
@example({**LEAST, "to": ["ada@example.org"], "attachments": [{"filename": "a'%41;b=*0*.pdf", "content": "QQ=="}]})
def test_any_request_is_read_back_by_an_independent_parser_as_it_was_given(request: dict[str, Any]) -> None:
    fields = json.loads(json.dumps(request))
    content = build(submission(fields, Limits(), now=NOW))
    assert content.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = read(content)
    assert not any(part.defects for part in message.walk())

    assert str(message["subject"]) == fields["subject"]
    assert boxes(message, "To") == fields["to"]
    assert boxes(message, "Cc") == [box for box in dict.fromkeys(fields.get("cc", ())) if box not in fields["to"]]
    assert boxes(message, "Reply-To") == [*([fields["reply_to"]] if "reply_to" in fields else [])]
    for name, value in fields.get("headers", {}).items():
        assert str(message[name]) == value
    for kind in ("plain", "html"):
        body, given = message.get_body((kind,)), fields.get("text" if kind == "plain" else kind)
        assert (body is None) == (given is None)
        if body is not None:
            assert lines(body.get_content()) == lines(given)
    assert sorted(arrived(message)) == sorted(map(sent, fields["attachments"]))


def sent(file: dict[str, str]) -> tuple[str, str, str, str]:
    kind = file.get("content_type", "").partition(";")[0] or media.type_of(file["filename"])
    return file["filename"], file["content"], file.get("content_id", ""), kind


def boxes(message: EmailMessage, field: str) -> list[str]:
    return [address for _, address in getaddresses([str(value) for value in message.get_all(field, ())])]


def lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text).removesuffix("\n")


def arrived(message: EmailMessage) -> list[tuple[str, str, str, str]]:
    found = []
    for part in message.walk():
        if part.get_content_disposition():
            assert isinstance(part, EmailMessage)
            cid = str(part["content-id"]).strip("<>") if part["content-id"] else ""
            found.append((str(part.get_filename()), base64(payload(part)), cid, part.get_content_type()))
    return found


@settings(max_examples=50)
@given(filenames)
@example("=?utf-8?q?x?=")
@example('a "b"  c.pdf')
def test_old_readers_find_the_name_as_an_encoded_word(filename: str) -> None:
    content = build(parse(attachments=[{"filename": filename, "content": "QQ=="}]))
    part = list(message_from_bytes(content).walk())[-1]
    raw = str(part.get_param("name")).replace("\r\n", "")
    assert str(make_header(decode_header(raw))) == filename
