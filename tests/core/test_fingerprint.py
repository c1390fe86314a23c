"""The fingerprint: equal for equal content, different for anything a recipient could notice."""

from __future__ import annotations

from typing import Any

import pytest

from emailhub.core.fingerprint import fingerprint
from emailhub.core.message import Key, Limits
from emailhub.core.parse import submission

FIELDS: dict[str, Any] = {
    "from": "Shop <shop@example.org>",
    "to": ["ada@example.org", "bob@example.org"],
    "subject": "Hello",
    "body": "<p>Hello</p>",
    "headers": {"X-A": "1", "X-B": "2"},
    "metadata": {"a": 1, "b": 2},
    "scheduled_at": "2025-11-24T18:00:00+01:00",
}


FILE = {"filename": "a.pdf", "content": "QQ=="}


def print_of(now: float = 1_764_000_000.0, key: Key | None = None, **changes: Any) -> bytes:
    return fingerprint(submission(FIELDS | changes, Limits(), now=now, key=key))


def test_words_for_a_time_count_as_given_since_they_mean_another_time_when_they_are_given_again() -> None:
    first = print_of(scheduled_at="in 1 hour")
    assert print_of(scheduled_at="In 1  hour", now=1_764_000_100.0) == first
    assert print_of(scheduled_at="in 2 hours") != first


def test_it_is_32_bytes_and_stays_the_same_between_releases() -> None:
    plain = submission({"to": "ada@example.org", "subject": "Hello", "text": "Hello Ada"}, Limits(), now=0.0)
    assert fingerprint(plain).hex() == "2522589acbbcf055285d7fd865ce297cd71b07134d8a7345636992c5da03f1b5"


@pytest.mark.parametrize(
    "same",
    (
        {"body": None, "html": "<p>Hello</p>"},
        {"to": ["<ada@EXAMPLE.org>", "bob@example.org", "ada@example.org"]},
        {"headers": {"X-B": "2", "X-A": "1"}},
        {"metadata": {"b": "2", "a": "1"}},
        {"scheduled_at": "2025-11-24T17:00:00Z"},
        {"subject": " Hello "},
        {"cc": [], "bcc": None, "tags": []},
        {"request_id": "r1", "idempotency_key": "k1"},
        {"key": Key("amqp:1", explicit=False)},
        {"priority": "high", "on_unknown": "hold"},
        {"expires_in": "2h"},
        {"expires_at": 1_764_009_000},
        {"now": 1_764_000_100.0, "expires_in": "2h"},
    ),
    ids=str,
)
def test_the_same_content_has_the_same_fingerprint_however_it_is_given(same: dict[str, Any]) -> None:
    assert print_of(**same) == print_of()


@pytest.mark.parametrize(
    "other",
    (
        {"from": "shop@example.org"},
        {"from": None},
        {"to": ["bob@example.org", "ada@example.org"]},
        {"to": ["ada@example.org"], "cc": ["bob@example.org"]},
        {"to": ["ada@example.org"], "bcc": ["bob@example.org"]},
        {"reply_to": "help@example.org"},
        {"subject": "hello"},
        {"body": "<p>Hello </p>"},
        {"text": "Hello"},
        {"headers": {"X-A": "1"}},
        {"tags": [{"name": "a", "value": "b"}]},
        {"metadata": {"a": 1}},
        {"attachments": [FILE]},
        {"scheduled_at": None},
        {"scheduled_at": "2025-11-24T17:00:01Z"},
    ),
    ids=str,
)
def test_other_content_has_another_fingerprint(other: dict[str, Any]) -> None:
    assert print_of(**other) != print_of()


@pytest.mark.parametrize(
    "other",
    (
        {"content": "QUI="},
        {"filename": "b.pdf"},
        {"content_type": "text/plain"},
        {"content_id": "a"},
        {"content": None, "path": "https://example.org/a.pdf"},
    ),
    ids=str,
)
def test_another_file_makes_another_fingerprint(other: dict[str, Any]) -> None:
    assert print_of(attachments=[FILE | other]) != print_of(attachments=[FILE])
    assert print_of(attachments=[FILE, FILE | other]) != print_of(attachments=[FILE | other, FILE])


def test_a_file_counts_by_its_bytes_however_they_are_written() -> None:
    assert print_of(attachments=[FILE | {"content": [65]}]) == print_of(attachments=[FILE | {"content": "QQ\r\n=="}])


def test_a_text_and_an_html_with_the_same_characters_differ() -> None:
    assert print_of(body=None, text="<b>") != print_of(body=None, html="<b>")
