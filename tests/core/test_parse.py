"""From given fields to a submission: what is understood, what is refused, and under which name."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.delivery import OnUnknown
from emailhub.core.errors import InvalidMessage
from emailhub.core.message import Key, Limits, Mailbox, Priority, Submission
from emailhub.core.parse import FIELDS, PROBLEMS, is_html, submission

NOW = 1_764_000_000.0
LIMITS = Limits()
ADA = Mailbox("ada@example.org")


def parse(limits: Limits = LIMITS, key: Key | None = None, **fields: Any) -> Submission:
    least = {"to": "ada@example.org", "subject": "Hello", "text": "Hello Ada"}
    return submission(least | fields, limits, now=NOW, key=key)


def problems(limits: Limits = LIMITS, **fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidMessage) as caught:
        parse(limits, **fields)
    return dict(caught.value.problems)


def test_the_least_message_leaves_everything_else_to_the_hub() -> None:
    assert parse() == Submission(to=(ADA,), subject="Hello", text="Hello Ada")


def test_every_field_is_understood() -> None:
    assert parse(
        **{
            "from": "Shop <shop@example.org>",
            "to": ["ada@example.org", "Bob <bob@example.org>"],
            "cc": "carol@example.org",
            "bcc": ["dave@example.org"],
            "reply_to": "help@example.org",
            "html": "<p>Hello</p>",
            "headers": {"X-Campaign": "spring"},
            "unsubscribe_url": "https://example.org/u?id=17",
            "tags": [{"name": "kind", "value": "welcome_1"}],
            "metadata": {"order": 17, "price": 1.5, "who": "ada"},
            "request_id": "order 17",
            "idempotency_key": "order/17",
            "on_unknown": "hold",
            "priority": "high",
            "scheduled_at": "2025-11-24T18:00:00+01:00",
            "expires_at": NOW + 7200,
        }
    ) == Submission(
        to=(ADA, Mailbox("bob@example.org", "Bob")),
        cc=(Mailbox("carol@example.org"),),
        bcc=(Mailbox("dave@example.org"),),
        sender=Mailbox("shop@example.org", "Shop"),
        reply_to=(Mailbox("help@example.org"),),
        subject="Hello",
        text="Hello Ada",
        html="<p>Hello</p>",
        headers=(
            ("X-Campaign", "spring"),
            ("List-Unsubscribe", "<https://example.org/u?id=17>"),
            ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ),
        tags=(("kind", "welcome_1"),),
        metadata=(("order", "17"), ("price", "1.5"), ("who", "ada")),
        request_id="order 17",
        key=Key("order/17"),
        on_unknown=OnUnknown.HOLD,
        priority=Priority.HIGH,
        scheduled_at=NOW + 3600,
        expires_at=NOW + 7200,
    )


def test_null_means_not_given_for_every_field_also_for_unknown_ones() -> None:
    optional = dict.fromkeys([*FIELDS, "attachments"]) | {
        "to": "ada@example.org",
        "subject": "Hello",
        "text": "Hello Ada",
    }
    assert parse(**optional) == parse()


def test_all_problems_are_told_at_once() -> None:
    found = problems(
        to=["ada@example.org", "nobody"],
        subject="a\r\nBcc: b",
        text=7,
        headers={"Bcc": "x", "X-A": "a\nb", "X B": "c"},
        tags=[{"name": "a b", "value": "c"}],
        priority="urgent",
        scheduled_at="tomorrow",
        replyto="x",
    )
    assert list(found) == [
        *(
            "to[1]",
            "text",
            "scheduled_at",
            "subject",
            "headers.Bcc",
            "headers.X-A",
            "headers.X B",
            "tags[0]",
            "priority",
        ),
        "replyto",
    ]


def test_a_misspelt_field_is_named_with_the_one_that_was_meant() -> None:
    assert "did you mean reply_to?" in problems(replyTo="help@example.org")["replyTo"]
    assert "the fields are from, to" in problems(zzz=1)["zzz"]


def test_a_field_name_is_repeated_safely() -> None:
    assert list(problems(**{"evil\n\x1b[31m" + "x" * 100: 1})) == ["evil\ufffd\ufffd[31m" + "x" * 53 + "…"]


def test_recipients_are_counted_over_to_cc_and_bcc_without_repetitions() -> None:
    limits = Limits(recipients=3)
    same = {"to": ["a@x.org", "A <a@X.ORG>"], "cc": ["b@x.org", "a@x.org"], "bcc": ["c@x.org", "b@x.org"]}
    found = parse(limits, **same)
    assert [box.address for box in (*found.to, *found.cc, *found.bcc)] == ["a@x.org", "b@x.org", "c@x.org"]
    assert "4 recipients" in problems(limits, **(same | {"bcc": ["c@x.org", "d@x.org"]}))["to"]


def test_a_hidden_recipient_alone_is_enough_but_none_is_not() -> None:
    assert parse(to=None, bcc="ada@example.org").bcc == (ADA,)
    for nobody in (None, [], ()):
        assert "is required" in problems(to=nobody)["to"]


def test_a_million_addresses_are_refused_without_reading_them() -> None:
    start = time.thread_time()
    assert "1000000 items" in problems(to=["nobody"] * 1_000_000)["to"]
    assert time.thread_time() - start < 0.5


def test_no_more_problems_are_told_than_anybody_reads() -> None:
    with pytest.raises(InvalidMessage) as caught:
        parse(to=["nobody"] * 500, **{f"field{number}": 1 for number in range(500)})
    assert len(caught.value.problems) == PROBLEMS


@pytest.mark.parametrize(
    ("body", "html"),
    (
        ("<p>Hello</p>", True),
        ("Hello<br>Ada", True),
        ("Hello<br/>Ada", True),
        ("<!DOCTYPE html><html></html>", True),
        ("<!-- note --> Hello", True),
        ("<A HREF='https://example.org'>x</A>", True),
        ("<a\nhref='https://example.org'>x", True),
        ("</div>", True),
        ("Hello Ada <ada@example.org>", False),
        ("Hello <name>", False),
        ("1 < 2 and 3 > 2", False),
        ("a <b and c", False),
        ("see <https://example.org>", False),
        ("<article-id>", False),
        ("", False),
    ),
)
def test_a_body_is_html_when_it_contains_an_html_tag(body: str, html: bool) -> None:
    assert is_html(body) is html


def test_looking_for_a_tag_takes_no_time() -> None:
    for unit in ("<", "<p", "<p ", "<!doctype", "</"):
        start = time.thread_time()
        assert not is_html(unit * 1_000_000)
        assert time.thread_time() - start < 0.2


def test_a_body_is_text_or_html_beside_the_other() -> None:
    assert parse(text=None, body="Hello").text == "Hello"
    assert parse(text=None, body="<p>Hello</p>").html == "<p>Hello</p>"
    both = parse(text=None, body="Hello", html="<p>Hello</p>")
    assert (both.text, both.html) == ("Hello", "<p>Hello</p>")
    assert parse(body="<p>Hello</p>").html == "<p>Hello</p>"
    assert "give one of the two" in problems(body="Hello")["body"]
    assert "give one of the two" in problems(text=None, body="<p>a</p>", html="<p>b</p>")["body"]


def test_an_empty_message_is_refused() -> None:
    assert "would be empty" in problems(text=None)["text"]
    assert "would be empty" in problems(text="", html="", body="")["text"]


@pytest.mark.parametrize("field", ("text", "html", "body"))
def test_a_body_may_hold_everything_but_lone_surrogates(field: str) -> None:
    assert parse(**({"text": None} | {field: "a\x00\r\n\x85\u2028\U0001f600"}))
    assert "lone surrogate (U+D800)" in problems(**({"text": None} | {field: "ä\ud800"}))[field]


def test_a_body_beyond_the_size_is_refused_before_it_is_built() -> None:
    assert "at most 10 bytes" in problems(Limits(size=10), text="x" * 11)["text"]


def test_a_subject_has_its_limit_and_needs_a_letter() -> None:
    assert parse(subject="  x  ").subject == "x"
    assert len(parse(subject="x" * 998).subject) == 998
    assert "999 characters" in problems(subject="x" * 999)["subject"]
    assert "is empty" in problems(subject="  ")["subject"]
    assert "is required" in problems(subject=None)["subject"]


UNSAFE = ("\r", "\n", "\r\n", "\x00", "\x0b", "\x1b", "\x7f", "\x85", "\u2028", "\u2029", "\ud800")
HEADER_BOUND: dict[str, Any] = {
    "subject": lambda char: {"subject": f"a{char}b"},
    "from": lambda char: {"from": f'"a{char}b" <a@x.org>'},
    "to": lambda char: {"to": f"a{char}b@x.org"},
    "cc[0]": lambda char: {"cc": [f"a{char} <a@x.org>"]},
    "bcc": lambda char: {"bcc": f"a@x{char}.org"},
    "reply_to": lambda char: {"reply_to": f"a@x.org{char}"},
    "headers.X-A": lambda char: {"headers": {"X-A": f"a{char}b"}},
    "unsubscribe_url": lambda char: {"unsubscribe_url": f"https://x.org/a{char}b"},
    "request_id": lambda char: {"request_id": f"a{char}b"},
    "idempotency_key": lambda char: {"idempotency_key": f"a{char}b"},
    "correlation_id": lambda char: {"correlation_id": f"a{char}b"},
}


@pytest.mark.parametrize("char", UNSAFE, ids=ascii)
@pytest.mark.parametrize("field", HEADER_BOUND)
def test_no_character_that_could_end_a_header_passes_in_any_field(field: str, char: str) -> None:
    assert list(problems(**HEADER_BOUND[field](char))) == [field]


@pytest.mark.parametrize("char", UNSAFE, ids=ascii)
def test_nor_in_the_name_of_a_header(char: str) -> None:
    (field,) = problems(headers={f"X-A{char}Bcc": "evil@example.org"})
    assert field.startswith("headers.X-A")
    assert field.isprintable()


@pytest.mark.parametrize(
    "name",
    (
        *("From", "to", "CC", "Bcc", "Reply-To", "Subject", "Sender", "Date", "Message-ID", "Received", "Return-Path"),
        *("MIME-Version", "Content-Type", "content-transfer-encoding", "DKIM-Signature", "ARC-Seal", "Resent-To"),
        *("Auto-Submitted", "X-Request-ID", "X-Emailhub-Id", "Delivered-To", "Authentication-Results"),
    ),
)
def test_a_header_that_others_write_cannot_be_set(name: str) -> None:
    assert "cannot be set" in problems(headers={name: "x"})[f"headers.{name}"]


@pytest.mark.parametrize("name", ("", "1X", "X A", "X:", "X-Ä", "X_A", "-X", "X" * 65, "X-A:\r\nBcc"))
def test_a_header_name_is_letters_digits_and_hyphens(name: str) -> None:
    (sentence,) = problems(headers={name: "x"}).values()
    assert "is not a header name" in sentence


@pytest.mark.parametrize("value", (1, None, "", "   ", ["x"], "x" * 4097))
def test_a_header_value_is_a_text_that_is_not_blank(value: object) -> None:
    assert list(problems(headers={"X-A": value})) == ["headers.X-A"]


@pytest.mark.parametrize(
    "url",
    (
        "https://example.org",
        "https://EXAMPLE.org:8443?x",
        "https://mail.example.org/u/42;a=1?b=%20&c=[1]@,(x)!~*'#top",
        "https://xn--bcher-kva.example/" + "a" * 869,
    ),
)
def test_an_unsubscribe_url_becomes_the_two_headers_of_one_click(url: str) -> None:
    assert parse(unsubscribe_url=url).headers == (
        ("List-Unsubscribe", f"<{url}>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
    )


@pytest.mark.parametrize(
    "url",
    (
        *(7, "", "http://example.org/u", "mailto:u@example.org", "https://", "https:///u", "//example.org/u"),
        *("https://a b.org/", "https://example.org/a>,<https://evil.org", "https://example.org/u>\r\nBcc: x@y.z"),
        *("https://user:pass@example.org/", "https://example.org\\evil", "https://-x.org/", "https://bücher.example/"),
        *("https://example.org/ü", 'https://example.org/"', "https://example.org/?a=?b", "https://a.b/" + "c" * 900),
        *("https://example.org/{id}", "https://example.org:port/", " https://example.org/", ["https://example.org/"]),
    ),
)
def test_anything_but_a_plain_https_url_is_no_unsubscribe_url(url: object) -> None:
    assert list(problems(unsubscribe_url=url)) == ["unsubscribe_url"]


@pytest.mark.parametrize("name", ("List-Unsubscribe", "list-unsubscribe-POST"))
def test_an_unsubscribe_url_and_its_header_exclude_each_other(name: str) -> None:
    assert list(problems(unsubscribe_url="https://example.org/u", headers={name: "<https://x.org>"})) == [
        "unsubscribe_url"
    ]


def test_a_header_given_twice_is_refused_whatever_its_case() -> None:
    assert "given twice" in problems(headers={"X-A": "1", "x-a": "2"})["headers.x-a"]


@pytest.mark.parametrize(
    ("field", "value"),
    (
        ("to", 7),
        ("to", {"email": "ada@example.org"}),
        ("to", [["ada@example.org"]]),
        ("to", True),
        ("from", ["ada@example.org"]),
        ("from", ""),
        ("cc", [""]),
        ("subject", 7),
        ("subject", ["x"]),
        ("html", {"a": 1}),
        ("headers", "X-A: b"),
        ("headers", [{"name": "X-A", "value": "b"}]),
        ("headers", {f"X-{number}": "x" for number in range(51)}),
        ("tags", "a"),
        ("tags", {"name": "a", "value": "b"}),
        ("tags", [{"name": "a", "value": "b"}] * 51),
        ("tags", ["a"]),
        ("tags", [{"name": "a"}]),
        ("tags", [{"name": "a", "value": "b", "more": "c"}]),
        ("tags", [{"name": "a", "value": 1}]),
        ("tags", [{"name": "ä", "value": "b"}]),
        ("tags", [{"name": "a", "value": "x" * 257}]),
        ("tags", [{"name": "a\n", "value": "b"}]),
        ("metadata", []),
        ("metadata", {"a": True}),
        ("metadata", {"a": None}),
        ("metadata", {"a": {"b": 1}}),
        ("metadata", {"a": float("nan")}),
        ("metadata", {"a": float("inf")}),
        ("metadata", {"a": 2**64}),
        ("metadata", {"": "x"}),
        ("metadata", {"a": "\ud800"}),
        ("metadata", {"x" * 65: "x"}),
        ("metadata", {"a": "x" * 1025}),
        ("metadata", {str(number): 1 for number in range(51)}),
        ("request_id", ""),
        ("request_id", 17),
        ("request_id", "x" * 257),
        ("request_id", " padded "),
        ("idempotency_key", ""),
        ("idempotency_key", "with space"),
        ("idempotency_key", "ä"),
        ("idempotency_key", "x" * 257),
        ("on_unknown", "ignore"),
        ("on_unknown", True),
        ("priority", 1),
        ("priority", "HIGH"),
        ("scheduled_at", ""),
        ("scheduled_at", True),
        ("scheduled_at", "2025-13-01T00:00:00Z"),
        ("scheduled_at", "2025-11-25T00:00:00"),
        ("scheduled_at", "in 1 hour or so"),
        ("scheduled_at", "in 367 days"),
        ("scheduled_at", "2" * 100),
        ("scheduled_at", NOW * 1000),
        ("scheduled_at", -1),
        ("scheduled_at", float("nan")),
        ("scheduled_at", "9999-12-31T23:59:59Z"),
        ("scheduled_at", NOW + 367 * 86400),
        ("expires_in", "soon"),
        ("expires_in", "0s"),
        ("expires_in", -5),
        ("expires_in", "400d"),
        ("expires_in", True),
        ("expires_in", float("nan")),
        ("expires_in", "٣m"),
        ("attachments", [{"filename": "a.pdf", "content": "…"}]),
        ("To", "ada@example.org"),
    ),
    ids=lambda value: ascii(value)[:40],
)
def test_a_bad_value_is_one_problem_under_the_fields_own_name(field: str, value: object) -> None:
    ((found, sentence),) = problems(**{field: value}).items()
    assert found.startswith(field)
    assert sentence


def test_a_time_is_iso_8601_with_a_zone_or_unix_seconds() -> None:
    for same in ("2025-11-24T17:00:00Z", "2025-11-24T18:00:00+01:00", "20251124T170000Z", NOW + 3600, int(NOW) + 3600):
        assert parse(scheduled_at=same).scheduled_at == NOW + 3600
    assert parse(scheduled_at="2020-01-01T00:00:00Z").scheduled_at == 1_577_836_800.0


def test_a_time_to_send_may_be_in_plain_words_and_a_time_to_give_up_may_not() -> None:
    assert parse(scheduled_at="in 1 hour").scheduled_at == NOW + 3600
    assert parse(scheduled_at="tomorrow at 9am").scheduled_at == 1_764_061_200.0
    assert "tomorrow at 9am" in problems(scheduled_at="some day")["scheduled_at"]
    assert "is not a time" in problems(expires_at="in 1 hour")["expires_at"]


@pytest.mark.parametrize(
    ("fields", "field"),
    (
        ({"scheduled_at": "today at 0:00"}, "scheduled_at"),
        ({"expires_at": NOW}, "expires_at"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"scheduled_at": NOW + 60, "expires_at": NOW + 60}, "expires_at"),
    ),
)
def test_a_time_that_is_over_leaves_a_message_that_may_be_known_and_is_no_new_one(
    fields: dict[str, object], field: str
) -> None:
    late = parse(**fields).late
    assert late is not None
    assert late.field == field
    assert set(problems(**fields, to="nobody")) == {"to", field}
    assert parse(expires_at=NOW + 1, scheduled_at="now").late is None


def test_a_time_to_live_counts_from_when_the_message_is_to_leave() -> None:
    assert parse(expires_in="10m").expires_at == NOW + 600
    assert parse(expires_in=90).expires_at == NOW + 90
    assert parse(expires_in="1.5h", scheduled_at=NOW + 3600).expires_at == NOW + 3600 + 5400
    assert "give one of the two" in problems(expires_in="1h", expires_at=NOW + 60)["expires_in"]


def test_a_number_of_very_many_digits_is_refused_without_printing_it() -> None:
    assert "64 bits" in problems(metadata={"a": 10**100_000})["metadata.a"]


def test_the_key_is_the_given_one_then_the_idempotency_key_then_the_request_id() -> None:
    outside = Key("amqp:7", explicit=False)
    assert parse(request_id="r").key == Key("r")
    assert parse(request_id="r", idempotency_key="k").key == Key("k")
    assert parse(LIMITS, outside, request_id="r", idempotency_key="k").key == outside
    assert parse().key is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=10), json_values, max_size=8))
def test_any_decoded_json_is_a_submission_or_a_list_of_problems(fields: dict[str, object]) -> None:
    try:
        found = submission(fields, LIMITS, now=NOW)
    except InvalidMessage as error:
        found = None
        told = error.problems
    if found is None:
        assert all(problem.field.isprintable() and problem.message for problem in told)
    else:
        assert found.to or found.cc or found.bcc
        assert found.text or found.html
