"""From settings to the options of the parts."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace

from emailhub import wiring
from emailhub.adapters.oauth import TokenSource
from emailhub.adapters.smtp import TlsMode
from emailhub.core.access import Scope
from emailhub.core.limits import Rate
from emailhub.core.routing import Route
from emailhub.settings import Settings, load
from emailhub.settings.secret import Secret

MAIN = {"SMTP_HOST": "smtp.example.com", "EMAIL_FROM": "hub@example.com"}
PEM = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
TABLES = f"""
[[relay]]
name = "ses"
host = "email.example.com"
port = 465
user = "AKIA"
password = "secret"
connections = 3
source = "hub.example.com"
chunking = false
messages_per_connection = 7
connection_age = "1m"
idle = "2s"
from_domains = ["example.com"]
priority = 2
weight = 5
drain = true

[[relay]]
name = "gmail"
host = "smtp.gmail.com"
user = "me@example.com"
oauth2 = {{ token_url = "https://x.example/t", client_id = "a", client_secret = "b", refresh_token = "c" }}

[[dkim]]
domain = "example.com"
selector = "s"
key = '''{PEM}'''
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return of(tmp_path, TABLES, MAIN)


def of(folder: Path, text: str, environ: Mapping[str, str]) -> Settings:
    file = folder / "hub.toml"
    file.write_text(text)
    return load(environ, toml_path=file).settings


def test_an_account_becomes_options_with_the_deadlines_of_all(settings: Settings) -> None:
    options = wiring.smtp_options(settings.relays[1], settings)
    assert (options.host, options.port, options.user, options.password) == ("email.example.com", 465, "AKIA", "secret")
    assert (options.tls, options.implicit, options.local_hostname) == (TlsMode.AUTO, True, "hub.example.com")
    assert (options.connections, options.messages_per_connection, options.max_age, options.idle_for) == (3, 7, 60, 2)
    assert (options.pipelining, options.chunking, options.token) == (True, False, None)
    assert (options.timeouts.connect, options.timeouts.final, options.timeouts.min_rate) == (30, 600, 500)


async def test_oauth2_becomes_a_source_of_tokens_instead_of_a_password(settings: Settings) -> None:
    options = wiring.smtp_options(settings.relays[2], settings)
    assert isinstance(options.token, TokenSource)
    assert options.password == ""
    await options.token.close()


def test_relays_have_routes_rates_and_places_and_capture_sends_nothing(settings: Settings) -> None:
    default, ses, gmail, capture = wiring.relays(settings, lambda: 0.0)
    assert ses.route == Route(name="ses", domains=("example.com",), priority=2, weight=5, draining=True)
    assert [spec.host for spec in (default, ses, gmail)] == [
        "smtp.example.com:587",
        "email.example.com:465",
        "smtp.gmail.com:587",
    ]
    assert [spec.sends for spec in (default, ses, gmail, capture)] == [True, True, True, False]
    assert (ses.build().name, capture.build().captures) == ("ses", True)
    told = wiring.greeting(settings, 0.1)["relay"]
    assert told == "default at smtp.example.com:587, ses at email.example.com:465, gmail at smtp.gmail.com:587"


def test_only_what_needs_new_connections_makes_a_relay_another_one(settings: Settings) -> None:
    (ses, *_) = settings.listed_relays

    def options(**changed: object) -> object:
        return wiring.relays(replace(settings, listed_relays=(replace(ses, **changed),)), lambda: 0.0)[1].options

    assert options() == options(priority=9, weight=1, drain=False, rate=(Rate(1, 1.0),), from_domains=())
    assert options() != options(host="other.example.com")
    assert options() != options(password=Secret("other"))


def test_keys_sign_and_none_is_none(settings: Settings, tmp_path: Path) -> None:
    signer = wiring.signer(settings, time.time)
    assert signer is not None
    assert signer.sign(b"From: a@example.com\r\n\r\nx\r\n", "example.com").startswith(b"DKIM-Signature:")
    assert wiring.signer(of(tmp_path, "", MAIN), time.time) is None


def test_rules_about_recipients_hold_where_mail_goes_out(tmp_path: Path) -> None:
    rules = {"EMAILHUB_DIVERT_TO": "box@example.com", "EMAILHUB_ALLOW_RECIPIENTS": "example.com"}
    sending = wiring.diversion(of(tmp_path, "", MAIN | rules))
    assert sending.allows("ann@example.com")
    assert not sending.allows("ann@example.org")
    assert wiring.diversion(of(tmp_path, "", rules)).allows("ann@example.org")


def test_the_queue_may_do_no_more_than_send_from_its_domains(tmp_path: Path) -> None:
    found = wiring.queue_principal(
        of(tmp_path, "", MAIN | {"EMAILHUB_QUEUE_FROM_DOMAINS": "example.com,*.example.org"})
    )
    assert found.scopes == {Scope.SEND}
    allowed = {domain: found.may_send_from(domain) for domain in ("example.com", "a.example.org", "example.net")}
    assert allowed == {"example.com": True, "a.example.org": True, "example.net": False}
