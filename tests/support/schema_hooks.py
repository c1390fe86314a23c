"""What the schema cannot say, for Schemathesis: what its own formats look like, and which fields go together.

Loaded by the command line of Schemathesis (SCHEMATHESIS_HOOKS), not by pytest.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies as st

from emailhub.core.query import parse

RESERVED = {
    *("from", "to", "cc", "bcc", "reply-to", "subject", "date", "message-id", "sender", "received", "return-path"),
    *("x-request-id", "auto-submitted", "mime-version", "delivered-to", "authentication-results", "dkim-signature"),
    *("list-unsubscribe", "list-unsubscribe-post"),
}
RESERVED_STARTS = ("content-", "resent-", "arc-", "x-emailhub-")
ONE_OF = (
    ("body", "text"),
    ("body", "html"),
    ("expires_at", "expires_in"),
    ("emails", "ids"),
    ("ids", "query"),
    ("permission", "scopes"),
)
"""Of these pairs one is given; both together say the same thing twice."""
LINES = ("subject", "reason", "domain", "request_id")
"""Fields of printable characters."""
ADDRESSES = ("from", "to", "cc", "bcc", "reply_to", "email", "emails")
WORDS = ("in 1 hour", "in 30 min", "tomorrow at 9am", "monday at 14:30", "next friday at noon", "at 18:00")
SOURCES = ("Hello", "{% if 1 < 2 %}<p>{{ 'Ada' | upper }}</p>{% endif %}")
"""Of templates: what is no Jinja is refused, and a variable that is not given cannot be shown."""
_TYPES = ("string", "number", "boolean", "object", "list")
_VALUES = (str, int, float, dict, list)
_numbers = itertools.count()

_ADDRESS = re.compile(r'(?:"[^"\x00-\x1f]+" <)?[a-z0-9.]+@[a-z0-9]+\.[a-z]+>?')
"""What `_addresses` makes; formats are not always heeded."""

_DOMAIN = re.compile(r"(\*\.)?[a-z]{1,20}\.(org|com)")
_RATES = re.compile(r"[1-9][0-9]{0,3}/s(, [1-9][0-9]{0,5}/d)?")

_names = st.text(st.characters(categories=("L", "N")), min_size=1, max_size=20).map(
    lambda name: unicodedata.normalize("NFC", name)
)
_addresses = st.from_regex(
    r"[a-z][a-z0-9]{0,20}(\.[a-z0-9]{1,10})?@[a-z][a-z0-9]{0,15}\.(org|com|example)", fullmatch=True
)


def _later(days: float) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


schemathesis.openapi.format(
    "mailbox", _addresses | st.builds("{} <{}>".format, _names.map(lambda n: f'"{n}"'), _addresses)
)
schemathesis.openapi.format("address", _addresses)
schemathesis.openapi.format("content-id", st.from_regex("[a-z0-9.@-]{1,20}", fullmatch=True))
schemathesis.openapi.format(
    "media-type", st.sampled_from(("text/plain", "application/pdf", "text/calendar; method=REQUEST"))
)
schemathesis.openapi.format("https-url", st.just("https://example.com/a.pdf"))
schemathesis.openapi.format("moment", st.sampled_from(WORDS) | st.floats(1, 300).map(_later))
schemathesis.openapi.format("key-name", st.from_regex("[a-z][a-z0-9 ]{0,20}[a-z]", fullmatch=True))
schemathesis.openapi.format("password", st.from_regex("correct horse [a-z]{1,20}", fullmatch=True))
schemathesis.openapi.format("domain-pattern", st.from_regex(_DOMAIN, fullmatch=True))
schemathesis.openapi.format("search", st.sampled_from(("state:failed code:550", "order -to:ada@example.org")))
schemathesis.openapi.format("rates", st.from_regex(_RATES, fullmatch=True))
schemathesis.openapi.format("jinja", st.sampled_from(SOURCES))
schemathesis.openapi.format("jinja-line", st.sampled_from(SOURCES))


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Take out of the request what contradicts itself, and ids of messages that are not there."""
    for one in case.body if isinstance(case.body, list) else [case.body]:
        if isinstance(one, dict):
            _settle(one)
            if case.path.startswith("/templates"):
                _settle_template(one)
            if case.path == "/api-keys" and isinstance(one.get("name"), str) and one["name"].strip():
                one["name"] = f"key {next(_numbers)}"  # a name nobody has
            if case.path == "/dead-letters/{letter}/resend" and isinstance(one.get("body"), dict):
                # Any JSON, but no number of more than 20 digits.
                one["body"] = {"to": "ada@example.org", "subject": "Hello", "body": "Text"}
            if case.path == "/users":
                _settle_user(one)
            if case.path == "/status/":
                case.body = {"request_id": one["request_id"]} if "request_id" in one else {}
    _settle_query(case.query)
    if case.path == "/emails" and isinstance(case.query.get("q"), str) and parse(case.query["q"], 0.0).mistakes:
        case.query["q"] = "x"  # a language of its own
    _settle_headers(case.headers)


def _settle_user(body: dict[str, Any]) -> None:
    """A name nobody has, and a role the first user may have, where there are such at all."""
    if isinstance(body.get("name"), str) and re.fullmatch("[a-z0-9][a-z0-9._@+-]{0,63}", body["name"]):
        body["name"] = f"user{next(_numbers)}"
        if body.get("role") == "viewer":
            body["role"] = "operator"


def _settle_query(query: Any) -> None:
    for name in ("after", "before"):
        query.pop(name, None)
    for name in ("version", "origin", "status"):
        if name in query and query[name] in ("", None, [""], [None], [], {}):
            query[name] = "0"  # an empty parameter is none
    for name in ("q", "request_id", "reason", "template", "what", "actor", "target"):
        if isinstance(query.get(name), str):
            query[name] = _line_of(query[name])


def _settle_headers(headers: Any) -> None:
    if headers.get("x-batch-validation") == "permissive":
        headers["x-batch-validation"] = "strict"  # with the other a bad message is a 200 that names it
    key = headers.get("Idempotency-Key")
    if isinstance(key, str) and key != key.strip():
        headers["Idempotency-Key"] = "two words"  # the space around a header's value is none of it


def _settle(body: dict[str, Any]) -> None:
    if isinstance(body.get("template"), dict):
        _without_template(body)
    for less, more in ONE_OF:
        if body.get(less) is not None and body.get(more) is not None:
            del body[less]
    for name, value in body.items():
        if name in LINES and isinstance(value, str) and value:
            body[name] = _line_of(value)
        elif name in ADDRESSES:
            body[name] = [_address(one) for one in value] if isinstance(value, list) else _address(value)
    if isinstance(body.get("query"), str) and body["query"] and parse(body["query"], 0.0).mistakes:
        body["query"] = "order"
    if isinstance(body.get("from_domains"), list):
        body["from_domains"] = [_settled(one, _DOMAIN, "example.org") for one in body["from_domains"]]
    if "rate" in body:
        body["rate"] = _settled(body["rate"], _RATES, "10/s")
    _settle_times(body)
    _settle_odds(body)
    _settle_lists(body)


def _settle_lists(body: dict[str, Any]) -> None:
    files = body.get("attachments")
    if isinstance(files, list):
        body["attachments"] = _files([file for file in files if isinstance(file, dict)]) + [
            file for file in files if not isinstance(file, dict)
        ]
    if isinstance(body.get("headers"), dict):
        body["headers"] = _headers(body["headers"])
    if isinstance(body.get("metadata"), dict):
        body["metadata"] = {
            name: 1 if _number(value) and abs(value) >= 2**63 else value for name, value in body["metadata"].items()
        }


def _without_template(body: dict[str, Any]) -> None:
    """A hub without templates: what is rendered elsewhere is given as text here."""
    del body["template"]
    if all(body.get(name) is None for name in ("text", "html", "body")):
        body["text"] = "Hello"
    if body.get("subject") is None:
        body["subject"] = "Hello"


def _settle_template(body: dict[str, Any]) -> None:
    """An alias nobody has, sources that need nothing, and a version that is there."""
    if isinstance(body.get("alias"), str) and body["alias"].strip():
        body["alias"] += f"{next(_numbers)}" if len(body["alias"]) < 90 else ""
    if _number(body.get("version")) and body["version"] > 1:
        body["version"] = 1
    if isinstance(body.get("reply_to"), list):
        del body["reply_to"][50:]
    _settle_sources(body)
    if isinstance(body.get("variables"), dict):
        body["variables"] = {"first_name": "Ada"}  # any JSON, but no number of more than 20 digits
    variables = body.get("variables")
    for number, one in enumerate(variables if isinstance(variables, list) else ()):
        if isinstance(one, dict):
            _settle_variable(one, number)


def _settle_sources(body: dict[str, Any]) -> None:
    for name in ("name", "subject", "reason"):
        if isinstance(body.get(name), str) and body[name]:
            body[name] = _line_of(body[name])
    for name in ("subject", "html", "text"):
        if isinstance(body.get(name), str) and "first_name" in body[name]:
            body[name] = SOURCES[1]
    if not body.get("html") and not body.get("text"):  # null in both would leave nothing
        for name in [name for name in ("html", "text") if name in body and body[name] in (None, "")]:
            del body[name]


def _settle_variable(one: dict[str, Any], number: int) -> None:
    if isinstance(one.get("key"), str) and one["key"]:
        one["key"] = f"{one['key'][:60]}{number}"
    if isinstance(one.get("description"), str) and one["description"]:
        one["description"] = _line_of(one["description"])
    if one.get("type") in _TYPES:
        del one["type"]
    if one.get("fallback_value") is None or isinstance(one["fallback_value"], _VALUES):
        one["fallback_value"] = "x"  # or no message, and no trial, does without it
    if isinstance(one.get("sample"), _VALUES):
        one["sample"] = "x"


def _settle_times(body: dict[str, Any]) -> None:
    for name in ("scheduled_at", "expires_at", "until"):
        if _number(body.get(name)) and body[name] >= 0:
            body[name] = (datetime.now(UTC) + timedelta(days=3)).timestamp()
        elif isinstance(body.get(name), str) and (name == "scheduled_at" or _is_time(body[name])):
            body[name] = body[name] if body[name] in WORDS and name == "scheduled_at" else _later(3)
    for name in ("expires_in", "grace"):
        if isinstance(body.get(name), str) and re.fullmatch(r"\d+(\.\d+)?[smhd]", body[name], re.ASCII):
            body[name] = "24h"
    if body.get("expires_at") is not None and body.get("scheduled_at") is not None:
        del body["scheduled_at"]
    if body.get("state") == "auto":
        body.pop("until", None)


def _settle_odds(body: dict[str, Any]) -> None:
    odds = [name for name in ("transient", "permanent", "drop") if _number(body.get(name))]
    for name in odds:  # together with those of earlier requests at most 1
        body[name] = body[name] / 4 if 0 <= body[name] <= 1 else body[name]


def _files(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Files that bring their content, as nothing is fetched unless a setting says so, each under an id of its own."""
    for number, file in enumerate(given):
        if isinstance(file.get("path"), str):
            del file["path"]
            file.setdefault("content", "SGVsbG8=")
            file.setdefault("filename", "a.txt")
        if isinstance(file.get("content"), list):
            file["content"] = [
                int(byte) if isinstance(byte, float) and byte == int(byte) else byte for byte in file["content"]
            ]
        if isinstance(file.get("filename"), str) and 0 < len(file["filename"]) <= 255:
            file["filename"] = f"{number}.txt"
        if isinstance(file.get("content_type"), str):
            file["content_type"] = "application/pdf"
        if isinstance(file.get("inline_content_id"), str):
            file["content_id"] = file.pop("inline_content_id")
        if isinstance(file.get("content_id"), str) and file["content_id"]:
            file["content_id"] = f"id{number}"
    return given


def _headers(given: dict[str, Any]) -> dict[str, Any]:
    seen: dict[str, str] = {}
    for name in given:
        low = name.lower()
        if low not in RESERVED and not low.startswith(RESERVED_STARTS):
            seen.setdefault(low, name)
    return {
        name: _line_of(given[name]) if isinstance(given[name], str) and given[name] else given[name]
        for name in seen.values()
    }


def _address(value: Any) -> Any:
    return "ada@example.org" if isinstance(value, str) and not _ADDRESS.fullmatch(value) else value


def _settled(value: Any, good: re.Pattern[str], instead: str) -> Any:
    """`instead` of a text that the schema allows and its format does not."""
    return instead if isinstance(value, str) and value and not good.fullmatch(value) else value


def _line_of(value: str) -> str:
    return "".join(char for char in value if char.isprintable()).strip() or "x"


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
