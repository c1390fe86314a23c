"""What differs between two settings: told by variable, relay and key, without secrets, and split by what is live."""

from __future__ import annotations

from pathlib import Path

import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.settings import Settings, load
from emailhub.settings.changes import LIVE, compare, merged

CANARY = "c4nary-v4lue"
REAL = {"SMTP_HOST": "smtp.example.com", "EMAIL_FROM": "hub@example.com"}


def settings(folder: Path, text: str = "", **environ: str) -> Settings:
    file = folder / "hub.toml"
    file.write_text(text)
    return load({**REAL, **environ}, toml_path=file).settings


def told(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    changes = compare(old, new)
    return [str(change) for change in changes.live], [str(change) for change in changes.restart]


def test_the_same_settings_have_no_changes(tmp_path: Path) -> None:
    text = "[[relay]]\nname = 'ses'\nhost = 'h'\n"
    assert told(settings(tmp_path, text), settings(tmp_path, text)) == ([], [])


def test_relays_are_told_by_name_and_key(tmp_path: Path) -> None:
    old = settings(
        tmp_path,
        "[[relay]]\nname = 'a'\nhost = 'a'\nrate = '10/s'\nuser = 'u'\npassword = 'old'\n"
        "[[relay]]\nname = 'b'\nhost = 'b'\n",
    )
    new = settings(
        tmp_path,
        "[[relay]]\nname = 'c'\nhost = 'c'\nport = 25\n[[relay]]\nname = 'a'\nhost = 'a'\nrate = ['20/s', '100/d']\n"
        f"user = 'u'\npassword = '{CANARY}'\ndrain = true\n",
        SMTP_PORT="2525",
    )
    live, restart = told(old, new)
    assert live == [
        "relay default: port: 587 -> 2525",
        "relay a: password: changed, rate: 10/s -> 20/s, 100/d, drain: false -> true",
        "relay b: removed",
        "relay c: added at c:25",
    ]
    assert restart == []


def test_what_a_change_of_oauth2_is_about_is_told_without_its_secrets(tmp_path: Path) -> None:
    head = "[[relay]]\nname = 'a'\nhost = 'a'\nuser = 'u'\n"
    plain = settings(tmp_path, f"{head}password = 'x'\n")
    token = "oauth2 = {{ token_url = 'https://x/t', client_id = '{}', refresh_token = '{}' }}\n"
    first, second = (settings(tmp_path, head + token.format(*pair)) for pair in (("a", CANARY), ("b", f"{CANARY}2")))
    assert told(plain, first)[0] == ["relay a: password: removed, oauth2: set"]
    assert told(first, second)[0] == ["relay a: oauth2.client_id: a -> b, oauth2.refresh_token: changed"]


def test_a_file_of_certificates_or_secrets_with_other_content_is_a_change_under_the_same_name(tmp_path: Path) -> None:
    ca, password, key = tmp_path / "ca.pem", tmp_path / "password", tmp_path / "key.pem"
    table = f"[[relay]]\nname = 'a'\nhost = 'a'\nuser = 'u'\nca = '{ca}'\npassword_file = '{password}'\n"
    table += f"[[dkim]]\ndomain = 'x.org'\nselector = 's1'\nkey_file = '{key}'\n"

    def renewed(number: int) -> Settings:
        trustme.CA().cert_pem.write_to_path(ca)
        password.write_text(f"{CANARY}{number}")
        private = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        key.write_bytes(private)
        return settings(tmp_path, table, EMAILHUB_SMTP_CA=str(ca))

    old = renewed(1)
    assert told(old, settings(tmp_path, table, EMAILHUB_SMTP_CA=str(ca))) == ([], [])
    assert told(old, renewed(2))[0] == [
        f"relay default: ca: {ca} holds something else",
        f"relay a: ca: {ca} holds something else, password: changed",
        "DKIM key s1 of x.org: key: changed",
    ]


def test_rules_are_live_and_the_rest_needs_a_restart(tmp_path: Path) -> None:
    new = settings(
        tmp_path,
        "[[destination]]\ndomain = 'x.org'\nconnections = 1\n",
        EMAILHUB_FAILOVER_AFTER="2m",
        EMAILHUB_DIVERT_TO="a@example.com",
        EMAILHUB_SMTP_FINAL_TIMEOUT="5m",
        EMAILHUB_PORT="9000",
        EMAILHUB_API_KEYS=f"{CANARY}-key",
        EMAILHUB_URL="http://x",
    )
    old = settings(tmp_path)
    live, restart = told(old, new)
    assert live == [
        "EMAILHUB_DIVERT_TO: not set -> a@example.com",
        "EMAILHUB_SMTP_FINAL_TIMEOUT: 10m -> 5m",
        "EMAILHUB_FAILOVER_AFTER: 1m -> 2m",
        "destination x.org: added",
    ]
    assert restart == ["EMAILHUB_PORT: 8000 -> 9000", "EMAILHUB_API_KEYS: set"]
    both = merged(old, new)
    assert (both.divert_to, both.failover_after, both.port) == ("a@example.com", 120.0, 8000)
    assert told(both, new) == ([], restart)


def test_between_capturing_and_sending_lies_a_restart(tmp_path: Path) -> None:
    old, new = settings(tmp_path, USE_REAL_SMTP="false"), settings(tmp_path, EMAILHUB_FAILOVER_AFTER="2m")
    live, restart = told(old, new)
    assert live == []
    assert restart[0] == "mail: captured -> sent"
    assert "EMAILHUB_FAILOVER_AFTER: 1m -> 2m" in restart
    assert merged(old, new) == old
    assert told(new, old)[1][0] == "mail: sent -> captured"


def test_every_live_setting_is_one() -> None:
    assert set(Settings.__struct_fields__) >= LIVE
