"""Whatever comes over HTTP: a 4xx that names the field, never a 5xx, and nothing is stored."""

from __future__ import annotations

import json
from email import message_from_bytes, policy
from typing import Any, NamedTuple

import httpx

from tests.support.web_hub import GOOD, SEED, WebHub

JSON = {"content-type": "application/json"}
LONE = '{"from":"a@example.org","to":"b@example.org","subject":"\\ud800","text":"x"}'
MANY_NAMES = b"{" + b",".join(b'"n%d":1' % number for number in range(100_000)) + b',"n99999":2}'


class Bad(NamedTuple):
    """What is sent, the status that must come, and the field that must be named (None: the request as a whole)."""

    name: str
    content: bytes | str | dict[str, Any] | list[Any] | float | None
    status: int
    field: str | None = None
    path: str = "/emails"
    headers: dict[str, str] = JSON


def emails(name: str, field: str, **fields: Any) -> Bad:
    """A message that is good but for one field."""
    return Bad(name, GOOD | fields, 422, field)


def contract(name: str, field: str, **fields: Any) -> Bad:
    """The same for the original endpoint."""
    return Bad(name, SEED | fields, 422, field, "/send_email/")


UNREADABLE = [
    Bad("empty body", b"", 400, "$"),
    Bad("white space only", b" \n ", 400, "$"),
    Bad("not json", b"to=ada", 400, "$"),
    Bad("cut off", b'{"to": "ada@exam', 400, "$"),
    Bad("trailing comma", b'{"to": "a@example.org",}', 400, "$"),
    Bad("two documents", b"{} {}", 400, "$"),
    Bad("comment", b"{} // hello", 400, "$"),
    Bad("single quotes", b"{'to': 'a@example.org'}", 400, "$"),
    Bad("nan", b'{"to": NaN}', 400, "$"),
    Bad("infinity", b'{"to": -Infinity}', 400, "$"),
    Bad("number that overflows", b'{"metadata": {"n": 1e999}}', 400, "$"),
    Bad("number of five thousand digits", b'{"metadata": {"n": ' + b"9" * 5000 + b"}}", 400, "$"),
    Bad("the same field twice", b'{"to": "a@example.org", "to": "b@example.org"}', 400, "$"),
    Bad("the same field twice inside", b'{"metadata": {"a": 1, "a": 2}}', 400, "$"),
    Bad("a hundred thousand names and one of them twice", MANY_NAMES, 400, "$"),
    Bad("invalid utf-8", b'{"subject": "\xff\xfe"}', 400, "$"),
    Bad("utf-16", '{"to": "a@example.org"}'.encode("utf-16"), 400, "$"),
    Bad("cut utf-8", b'{"subject": "\xc3"}', 400, "$"),
    Bad("surrogate in utf-8", b'{"subject": "\xed\xa0\x80"}', 400, "$"),
    Bad("five thousand deep lists", b"[" * 5000 + b"]" * 5000, 400, "$"),
    Bad("five thousand deep objects", b'{"a":' * 5000 + b"1" + b"}" * 5000, 400, "$"),
    Bad("a hundred thousand deep", b"[" * 100_000, 400, "$"),
    Bad("control character in a string", b'{"subject": "a\x00b"}', 400, "$"),
    Bad("list", [GOOD], 422, "$"),
    Bad("null", b"null", 422, "$"),
    Bad("string", b'"ada@example.org"', 422, "$"),
    Bad("number", 4711.5, 422, "$"),
    Bad("true", b"true", 422, "$"),
    Bad("no content type", json.dumps(GOOD), 415, None, headers={}),
    Bad("text/plain, which other sites may send", json.dumps(GOOD), 415, None, headers={"content-type": "text/plain"}),
    Bad("form", "to=a@example.org", 415, None, headers={"content-type": "application/x-www-form-urlencoded"}),
    Bad("multipart", b"--x\r\n\r\n--x--", 415, None, headers={"content-type": "multipart/form-data; boundary=x"}),
    Bad("almost json", json.dumps(GOOD), 415, None, headers={"content-type": "application/json5"}),
    Bad("latin-1", json.dumps(GOOD), 415, None, headers={"content-type": "application/json; charset=iso-8859-1"}),
    Bad("gzip", b"\x1f\x8b\x08", 415, None, headers=JSON | {"content-encoding": "gzip"}),
    Bad("deflate", b"x", 415, None, headers=JSON | {"content-encoding": "identity, deflate"}),
    Bad("bad idempotency key", GOOD, 400, "Idempotency-Key", headers=JSON | {"idempotency-key": "has a space"}),
    Bad("empty idempotency key", GOOD, 400, "Idempotency-Key", headers=JSON | {"idempotency-key": ""}),
    Bad("long idempotency key", GOOD, 400, "Idempotency-Key", headers=JSON | {"idempotency-key": "k" * 257}),
]
FILE = {"filename": "a.pdf", "content": "QQ=="}
FIELDS = [
    emails("no recipient", "to", to=None),
    emails("empty recipient", "to", to=""),
    emails("empty list of recipients", "to", to=[]),
    emails("recipient without at", "to", to="ada"),
    emails("recipient without domain", "to", to="ada@"),
    emails("recipient with two ats", "to", to="a@b@example.org"),
    emails("recipient with a line break", "to", to="ada@example.org\r\nBcc: eve@example.org"),
    emails("recipient with a null", "to", to="ada\x00@example.org"),
    emails("recipient that is a number", "to", to=5),
    emails("recipient that is an object", "to", to={"email": "ada@example.org"}),
    emails("second recipient bad", "to[1]", to=["ada@example.org", "nobody"]),
    emails("recipient in a list that is null", "to[0]", to=[None]),
    emails("source route", "to", to="<@relay.example:ada@example.org>"),
    emails("address with a comment", "to", to="ada(hi)@example.org"),
    emails("very long address", "to", to="a" * 400 + "@example.org"),
    emails("address of fifty thousand characters", "to", to="a" * 50_000),
    emails("fifty-one recipients", "to", to=[f"a{n}@example.org" for n in range(51)]),
    emails("a hundred thousand recipients", "to", to=["a@example.org"] * 100_000),
    emails("recipients over all three fields", "to", cc=[f"c{n}@example.org" for n in range(50)]),
    emails("bad cc", "cc", cc="nobody"),
    emails("bad bcc", "bcc[0]", bcc=["nobody"]),
    emails("bad reply_to", "reply_to", reply_to="nobody"),
    emails("bad sender", "from", **{"from": "nobody"}),
    emails("two senders", "from", **{"from": "a@example.org, b@example.org"}),
    emails("sender with a hidden header", "from", **{"from": "A\nBcc: eve@example.org <a@example.org>"}),
    emails("no subject", "subject", subject=None),
    emails("empty subject", "subject", subject=""),
    emails("subject with a line break", "subject", subject="Hi\nBcc: eve@example.org"),
    emails("subject with a separator", "subject", subject="Hi\u2028there"),
    emails("long subject", "subject", subject="s" * 999),
    emails("subject that is a list", "subject", subject=["Hi"]),
    emails("no content", "text", text=None),
    emails("empty content", "text", text=""),
    emails("text that is a number", "text", text=5),
    emails("html that is an object", "html", html={"a": 1}),
    emails("text twice", "body", body="Hi again"),
    emails("message over the limit", "text", text="x" * (10 * 2**20 + 1)),
    emails("header that splits", "headers.X-A", headers={"X-A": "a\r\nBcc: eve@example.org"}),
    emails("header name that splits", "headers.X: y\ufffdBcc", headers={"X: y\nBcc": "eve@example.org"}),
    emails("header that is ours", "headers.Bcc", headers={"Bcc": "eve@example.org"}),
    emails("headers that are a list", "headers", headers=["X-A"]),
    emails("header that is a number", "headers.X-A", headers={"X-A": 5}),
    emails("too many headers", "headers", headers={f"X-{n}": "a" for n in range(51)}),
    emails("tag with a space", "tags[0]", tags=[{"name": "a b", "value": "c"}]),
    emails("tag that is a string", "tags[0]", tags=["a"]),
    emails("metadata that is nested", "metadata.a", metadata={"a": {"b": 1}}),
    emails("metadata that is too large a number", "$", metadata={"a": 10**30})._replace(status=400),
    emails("request id with a line break", "request_id", request_id="a\nb"),
    emails("request id of a thousand characters", "request_id", request_id="r" * 1000),
    emails("request id that is a number", "request_id", request_id=5),
    emails("key with a space", "idempotency_key", idempotency_key="a b"),
    emails("policy that does not exist", "on_unknown", on_unknown="panic"),
    emails("priority that does not exist", "priority", priority="urgent"),
    emails("correlation id with a space", "correlation_id", correlation_id="a b"),
    emails("correlation id that is too long", "correlation_id", correlation_id="a" * 129),
    emails("correlation id that is a number", "correlation_id", correlation_id=5),
    emails("body to be stored perhaps", "store_body", store_body="false"),
    emails("time without a zone", "scheduled_at", scheduled_at="2027-02-01T00:00:00"),
    emails("time in words", "scheduled_at", scheduled_at="tomorrow"),
    emails("time too far away", "scheduled_at", scheduled_at="2099-01-01T00:00:00Z"),
    emails("expired already", "expires_at", expires_at="2020-01-01T00:00:00Z"),
    emails("no time to live", "expires_in", expires_in="0s"),
    emails("field that does not exist", "recipient", recipient="ada@example.org"),
    emails("field with a strange name", "a\ufffdb", **{"a\nb": 1}),
    Bad("lone surrogate in the subject", LONE, 422, "subject"),
    Bad("lone surrogate as a name", '{"\\udfff": 1}', 422, "\ufffd"),
    Bad("lone surrogate deep inside", '{"metadata": {"a": ["\\ud800"]}}', 422, "metadata"),
    emails("attachments that are no list", "attachments", attachments={"filename": "a", "content": "QQ=="}),
    emails("an attachment that is cut off", "attachments[0].content", attachments=[FILE | {"content": "QUI"}]),
    emails("an attachment without a name", "attachments[1].filename", attachments=[FILE, FILE | {"filename": None}]),
    emails("an attachment with a line break", "attachments[0].filename", attachments=[FILE | {"filename": "a\nb"}]),
    emails("an attachment by http", "attachments[0].path", attachments=[{"path": "http://example.org/a.pdf"}]),
    emails("an attachment by URL", "attachments[0].path", attachments=[{"path": "https://example.org/a.pdf"}]),
    emails("fifty-one attachments", "attachments", attachments=[FILE] * 51),
    emails("an attachment over the limit", "attachments[0].content", attachments=[FILE | {"content": "A" * 2**23 * 2}]),
    emails("attachments over the limit", "attachments", attachments=[FILE | {"content": "A" * 2**23}] * 2),
    contract("no address", "to", to=None),
    contract("bad address", "to", to="nobody"),
    contract("no subject there", "subject", subject=None),
    contract("no body there", "body", body=None),
    contract("empty body there", "body", body=""),
    contract("body that is a number", "body", body=7),
    contract("no request id", "request_id", request_id=None),
    contract("request id that is a list", "request_id", request_id=[]),
    contract("a field of the other endpoint", "scheduled_at", scheduled_at="2027-02-01T00:00:00Z"),
    contract("bad cc there", "cc", cc="nobody"),
    Bad("status without an id", {}, 422, "request_id", "/status/"),
    Bad("status with a number", {"request_id": 5}, 422, "request_id", "/status/"),
    Bad("status with a line break", {"request_id": "a\nb"}, 422, "request_id", "/status/"),
    Bad("status that is a list", [], 422, "$", "/status/"),
    Bad("status that is deep", b"[" * 5000, 400, "$", "/status/"),
    Bad("breaker without a state", {}, 422, "state", "/breakers/capture"),
    Bad("breaker in a state there is not", {"state": "ajar"}, 422, "state", "/breakers/capture"),
    Bad("breaker state that is a list", {"state": ["open"]}, 422, "state", "/breakers/capture"),
    Bad(
        "breaker until yesterday", {"state": "open", "until": "2020-01-01T00:00:00Z"}, 422, "until", "/breakers/capture"
    ),
    Bad("breaker until never", {"state": "open", "until": "whenever"}, 422, "until", "/breakers/capture"),
    Bad("breaker with a long reason", {"state": "open", "reason": "r" * 501}, 422, "reason", "/breakers/capture"),
    Bad("breaker with a strange field", {"state": "open", "for": "1h"}, 422, "for", "/breakers/capture"),
    Bad("breaker of no relay", {"state": "open"}, 404, None, "/breakers/nowhere"),
    Bad("reason with a line break", {"reason": "a\nb"}, 422, "reason", "/emails/x/cancel"),
    Bad("retry of no message", {}, 404, None, "/emails/nothing/retry"),
]
TABLE = UNREADABLE + FIELDS


async def send(client: httpx.AsyncClient, bad: Bad) -> httpx.Response:
    content = bad.content if isinstance(bad.content, bytes | str) else json.dumps(bad.content)
    return await client.post(bad.path, content=content, headers=bad.headers)


async def test_every_bad_input_is_a_4xx_that_names_the_field_and_stores_nothing(hub: WebHub) -> None:
    wrong = []
    for bad in TABLE:
        response = await send(hub.client, bad)
        document = response.json()
        fields = [problem["field"] for problem in document["errors"]]
        if response.status_code != bad.status or (bad.field is not None and bad.field not in fields):
            wrong.append(f"{bad.name}: {response.status_code} {document}"[:400])
        if document["statusCode"] != response.status_code or not document["name"] or not document["message"]:
            wrong.append(f"{bad.name}: not the shape of an error: {document}"[:400])
    assert not wrong, "\n".join(wrong)
    assert len(TABLE) >= 60
    assert await hub.stored() == 0


async def test_every_bad_change_of_time_is_named_and_changes_nothing(hub: WebHub) -> None:
    id = await hub.send(scheduled_at="in 1 hour")
    for fields, field in (
        ({}, "scheduled_at"),
        ({"scheduled_at": None}, "scheduled_at"),
        ({"scheduled_at": "whenever"}, "scheduled_at"),
        ({"scheduled_at": "2027-02-01T00:00:00"}, "scheduled_at"),
        ({"scheduled_at": ["in 1 hour"]}, "scheduled_at"),
        ({"scheduled_at": "in 900 days"}, "scheduled_at"),
        ({"scheduled_at": "in 1 hour", "id": "other"}, "id"),
        ({"scheduled_at": "in 1 hour", "subject": "Other"}, "subject"),
        ({"scheduled_at": "in 1 hour", "reason": "a\nb"}, "reason"),
        ([], "$"),
    ):
        response = await hub.client.patch(f"/emails/{id}", json=fields)
        assert response.status_code == 422, fields
        assert field in [problem["field"] for problem in response.json()["errors"]], fields
    assert (await hub.client.get(f"/emails/{id}")).json()["scheduled_at"] == "2027-01-15T09:00:00.000Z"


BAD_QUERIES = {
    "limit=0": "limit",
    "limit=101": "limit",
    "limit=-1": "limit",
    "limit=1e1": "limit",
    "limit=99999999999999999999999": "limit",
    "limit=%D9%A1": "limit",
    "limit=1&limit=2": "limit",
    "status=gone": "status",
    "status=": "status",
    "after=nothing": "after",
    "before=nothing": "before",
    "before=a&after=b": "before",
    "q=%00": "q",
    f"q={'x' * 400}": "q",
    "stauts=sent": "stauts",
    "request_id=%0a": "request_id",
}


async def test_every_bad_parameter_of_the_list_is_named(hub: WebHub) -> None:
    for query, field in BAD_QUERIES.items():
        response = await hub.client.get(f"/emails?{query}")
        assert (response.status_code, response.json()["name"]) == (422, "invalid_parameter"), query
        assert field in [problem["field"] for problem in response.json()["errors"]], query


async def test_a_strange_search_finds_nothing_and_breaks_nothing(hub: WebHub) -> None:
    await hub.send()
    for query in ("q=' OR 1=1 --x", "q=zz* NEAR(zz) AND zz", "request_id='; DROP TABLE message"):
        response = await hub.client.get(f"/emails?{query}")
        assert (response.status_code, response.json()["data"]) == (200, []), query
    for query in ("q=%ff%fe", "q=%25%25%25", "q=_________", "q=%ed%a0%80", "q=a%00b", "q=state:nowhere"):
        response = await hub.client.get(f"/emails?{query}")
        assert response.status_code == 422, query
        assert [error["field"] for error in response.json()["errors"]] == ["q"], query
    assert await hub.stored() == 1


async def test_a_strange_id_is_not_found(hub: WebHub) -> None:
    for id in ("%00", "..%2f..", "%ff", "a" * 3000, "'%20OR%201=1", "%F0%9F%92%A9"):
        for rest in ("", "/events", "/attempts"):
            response = await hub.client.get(f"/emails/{id}{rest}")
            assert (response.status_code, response.json()["name"]) == (404, "not_found"), id


async def test_an_encoded_line_break_in_a_subject_stays_a_subject(hub: WebHub) -> None:
    subject = "=?utf-8?q?x=0ABcc:_eve@example.org?="
    id = await hub.send(subject=subject)
    assert (await hub.client.get(f"/emails/{id}")).json()["subject"] == subject
    content = await hub.faces.history.content(id)
    assert content is not None
    assert message_from_bytes(content, policy=policy.SMTP)["bcc"] is None


async def test_a_body_over_the_limit_is_refused_before_it_is_read(hub: WebHub) -> None:
    response = await hub.client.post("/emails", content=b"x" * (22 * 2**20), headers=JSON)
    assert response.status_code == 413
    assert response.json()["name"] == "payload_too_large"


async def test_a_body_over_the_limit_without_a_length_is_refused_too(hub: WebHub) -> None:
    async def chunks() -> Any:
        for _ in range(23):
            yield b"x" * 2**20

    response = await hub.client.post("/emails", content=chunks(), headers=JSON)
    assert response.status_code == 413
    assert response.json()["name"] == "payload_too_large"


async def test_emoji_escaped_as_a_pair_is_a_character(hub: WebHub) -> None:
    content = json.dumps(GOOD | {"subject": "Hi 😀"}, ensure_ascii=True)
    response = await hub.client.post("/emails", content=content, headers=JSON)
    assert response.status_code == 200
    assert (await hub.client.get(f"/emails/{response.json()['id']}")).json()["subject"] == "Hi 😀"


async def test_values_beyond_counting_are_refused_before_they_are_made(hub: WebHub) -> None:
    answer = await hub.client.post("/emails", json=GOOD | {"tags": [0] * 200_000})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "$")
    assert "has more than 200,000 values" in answer.json()["message"]


async def test_fields_beyond_counting_are_not_answered_one_by_one(hub: WebHub) -> None:
    content = json.dumps({f"n{number}": 1 for number in range(10_000)})
    id = await hub.send()
    for path in ("/emails", "/send_email/", "/status/", f"/emails/{id}/hold", "/breakers/capture"):
        response = await hub.client.post(path, content=content, headers=JSON)
        assert response.status_code == 422, path
        assert "has 10000 fields; at most 200 are read" in response.json()["message"]
        assert len(response.content) < 1000


async def test_a_byte_order_mark_is_not_held_against_the_sender(hub: WebHub) -> None:
    response = await hub.client.post("/emails", content=b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), headers=JSON)
    assert response.status_code == 200
