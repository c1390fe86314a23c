"""What services publish to the request queue: every shape seen, what becomes of it, and what cannot be read."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.message import Key, Limits
from emailhub.core.parse import submission
from emailhub.core.shapes import Properties, Request, Unreadable, read

PLAIN = Properties()


def bytes_of(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def request(body: object, properties: Properties = PLAIN) -> Request:
    found = read(bytes_of(body), properties)
    assert isinstance(found, Request), found
    return found


def reason(body: object, properties: Properties = PLAIN) -> str:
    found = read(bytes_of(body), properties)
    assert isinstance(found, Unreadable), found
    return found.reason


SEED = {"to": "ada@example.org", "subject": "Hello", "body": "Hello Ada", "request_id": "r-1"}
HELLO = {"to": "ada@example.org", "subject": "Hello", "text": "Hello Ada"}
WELCOME = {"to": "ada@example.org", "subject": "Hi Ada", "html": "<p>Hi Ada, see https://x.org/?a=1&amp;b=2</p>"}
TEMPLATE = {"subject": "Hi {{name}}", "body": "<p>Hi {{ name }}, see {{link}}</p>"}
VARIABLES = {"name": "Ada", "link": "https://x.org/?a=1&b=2", "meta": {"plan": "pro"}}
LETTER = {"subject": "Hello", "body": "Hello Ada"}

SHAPES: dict[str, tuple[object, dict[str, object]]] = {
    "the first hub's body": (SEED, HELLO | {"request_id": "r-1"}),
    "html in body": (
        SEED | {"body": "<p>Hello</p>"},
        {k: v for k, v in HELLO.items() if k != "text"} | {"html": "<p>Hello</p>", "request_id": "r-1"},
    ),
    "to_email": (LETTER | {"to_email": "ada@example.org"}, HELLO),
    "recipient": (LETTER | {"recipient": "ada@example.org"}, HELLO),
    "recipient_email": (LETTER | {"recipient_email": "ada@example.org"}, HELLO),
    "user_email": (LETTER | {"user_email": "ada@example.org"}, HELLO),
    "email": (LETTER | {"email": "ada@example.org"}, HELLO),
    "email_address": (LETTER | {"email_address": "ada@example.org"}, HELLO),
    "user.email": (LETTER | {"user": {"id": 7, "email": "ada@example.org"}}, HELLO),
    "user.data.email": (LETTER | {"user": {"success": True, "data": {"email": "ada@example.org"}}}, HELLO),
    "contact_info.email": (LETTER | {"contact_info": {"email": "ada@example.org"}}, HELLO),
    "variables.__user.email": (LETTER | {"variables": {"__user": {"email": "ada@example.org"}}}, HELLO),
    "metadata.recipient_email": (LETTER | {"metadata": {"recipient_email": "ada@example.org"}}, HELLO),
    "metadata.email": (LETTER | {"metadata": {"email": "ada@example.org"}}, HELLO),
    "metadata.to": (LETTER | {"metadata": {"to": "ada@example.org"}}, HELLO),
    "variables.email": (LETTER | {"variables": {"email": "ada@example.org"}}, HELLO),
    "delivery_targets.email": (LETTER | {"delivery_targets": {"email": "ada@example.org", "push": "tok"}}, HELLO),
    "a list of addresses": (
        LETTER | {"to": ["ada@example.org", "bob@example.org"]},
        HELLO | {"to": ["ada@example.org", "bob@example.org"]},
    ),
    "an address as an object": (
        LETTER | {"to": {"email": "ada@example.org", "name": 'Ada "A"'}},
        HELLO | {"to": '"Ada \\"A\\"" <ada@example.org>'},
    ),
    "addresses as objects": (
        LETTER | {"recipient": [{"email": "ada@example.org"}]},
        HELLO | {"to": ["ada@example.org"]},
    ),
    "an empty to beside another name": (LETTER | {"to": "", "recipient": None, "email": "ada@example.org"}, HELLO),
    "a user's id in to": (LETTER | {"to": "user-7", "email": "ada@example.org"}, HELLO),
    "template_subject and template_content": (
        {
            "to_email": "ada@example.org",
            "template_subject": "Hi {{name}}",
            "template_content": TEMPLATE["body"],
            "variables": VARIABLES,
        },
        WELCOME,
    ),
    "template.subject and template.body": (
        {"to": "ada@example.org", "template": TEMPLATE, "variables": VARIABLES},
        WELCOME,
    ),
    "template.content": (
        {
            "email": "ada@example.org",
            "template": {"slug": "hi", "subject": TEMPLATE["subject"], "content": TEMPLATE["body"]},
            "data": VARIABLES,
        },
        WELCOME,
    ),
    "template.name for want of a subject": (
        {"to": "ada@example.org", "template": {"name": "Hi Ada", "content": TEMPLATE["body"]}, "context": VARIABLES},
        WELCOME,
    ),
    "template_vars.variables": (
        {"to": "ada@example.org", "template": TEMPLATE, "template_vars": {"variables": VARIABLES}},
        WELCOME,
    ),
    "a template's code": (
        {"to": "ada@example.org", "template_code": "welcome", "variables": VARIABLES},
        {"to": "ada@example.org", "template": {"id": "welcome", "language": None, "variables": VARIABLES}},
    ),
    "a template's id with a language and a subject of its own": (
        {"to": "ada@example.org", "templateId": 7, "locale": "pt_BR", "subject": "Hi {{name}}"}
        | {"data": VARIABLES | {"not-a-name": 1}},
        {
            "to": "ada@example.org",
            "template": {"id": "7", "language": "pt-br", "variables": VARIABLES},
            "subject": "Hi Ada",
        },
    ),
    "a template as over HTTP": (
        {"to": "ada@example.org", "template": {"id": "hi", "variables": VARIABLES, "language": "fr"}},
        {"to": "ada@example.org", "template": {"id": "hi", "language": "fr", "variables": VARIABLES}},
    ),
    "a template's name, and a language that is none": (
        {"to": "ada@example.org", "template": "hi", "language": "the usual one", "subject": " "},
        {"to": "ada@example.org", "template": {"id": "hi", "language": None, "variables": {}}},
    ),
    "a template's slug": (
        {"to": "ada@example.org", "template": {"slug": "hi", "name": "not the subject"}},
        {"to": "ada@example.org", "template": {"id": "hi", "language": None, "variables": {}}},
    ),
    "a template without its variables": (
        {"to": "ada@example.org", "template": TEMPLATE},
        {"to": "ada@example.org", "subject": "Hi ", "html": "<p>Hi , see </p>"},
    ),
    "placeholders in a plain body": (
        LETTER | {"to": "ada@example.org", "body": "Plan {{meta.plan}} for {{nobody}}.", "variables": VARIABLES},
        HELLO | {"text": "Plan pro for ."},
    ),
    "braces without variables": (
        LETTER | {"to": "ada@example.org", "body": "Use {{name}} and {% x %}"},
        HELLO | {"text": "Use {{name}} and {% x %}"},
    ),
    "metadata.subject and metadata.body": (
        {"to": "ada@example.org", "metadata": {"subject": "Hello", "body": "Hello Ada"}},
        HELLO,
    ),
    "variables.subject": ({"to": "ada@example.org", "content": "Hello Ada", "variables": {"subject": "Hello"}}, HELLO),
    "content": ({"to": "ada@example.org", "subject": "Hello", "content": "Hello Ada"}, HELLO),
    "message": ({"to": "ada@example.org", "subject": "Hello", "message": "Hello Ada"}, HELLO),
    "html_body and text_body": (
        {"to": "ada@example.org", "subject": "Hello", "html_body": "<p>Hello</p>", "text_body": "Hello Ada"},
        HELLO | {"html": "<p>Hello</p>"},
    ),
    "body_html and body_text": (
        {"to": "ada@example.org", "subject": "Hello", "body_html": "<p>Hello</p>", "body_text": "Hello Ada"},
        HELLO | {"html": "<p>Hello</p>"},
    ),
    "html_content beside body": (
        SEED | {"html_content": "<p>Hello</p>"},
        HELLO | {"html": "<p>Hello</p>", "request_id": "r-1"},
    ),
    "html and text": (
        {"to": "ada@example.org", "subject": "Hello", "html": "<i>x</i>", "text": "Hello Ada"},
        HELLO | {"html": "<i>x</i>"},
    ),
    "a NestJS message": ({"pattern": "email", "data": SEED}, HELLO | {"request_id": "r-1"}),
    "a NestJS request": ({"pattern": {"cmd": "send_email"}, "data": SEED, "id": "77"}, HELLO | {"request_id": "r-1"}),
    "an answer as an envelope": (
        {"success": True, "data": SEED, "message": "ok", "error": None, "meta": {}},
        HELLO | {"request_id": "r-1"},
    ),
    "camel case": (
        {"toEmail": "ada@example.org", "subject": "Hello", "textBody": "Hello Ada", "requestId": "r-1"},
        HELLO | {"request_id": "r-1"},
    ),
    "pascal case": ({"To": "ada@example.org", "Subject": "Hello", "Body": "Hello Ada"}, HELLO),
    "the whole task's body with an address": (
        {
            "notification_type": "email",
            "user_id": "5b0f2f0e-8f4c-4d8e-9d59-1f8a0e5f7a11",
            "template_code": "welcome",
            "variables": VARIABLES | {"email": "ada@example.org"},
            "template": TEMPLATE,
            "request_id": "r-1",
            "priority": 10,
            "retry_count": 2,
            "status": "failed",
            "sender": "notification-service",
            "from": "notification-service",
            "created_at": "2025-11-10T10:00:00Z",
        },
        WELCOME | {"request_id": "r-1"},
    ),
    "type of a mail, not of a channel": (SEED | {"type": "welcome"}, HELLO | {"request_id": "r-1"}),
    "several channels, one of them email": (SEED | {"channel": ["push", "Email"]}, HELLO | {"request_id": "r-1"}),
    "our own fields": (
        SEED
        | {
            "from": "Shop <shop@example.org>",
            "cc": "c@example.org",
            "bcc": ["d@example.org"],
            "reply_to": "h@example.org",
            "on_unknown": "hold",
            "expires_in": "1h",
            "unsubscribe_url": "https://example.org/u/1",
            "tags": [{"name": "a", "value": "b"}],
        },
        HELLO
        | {
            "request_id": "r-1",
            "from": "Shop <shop@example.org>",
            "cc": "c@example.org",
            "bcc": ["d@example.org"],
            "reply_to": "h@example.org",
            "on_unknown": "hold",
            "expires_in": "1h",
            "unsubscribe_url": "https://example.org/u/1",
            "tags": [{"name": "a", "value": "b"}],
        },
    ),
    "an unsubscribe URL that no header can have": (
        SEED | {"unsubscribe_url": "http://example.org/u"},
        HELLO | {"request_id": "r-1"},
    ),
    "flat metadata only": (
        SEED
        | {
            "metadata": {
                "order": 7,
                "who": "ada",
                "deep": {},
                "flag": True,
                "email": "x@example.org",
                "none": None,
                "long": "x" * 2000,
            }
        },
        HELLO | {"request_id": "r-1", "metadata": {"order": 7, "who": "ada"}},
    ),
    "copied HTTP headers": (
        SEED
        | {"headers": {"Authorization": "Bearer secret", "x-api-key": "secret", "List-Unsubscribe": "<https://x.org>"}},
        HELLO | {"request_id": "r-1", "headers": {"List-Unsubscribe": "<https://x.org>"}},
    ),
    "tags of another kind": (SEED | {"tags": ["a", "b"]}, HELLO | {"request_id": "r-1"}),
    "attachments": (
        SEED | {"attachments": [{"filename": "a.pdf", "content": "QQ==", "content_id": "a"}]},
        HELLO | {"request_id": "r-1", "attachments": [{"filename": "a.pdf", "content": "QQ==", "content_id": "a"}]},
    ),
    "attachments by other names": (
        SEED
        | {
            "attachments": [
                {"fileName": "a.pdf", "data": "QQ==", "mimeType": "application/pdf", "cid": "a", "encoding": "base64"},
                {"name": "b", "url": "https://example.org/b", "size": 7, "content": None},
            ]
        },
        HELLO
        | {
            "request_id": "r-1",
            "attachments": [
                {"filename": "a.pdf", "content": "QQ==", "content_type": "application/pdf", "content_id": "a"},
                {"filename": "b", "path": "https://example.org/b"},
            ],
        },
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + bytes_of(SEED), HELLO | {"request_id": "r-1"}),
    "white space around": (b"\r\n " + bytes_of(SEED) + b"\n", HELLO | {"request_id": "r-1"}),
    "a name given twice": (
        b'{"to":"x@example.org","to":"ada@example.org","subject":"Hello","body":"Hello Ada"}',
        HELLO,
    ),
    "numbers as ids": (SEED | {"request_id": 17}, HELLO | {"request_id": "17"}),
}


def test_attachments_that_cannot_be_understood_are_not_left_out() -> None:
    found = read(bytes_of(SEED | {"attachments": ["report.pdf"]}), Properties())
    assert isinstance(found, Request)
    assert found.fields["attachments"] == ["report.pdf"]


@pytest.mark.parametrize(("body", "fields"), SHAPES.values(), ids=SHAPES)
def test_a_shape_is_understood_and_acceptable(body: object, fields: dict[str, object]) -> None:
    found = request(body)
    assert found.fields == fields
    accepted = submission(found.fields, Limits(), now=1_764_000_000.0, key=found.key)
    assert accepted.key == found.key


@pytest.mark.parametrize(
    "content_type", (None, "", "application/json", "text/plain", "application/octet-stream", "nonsense")
)
def test_the_content_type_does_not_matter(content_type: str | None) -> None:
    assert request(SEED, Properties(content_type=content_type)) == request(SEED)


UNREADABLE: dict[str, tuple[object, str]] = {
    "nothing": (b"", "is empty"),
    "white space": (b" \r\n\t", "is empty"),
    "a byte order mark alone": (b"\xef\xbb\xbf", "is empty"),
    "half a body": (bytes_of(SEED)[:-5], "is not JSON"),
    "two bodies": (bytes_of(SEED) * 2, "is not JSON"),
    "plain words": (b"hello", "is not JSON"),
    "a list": ([SEED], "not an object"),
    "a number": (7, "not an object"),
    "a text": ("to: ada@example.org", "not an object"),
    "null": (None, "not an object"),
    "bytes that are not UTF-8": (b'{"to":"ada@example.org","body":"\xe4"}', "not UTF-8"),
    "UTF-16": (json.dumps(SEED).encode("utf-16"), "not"),
    "a lone surrogate": (b'{"to":"\\ud800@example.org"}', "is not JSON"),
    "a Python dict": (str(SEED).encode(), "printed Python dict"),
    "a Java object": (b"\xac\xed\x00\x05sr\x00\x11java.util.HashMap", "serialised Java object"),
    "gzip": (b"\x1f\x8b\x08\x00\x00\x00", "gzip"),
    "NaN": (b'{"to": NaN}', "is not JSON"),
    "a huge number": (b'{"to": ' + b"9" * 5000 + b"}", "is not JSON"),
    "five thousand arrays": (b'{"to":' + b"[" * 5000 + b"]" * 5000 + b"}", "nested more than 64"),
    "five thousand objects": (b'{"to":' * 5000 + b"1" + b"}" * 5000, "nested more than 64"),
    "an endless array": (b"[" * 100_000, "nested more than 64"),
    "an empty object": ({}, "no address"),
    "no address": (LETTER, "no address"),
    "a user's id only": (LETTER | {"user_id": "u-7"}, "only the user id u-7"),
    "a camel-case user's id only": (LETTER | {"userId": 7}, "only the user id 7"),
    "no content": ({"to": "ada@example.org", "subject": "Hello"}, "no content"),
    "blank content": ({"to": "ada@example.org", "subject": "Hello", "body": "  "}, "no content"),
    "content of another type": ({"to": "ada@example.org", "subject": "Hello", "body": {"text": "x"}}, "no content"),
    "neither address nor content": ({"user_id": "u-7", "notification_type": "email"}, "; it brings no content"),
    "a template's code for a user's id": ({"user_id": "u-7", "template_code": "welcome"}, "only the user id u-7"),
    "push": (SEED | {"notification_type": "push"}, "notification_type is push"),
    "push by channel": (SEED | {"channel": "PUSH"}, "channel is push"),
    "push by type": (SEED | {"type": "push"}, "type is push"),
    "sms in a NestJS message": ({"pattern": "x", "data": SEED | {"channel": "sms"}}, "channel is sms"),
    "blocks in a template": (
        {"to": "ada@example.org", "template": {"subject": "x", "body": "{% if a %}x{% endif %}"}},
        "plain variables",
    ),
    "a filter in a subject": (
        LETTER | {"to": "ada@example.org", "subject": "{{ a|upper }}", "variables": {}},
        "plain variables",
    ),
    "an envelope in an envelope": ({"pattern": "x", "data": {"success": True, "data": SEED}}, "no address"),
    "an answer that failed": ({"success": False, "data": None, "error": "no such user"}, "no address"),
    "a dead letter of somebody else": ({"error": "timeout", "original": SEED}, "no address"),
}


@pytest.mark.parametrize(("body", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_become_a_mail_is_told_with_its_reason(body: object, words: str) -> None:
    assert words in reason(body)


def test_a_reason_repeats_neither_content_nor_control_characters() -> None:
    secret = {
        "template_code": "evil\n\x1b[31m" + "x" * 500,
        "variables": {"otp": "123456"},
        "user_id": "u\r\n" + "y" * 500,
    }
    told = reason(secret)
    assert "123456" not in told
    assert told.isprintable()
    assert len(told) < 500


def test_the_envelopes_pattern_is_kept() -> None:
    assert request({"pattern": "email", "data": SEED}).pattern == "email"
    assert request({"pattern": {"cmd": "send"}, "data": SEED}).pattern == '{"cmd":"send"}'
    assert request(SEED).pattern == ""


def test_an_object_with_more_names_than_an_envelope_is_no_envelope() -> None:
    body = {"success": True, "data": {"name": "Ada"}, "to": "ada@example.org", "subject": "Hi {{name}}", "body": "Hi"}
    assert request(body).fields["subject"] == "Hi Ada"


AMQP = Properties(message_id="m-1")


@pytest.mark.parametrize(
    ("more", "properties", "key"),
    (
        ({"request_id": "r-1", "notification_id": "n-1", "id": "i-1"}, AMQP, Key("r-1")),
        ({"idempotency_key": "k-1", "request_id": "r-1"}, AMQP, Key("k-1")),
        ({}, Properties(headers={"Idempotency_Key": "k-2"}), Key("k-2")),
        ({}, Properties(headers={"request_id": "r-2"}), Key("r-2")),
        ({}, Properties(headers={"X-Request-ID": "r-3"}, message_id="m-1"), Key("r-3")),
        ({}, Properties(headers={"x-request-id": 17}), Key("17")),
        ({"notification_id": "n-1", "id": "i-1"}, AMQP, Key("notification_id:n-1", explicit=False)),
        ({"id": 5}, AMQP, Key("id:5", explicit=False)),
        ({}, AMQP, Key("amqp:m-1", explicit=False)),
        ({"id": "bad\nid"}, AMQP, Key("amqp:m-1", explicit=False)),
        ({"id": True, "notification_id": None}, PLAIN, None),
        ({"user_id": "u-1", "userId": "u-1"}, PLAIN, None),
        ({}, Properties(headers={"x-request-id": {"a": 1}, "request_id": ""}), None),
    ),
    ids=str,
)
def test_the_key_is_an_id_made_for_one_request_and_never_who_it_is_for(
    more: dict[str, Any], properties: Properties, key: Key | None
) -> None:
    assert request(LETTER | {"to": "ada@example.org"} | more, properties).key == key


def test_an_id_that_cannot_be_one_is_left_to_be_refused_by_name() -> None:
    found = request(SEED | {"request_id": "x" * 300})
    assert found.request_id is None
    with pytest.raises(ValueError, match="request_id: must be 1 to 256"):
        submission(found.fields, Limits(), now=0.0, key=found.key)


def test_the_hash_is_of_the_bytes_as_they_came() -> None:
    first, second = request(bytes_of(SEED)), request(bytes_of(SEED) + b" ")
    assert first.body_hash.startswith("sha256:")
    assert first.body_hash != second.body_hash
    assert first.body_hash == request(SEED, AMQP).body_hash


@pytest.mark.parametrize(
    ("more", "properties", "correlation_id"),
    (
        ({"correlation_id": "b"}, Properties(correlation_id="p", headers={"x-correlation-id": "h"}), "p"),
        ({"correlation_id": "b"}, Properties(headers={"X-Correlation-ID": "h"}), "h"),
        ({"correlation_id": "b"}, Properties(headers={"correlation_id": "h"}), "h"),
        ({"correlationId": "b"}, PLAIN, "b"),
        ({"request_id": "r"}, PLAIN, "r"),
        ({"notification_id": "n"}, PLAIN, "n"),
        ({"correlation_id": "bad\r\nid", "request_id": "r"}, Properties(correlation_id="x" * 300), "r"),
        ({}, PLAIN, None),
    ),
    ids=str,
)
def test_the_correlation_id_is_the_publishers(
    more: dict[str, Any], properties: Properties, correlation_id: str | None
) -> None:
    assert request(LETTER | {"to": "ada@example.org"} | more, properties).correlation_id == correlation_id


def test_the_ids_of_what_cannot_be_read_are_kept_for_the_dead_letter() -> None:
    found = read(b"{", Properties(correlation_id="c-1", headers={"x-request-id": "r-1"}))
    assert isinstance(found, Unreadable)
    assert (found.correlation_id, found.request_id) == ("c-1", "r-1")
    found = read(bytes_of({"request_id": "r-2"}), PLAIN)
    assert isinstance(found, Unreadable)
    assert (found.correlation_id, found.request_id) == ("r-2", "r-2")


def test_our_own_dead_letter_is_recognised_when_it_comes_back() -> None:
    assert Properties(headers={"X-Emailhub-Id": "01ABC"}).returned
    assert not Properties(headers={"x-death": "1"}).returned


def test_a_control_character_in_a_filled_subject_is_refused_and_not_sent() -> None:
    found = request(
        {"to": "ada@example.org", "template": TEMPLATE, "variables": {"name": "Ada\r\nBcc: evil@example.org"}}
    )
    with pytest.raises(ValueError, match="subject: contains a carriage return"):
        submission(found.fields, Limits(), now=0.0)


names = st.sampled_from(
    (
        *("to", "email", "user", "template", "subject", "body", "html", "content", "data", "pattern", "success", "cc"),
        *("variables", "metadata", "type", "channel", "request_id", "id", "headers", "tags", "from", "userId", "x"),
    )
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["ada@example.org", "", "{{x}}", "<p>", "{%", "push", "\x00"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=8), st.dictionaries(names, values, max_size=3))
def test_any_json_is_a_request_or_has_a_reason(body: dict[str, object], headers: dict[str, object]) -> None:
    found = read(bytes_of(body), Properties(headers=headers))
    assert found.body_hash
    if isinstance(found, Unreadable):
        assert found.reason.isprintable()
    else:
        assert "to" in found.fields
        assert found.fields.keys() & {"text", "html", "template"}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_have_a_reason(body: bytes) -> None:
    assert isinstance(read(body, PLAIN), Request | Unreadable)
