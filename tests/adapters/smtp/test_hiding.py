"""What a server says of a login never holds what we logged in with."""

from __future__ import annotations

from base64 import b64encode

import pytest

from emailhub.adapters.smtp.hiding import MASK, Hiding

SECRET = "s3cret+of/ours"
PLAIN = b64encode(f"\0hub@example.org\0{SECRET}".encode()).decode()
LOGIN = b64encode(SECRET.encode()).decode()
TOKEN = b64encode(f"user=hub@example.org\1auth=Bearer {SECRET}\1\1".encode()).decode()


@pytest.mark.parametrize(
    "said",
    (
        SECRET,
        f"AUTH PLAIN {PLAIN}",
        f"AUTH LOGIN {LOGIN}",
        f"AUTH XOAUTH2 {TOKEN}",
        f"unrecognized: {PLAIN[:-6]}",
        f"unrecognized: {PLAIN[5:]}",
        f"unrecognized: {PLAIN[2:-3]}...",
        f'unrecognized: "{LOGIN.replace("+", "-").replace("/", "_")}"',
        f"twice {SECRET} {LOGIN}",
    ),
)
def test_a_secret_is_masked_as_it_is_and_in_base64_wherever_the_line_was_cut(said: str) -> None:
    hidden = Hiding(SECRET)(said)
    assert MASK in hidden
    assert not any(part in hidden for part in (SECRET, PLAIN[20:40], LOGIN[:12]))


@pytest.mark.parametrize(
    "said",
    (
        "535 5.7.8 Username and Password not accepted. d2e1a72fcca58-7a9f4c3b2e1sm1234567b3a.21 - gsmtp",
        "535 Authentication credentials invalid [AM0PR04CA0001.eurprd04.prod.outlook.com 2026-11-24T18:00:00Z 08DE2B]",
        "hub@example.org is not known here",
    ),
)
def test_what_a_server_says_otherwise_is_left_as_it_is(said: str) -> None:
    assert Hiding(SECRET)(said) == said


def test_a_secret_too_short_to_be_told_from_words_is_not_looked_for() -> None:
    assert Hiding("a", "")("a bad password") == "a bad password"
