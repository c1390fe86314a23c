"""The bytes of a message: what an independent parser reads in them, and what must never be in them."""

from __future__ import annotations

import re
from binascii import a2b_qp, b2a_qp
from email import policy
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses, parsedate_to_datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emailhub.core import mime, slices, text_part, view
from emailhub.core.message import Mailbox, Submission

HUB = Mailbox("hub@example.org", "The Hub")
ADA = Mailbox("ada@example.org")
ID = "<01JDEADBEEF0123456789ABCDE@example.org>"
DATE = 1_764_000_000.75
ALWAYS = ["from", "subject", "date", "message-id", "auto-submitted", "mime-version", "content-type"]


def given_message(**changes: object) -> Submission:
    return Submission(**{"to": (ADA,), "subject": "Hello", "text": "Hello Ada", **changes})  # type: ignore[arg-type]


def build(submission: Submission, sender: Mailbox = HUB) -> bytes:
    return mime.build(submission, sender=sender, message_id=ID, date=DATE, boundary="b0undary")


def parse(content: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(content)
    assert isinstance(message, EmailMessage)
    return message


def parts(content: bytes) -> dict[str, str]:
    leaves = [part for part in parse(content).walk() if not part.is_multipart()]
    return {part.get_content_type(): part.get_content() for part in leaves}


def raw_headers(content: bytes) -> list[str]:
    """The names of the header fields as a server that knows nothing of MIME sees them."""
    head = content.partition(b"\r\n\r\n")[0].replace(b"\r\n ", b" ")
    return [line.partition(b":")[0].decode().lower() for line in head.split(b"\r\n")]


def lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text).removesuffix("\n")


def assert_transportable(content: bytes) -> None:
    assert content.isascii()
    assert b"\x00" not in content
    assert content.endswith(b"\r\n")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n", content)
    assert not re.search(rb"(?m)^From ", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998


safe = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
header_text = st.text(safe, min_size=1, max_size=120).map(lambda text: text.strip(" ")).filter(bool)
names = st.text(safe, max_size=60).map(lambda text: text.strip(" "))
addresses = st.from_regex(r"[a-z]{1,20}(\.[a-z]{1,20})?@[a-z]{1,20}\.(org|example)", fullmatch=True)
mailboxes = st.builds(Mailbox, addresses, names)
bodies = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=2000)
line_breaks = st.lists(
    st.sampled_from(
        ["\r", "\n", "\r\n", ".", "..", "From ", "a", " ", "\t", "=", "ä", "x" * 80, "y" * 998, "--=_b0undary"]
    ),
    min_size=1,
    max_size=40,
).map("".join)
submissions = st.builds(
    Submission,
    to=st.lists(mailboxes, max_size=6).map(tuple),
    cc=st.lists(mailboxes, max_size=3).map(tuple),
    bcc=st.lists(mailboxes, min_size=1, max_size=3).map(tuple),
    reply_to=st.lists(mailboxes, max_size=2).map(tuple),
    subject=header_text,
    text=bodies | line_breaks,
    html=st.none() | bodies | line_breaks,
    headers=st.dictionaries(st.from_regex(r"X-[A-Z][a-z0-9-]{0,60}[a-z]", fullmatch=True), header_text, max_size=3).map(
        lambda headers: tuple(headers.items())
    ),
    request_id=st.none() | header_text,
)


def test_the_headers_come_in_the_usual_order_and_nothing_else_does() -> None:
    content = build(
        given_message(
            cc=(Mailbox("bob@example.org", "Bob"),),
            reply_to=(Mailbox("help@example.org"),),
            request_id="order-17",
            headers=(("X-Campaign", "spring"), ("List-Unsubscribe", "<https://example.org/u?a=1>")),
        )
    )
    assert content == (
        b"From: The Hub <hub@example.org>\r\n"
        b"To: ada@example.org\r\n"
        b"Cc: Bob <bob@example.org>\r\n"
        b"Reply-To: help@example.org\r\n"
        b"Subject: Hello\r\n"
        b"Date: Mon, 24 Nov 2025 16:00:00 +0000\r\n"
        b"Message-ID: <01JDEADBEEF0123456789ABCDE@example.org>\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b"X-Request-ID: order-17\r\n"
        b"X-Campaign: spring\r\n"
        b"List-Unsubscribe: <https://example.org/u?a=1>\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"\r\n"
        b"Hello Ada\r\n"
    )


def test_text_and_html_are_alternatives_with_the_html_last() -> None:
    content = build(given_message(text="Hello", html="<p>Hello</p>"))
    message = parse(content)
    assert message.get_content_type() == "multipart/alternative"
    assert [part.get_content_type() for part in message.iter_parts()] == ["text/plain", "text/html"]
    assert not message.defects
    assert content.endswith(b"\r\n--=_b0undary--\r\n")


def test_html_alone_is_a_single_part() -> None:
    found = parts(build(given_message(text=None, html="<p>Grüße</p>")))
    assert found == {"text/html": "<p>Grüße</p>\r\n"}


def test_with_bcc_only_the_to_header_says_that_recipients_are_undisclosed() -> None:
    content = build(given_message(to=(), bcc=(Mailbox("secret@example.org"),)))
    assert b"\r\nTo: undisclosed-recipients:;\r\n" in content
    assert b"secret" not in content


def test_with_cc_only_there_is_no_to_header() -> None:
    assert "to" not in raw_headers(build(given_message(to=(), cc=(ADA,))))


def test_the_bytes_are_the_same_every_time() -> None:
    submission = given_message(html="<p>ä</p>", subject="Grüße")
    assert build(submission) == build(submission)


@settings(max_examples=60)
@given(submissions, mailboxes)
@example(given_message(bcc=(ADA,), subject="=?utf-8?q?x=0ABcc:_evil@x.test?="), HUB)
@example(given_message(bcc=(ADA,), subject="a " * 499 + "b"), HUB)
@example(given_message(bcc=(ADA,), subject="x" * 998), Mailbox("hub@example.org", "n" * 300))
@example(given_message(bcc=(ADA,), headers=(("X-" + "N" * 61 + "n", "ä" * 300),)), HUB)
def test_an_independent_parser_reads_what_was_meant(submission: Submission, sender: Mailbox) -> None:
    content = build(submission, sender)
    message = parse(content)
    assert_transportable(content)
    assert not message.defects

    assert str(message["subject"]) == submission.subject
    assert (message["message-id"], message["date"].datetime.timestamp()) == (ID, int(DATE))
    for field, boxes in (("From", (sender,)), ("To", submission.to), ("Cc", submission.cc)):
        if boxes:
            assert read_boxes(message, field) == list(boxes)
    for name, value in submission.headers:
        # A name too long to share its line with an encoded word leaves a leading space, which means nothing.
        assert str(message[name]).lstrip(" ") == value

    found = parts(content)
    assert lines(found["text/plain"]) == lines(submission.text or "")
    if submission.html is not None:
        assert lines(found["text/html"]) == lines(submission.html)


def read_boxes(message: EmailMessage, field: str) -> list[Mailbox]:
    # Not through `.addresses`: it keeps the space between adjacent encoded words of a name, against RFC 2047 §6.2.
    raw = "".join(dict(message.raw_items())[field].splitlines())
    return [Mailbox(address, str(make_header(decode_header(name)))) for name, address in getaddresses([raw])]


@settings(max_examples=40)
@given(submissions)
def test_the_header_fields_are_exactly_the_expected_ones(submission: Submission) -> None:
    content = build(submission)
    expected = [*ALWAYS, *(name.lower() for name, _ in submission.headers)]
    expected += ["to"] if submission.to or not submission.cc else []
    expected += ["cc"] if submission.cc else []
    expected += ["reply-to"] if submission.reply_to else []
    expected += ["x-request-id"] if submission.request_id else []
    expected += ["content-transfer-encoding"] if submission.html is None else []
    assert sorted(raw_headers(content)) == sorted(expected)


@settings(max_examples=40)
@given(submissions)
def test_header_lines_are_short_unless_one_word_is_not(submission: Submission) -> None:
    head = build(submission).partition(b"\r\n\r\n")[0].decode()
    for line in head.split("\r\n"):
        words = line.strip().split(" ")
        limit = 76 if "=?utf-8?" in line else 78
        assert len(line) <= limit or len([word for word in words if word]) <= 2
        assert all(len(word) <= 75 for word in re.findall(r"=\?utf-8\?[bq]\?[^?]*\?=", line))
        assert line.strip()


@given(bodies | line_breaks)
@example("ä" + "x" * 68 + " \n")
@example("ä\n" + "x" * 74 + "\t\nFrom ä")
def test_encoded_lines_are_at_most_76_characters(text: str) -> None:
    content = build(given_message(text=text))
    body = content.partition(b"\r\n\r\n")[2]
    if b"Content-Transfer-Encoding: 7bit" not in content:
        assert max(map(len, body.split(b"\r\n"))) <= 76


@pytest.mark.parametrize(
    ("text", "encoding"),
    (
        ("plain", "7bit"),
        ("x" * 998, "7bit"),
        ("x" * 999, "quoted-printable"),
        ("short\n" * 300 + "end", "7bit"),
        ("short\n" * 300 + "x" * 999, "quoted-printable"),
        ("a NUL \x00 here and some more text", "quoted-printable"),
        ("an escape \x1b[31m and some more text", "quoted-printable"),
        ("From here on", "quoted-printable"),
        ("ok\nFrom here on", "quoted-printable"),
        ("A long sentence with one umlaut, ä, in it.", "quoted-printable"),
        ("Ελληνικά", "base64"),
        ("the boundary: --=_b0undary", "quoted-printable"),
    ),
    ids=lambda value: ascii(value[-40:]),
)
def test_the_smallest_safe_encoding_is_chosen(text: str, encoding: str) -> None:
    content = build(given_message(text=text))
    assert parse(content)["content-transfer-encoding"] == encoding
    assert lines(parts(content)["text/plain"]) == text


@settings(max_examples=200)
@given(
    bodies
    | line_breaks
    | st.text(st.sampled_from("ab \r\n=-_"))
    | st.sampled_from(["a\nFrom b", "a--=_b0undary", "\r"]),
    st.sampled_from(["", "\näöü"]),
    st.integers(1, 50),
)
def test_a_large_text_encoded_in_slices_is_the_same_as_in_one_go(text: str, end: str, size: int) -> None:
    message = given_message(text=f"x{text}{end}")
    whole = build(message)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_part, "SLICE", size)
        patch.setattr(slices, "SLICE", size)
        assert build(message) == whole


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from([b"a", b" ", b"\t", b"=", b".", b"\0", b"\r\n", b"From ", "ü".encode(), b"x" * 40, b"x" * 75]),
        max_size=60,
    ),
    st.integers(100, 300),
)
def test_lines_of_any_length_are_encoded_in_slices_and_none_is_too_long(pieces: list[bytes], size: int) -> None:
    raw = b"".join([*pieces, b"\r\n"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_part, "_QP_SLICE", size)
        code = text_part._quoted_printable(raw)
    assert a2b_qp(code) == raw
    assert code.count(b"\n") == code.count(b"\r\n")
    assert max(map(len, code.split(b"\r\n"))) <= 76


def test_one_endless_line_is_encoded_in_slices_too(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(text_part, "b2a_qp", lambda raw: sizes.append(len(raw)) or b2a_qp(raw))
    page = "<p>" + "ü<b>minified</b>" * 100_000
    assert lines(parts(build(given_message(html=page)))["text/html"]) == page
    assert max(sizes) <= 256 * 1024 + 2


def test_a_text_cannot_close_its_own_part() -> None:
    attack = "Hi\r\n--=_b0undary--\r\n\r\n--=_b0undary\r\nContent-Type: text/html\r\n\r\n<p>evil</p>"
    found = parts(build(given_message(text=attack, html="<p>good</p>")))
    assert found.keys() == {"text/plain", "text/html"}
    assert lines(found["text/html"]) == "<p>good</p>"


@pytest.mark.parametrize(
    "ending", ("\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\r\n.\n", "\r\r\n.\r\r\n", "\r\n\x00.\r\n")
)
@pytest.mark.parametrize("field", ("text", "html"))
@pytest.mark.parametrize("filler", ("plain ", "übel ", "x" * 1200))
def test_no_smuggled_end_of_data_survives(ending: str, field: str, filler: str) -> None:
    attack = f"{filler}{ending}MAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\n"
    content = build(given_message(**{"text": "fine", field: attack}))
    assert_transportable(content)
    # A transport that stuffs the dot of every line that begins with one leaves no lone dot.
    assert b"\r\n.\r\n" not in content.replace(b"\r\n.", b"\r\n..")


@pytest.mark.parametrize("text", (".", ".\n.", "..hidden", "a\n.b"))
def test_dots_are_left_to_the_transport(text: str) -> None:
    assert lines(parts(build(given_message(text=text)))["text/plain"]) == text


ENCODED_WORDS = (
    "=?utf-8?q?x=0ABcc:_evil@x.test?=",
    "=?utf-8?q?x=0D=0ABcc:_evil@x.test?=",
    "=?utf-8?b?eApCY2M6IGV2aWxAeC50ZXN0?=",
    "=?us-ascii?Q?=0A?= =?us-ascii?Q?Bcc=3A?=",
    "Hello =?utf-8?q?=0ABcc:?= again",
    "=?utf-8?q?x=0ABcc:",
    "ä =?utf-8?q?=0ABcc:_evil@x.test?=",
)


@pytest.mark.parametrize("attack", ENCODED_WORDS)
def test_an_encoded_word_given_by_a_sender_is_shown_and_never_decoded(attack: str) -> None:
    box = Mailbox("ada@example.org", attack)
    submission = given_message(
        subject=attack, to=(box,), cc=(box,), reply_to=(box,), headers=(("X-Note", attack),), request_id=attack
    )
    content = build(submission, Mailbox("hub@example.org", attack))
    message = parse(content)
    assert_transportable(content)
    assert "bcc" not in [name.lower() for name in message]
    assert sorted(raw_headers(content)) == sorted(
        [*ALWAYS, "to", "cc", "reply-to", "x-note", "x-request-id", "content-transfer-encoding"]
    )
    assert [str(message[name]) for name in ("subject", "x-note", "x-request-id")] == [attack] * 3
    assert [read_boxes(message, name)[0].name for name in ("From", "To", "Cc", "Reply-To")] == [attack] * 4
    again = message.as_bytes(policy=policy.SMTP)
    assert b"\nBcc:" not in again


def test_a_local_part_outside_ascii_is_the_one_thing_written_in_utf_8() -> None:
    content = build(given_message(to=(Mailbox("jörg@example.org", "Jörg"),), subject="Grüße"))
    assert "\r\nTo: =?utf-8?b?SsO2cmc=?= <jörg@example.org>\r\n".encode() in content
    assert content.replace("jörg".encode(), b"").isascii()
    assert dict(view.read(content).headers)["To"] == "Jörg <jörg@example.org>"


def test_the_date_is_utc_in_english_whatever_the_second() -> None:
    for unix in (0, 951_782_400, 1_764_000_000, 4_102_444_799):
        content = mime.build(given_message(), sender=HUB, message_id=ID, date=unix + 0.9, boundary="b")
        text = str(parse(content)["date"])
        assert parsedate_to_datetime(text).timestamp() == unix
        assert text.endswith(" +0000")


def test_ids_sort_by_time_and_carry_all_the_randomness() -> None:
    early, late = mime.new_id(1_764_000_000.001, b"\xff" * 10), mime.new_id(1_764_000_000.002, bytes(10))
    assert early < late
    assert re.fullmatch("[0-9A-HJKMNP-TV-Z]{26}", early)
    assert mime.new_id(0.0, bytes(10)) == "0" * 26
    # The specification's largest time and randomness.
    assert mime.new_id((2**48 - 1) / 1000, b"\xff" * 10) == "7" + "Z" * 25
    assert len({mime.new_id(1.0, number.to_bytes(10)) for number in range(1000)}) == 1000


def test_the_message_id_is_in_the_senders_domain() -> None:
    assert mime.message_id("01ABC", Mailbox("hub@mail.example.org", "Hub")) == "<01ABC@mail.example.org>"


@pytest.mark.parametrize(
    ("text", "html", "seen"),
    (
        ("Hello\r\n\tAda,  how are you?", None, "Hello Ada, how are you?"),
        ("", None, ""),
        ("a\x00b\x1bc", None, "abc"),
        ("word " * 100, None, ("word " * 27) + "word…"),
        (None, "<p>Hello <b>Ada</b> &amp; Bob</p>", "Hello Ada & Bob"),
        (None, "<html><head><title>T</title><style>p{}</style></head><body class='x'><p>Hi</p></body>", "Hi"),
        (None, "<style>p { color: red }</style><script>if (a<b) alert()</script>Hi", "Hi"),
        (None, "<STYLE>x</STYLE>Hi<br>there", "Hi there"),
        (None, "1 < 2 and done", "1"),
        (None, "<", ""),
        (None, "<p", ""),
        (None, None, ""),
        ("Text wins", "<p>over html</p>", "Text wins"),
    ),
    ids=str,
)
def test_a_snippet_is_the_beginning_a_reader_would_see(text: str | None, html: str | None, seen: str) -> None:
    assert mime.snippet(text, html) == seen


@given(st.text(max_size=3000), st.sampled_from(["<", "<style", "</style>", "<body", "&", "&#", "a", "<!--"]))
def test_a_snippet_is_one_short_printable_line_of_anything(text: str, unit: str) -> None:
    for snippet in (mime.snippet(text, None), mime.snippet(None, text), mime.snippet(None, unit * 5000)):
        assert len(snippet) <= 140
        assert snippet.isprintable()
