"""The tables of the TOML file: relays, destinations and DKIM keys, every mistake named by its row, no secret shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat

from emailhub.core.limits import Rate
from emailhub.core.status import ChaosStatus
from emailhub.settings import Loaded, RelaySettings, Secret, Settings, SettingsError, describe, load

CANARY = "c4nary-v4lue"
SES = 'name = "ses"\nhost = "email-smtp.example.com"\n'
FROM = {"EMAIL_FROM": "hub@example.com"}
MAIN = {"SMTP_HOST": "smtp.example.com", **FROM}


def pem(key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b"") -> str:
    lock = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock).decode()


ED25519 = pem(ed25519.Ed25519PrivateKey.generate())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.toml"


def loaded(file: Path, text: str, environ: Mapping[str, str] = FROM) -> Loaded:
    file.write_text(text)
    return load(environ, toml_path=file)


def settings(file: Path, text: str, environ: Mapping[str, str] = FROM) -> Settings:
    return loaded(file, text, environ).settings


def problems(file: Path, text: str, environ: Mapping[str, str] = FROM) -> list[str]:
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(environ, toml_path=file)
    return [str(problem) for problem in caught.value.problems]


def the_problem(file: Path, text: str, environ: Mapping[str, str] = FROM) -> str:
    found = problems(file, text, environ)
    assert len(found) == 1, found
    return found[0]


# Relays


def test_a_relay_says_everything_about_its_account(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{CANARY}\n")
    (relay,) = settings(
        file,
        f"""
        [[relay]]
        name = "ses"
        host = "email-smtp.example.com"
        port = 2587
        tls = "starttls"
        user = "AKIA"
        password_file = "{tmp_path / "secret"}"
        from_domains = ["Example.com", "*.example.org", "bücher.example"]
        connections = 3
        rate = ["10/s", "2000/day"]
        priority = 5
        weight = 0
        drain = true
        source = "mail.example.com"
        chunking = false
        pipelining = false
        messages_per_connection = 7
        connection_age = "1m"
        idle = "2s"
        """,
        {"EMAIL_FROM": "hub@example.com"},
    ).relays
    assert relay == RelaySettings(
        name="ses",
        host="email-smtp.example.com",
        port=2587,
        tls="starttls",
        user="AKIA",
        password=Secret(CANARY),
        from_domains=("example.com", "*.example.org", "xn--bcher-kva.example"),
        connections=3,
        rate=(Rate(10, 1.0), Rate(2000, 86400.0)),
        priority=5,
        weight=0,
        drain=True,
        source="mail.example.com",
        chunking=False,
        pipelining=False,
        messages_per_connection=7,
        connection_age=60.0,
        idle=2.0,
    )


def test_what_a_relay_does_not_say_is_as_for_all(file: Path) -> None:
    environ = {
        **FROM,
        "EMAILHUB_SMTP_SOURCE": "hub.example.com",
        "EMAILHUB_SMTP_CONNECTIONS": "4",
        "EMAILHUB_SMTP_IDLE": "7s",
        "EMAILHUB_SMTP_CONNECTION_AGE": "8m",
        "EMAILHUB_SMTP_MESSAGES_PER_CONNECTION": "9",
        "EMAILHUB_SMTP_CHUNKING": "no",
        "EMAILHUB_SMTP_PIPELINING": "no",
    }
    (relay,) = settings(file, f"[[relay]]\n{SES}", environ).relays
    assert (relay.source, relay.connections, relay.idle, relay.connection_age) == ("hub.example.com", 4, 7.0, 480.0)
    assert (relay.messages_per_connection, relay.chunking, relay.pipelining) == (9, False, False)
    assert (relay.port, relay.tls, relay.ca, relay.rate, relay.from_domains) == (587, "auto", None, (), ())


def test_the_account_of_smtp_host_comes_first_as_default(file: Path) -> None:
    environ = {**MAIN, "SMTP_USER": "u", "SMTP_PASS": "p", "SMTP_PORT": "465", "EMAILHUB_SMTP_RATE": "5/s,100/h"}
    first, second = settings(file, f"[[relay]]\n{SES}", environ).relays
    assert (first.name, first.place, first.user, first.password) == (
        "default",
        "smtp.example.com:465",
        "u",
        Secret("p"),
    )
    assert first.rate == (Rate(5, 1.0), Rate(100, 3600.0))
    assert (first.security, second.security, second.name) == ("implicit", "opportunistic", "ses")


def test_default_is_a_name_like_any_other_without_smtp_host(file: Path) -> None:
    text = '[[relay]]\nname = "default"\nhost = "x.example.com"\n'
    assert [relay.name for relay in settings(file, text).relays] == ["default"]
    found = the_problem(file, text, MAIN)
    assert found == (
        'relay[1] "default".name (file hub.toml): default is already the name of the relay that SMTP_HOST sets up'
    )


def test_implicit_tls_has_its_own_default_port(file: Path) -> None:
    assert settings(file, f'[[relay]]\n{SES}tls = "implicit"').relays[0].port == 465
    assert settings(file, f'[[relay]]\n{SES}tls = "implicit"\nport = 2465').relays[0].port == 2465


def test_a_relay_alone_means_real_mail(file: Path) -> None:
    got = settings(file, f"[[relay]]\n{SES}")
    assert not got.capture
    assert got.sender == "hub@example.com"
    assert the_problem(file, f"[[relay]]\n{SES}", {}).startswith("EMAIL_FROM (not set): ")
    rabbit = {**FROM, "RABBITMQ_URL": "amqp://rabbit/", "USE_REAL_SMTP": "true"}
    assert not settings(file, f"[[relay]]\n{SES}", rabbit).capture
    assert the_problem(file, "", rabbit).startswith("SMTP_HOST (not set): ")


def test_a_login_that_is_an_address_is_the_sender_when_nothing_else_is(file: Path) -> None:
    text = (
        f'[[relay]]\n{SES}user = "AKIA"\npassword = "x"\n[[relay]]\nname = "g"\nhost = "g"\nuser = "me@example.com"\n'
    )
    assert settings(file, f'{text}password = "y"', {}).sender == "me@example.com"


def test_capturing_on_purpose_hands_mail_to_no_relay(file: Path) -> None:
    found = loaded(file, f"[[relay]]\n{SES}", {"USE_REAL_SMTP": "false"})
    assert found.settings.capture
    assert found.settings.relays == ()
    assert [relay.name for relay in found.settings.accounts] == ["ses"]
    assert found.warnings == ("USE_REAL_SMTP: false, so all mail is captured and relay ses is not used",)


def test_half_an_account_beside_relays_is_pointed_out(file: Path) -> None:
    text = f"[[relay]]\n{SES}"
    found = problems(file, text, {**FROM, "SMTP_USER": "u", "SMTP_PASS": "p"})
    assert [line.partition(" ")[0] for line in found] == ["SMTP_USER", "SMTP_PASS"]
    (warning,) = loaded(file, text, {**FROM, "SMTP_PORT": "25"}).warnings
    assert warning.startswith("SMTP_PORT: it belongs to the account of SMTP_HOST, which is not set.")


@pytest.mark.parametrize(
    ("row", "key", "says"),
    (
        ('name = "SES"\nhost = "h"', 'relay[1] "SES".name', "small letters, digits and hyphens"),
        ('name = "capture"\nhost = "h"', 'relay[1] "capture".name', "built in"),
        ('name = "chaos"\nhost = "h"', 'relay[1] "chaos".name', "built in"),
        (f'name = "{"x" * 33}"\nhost = "h"', f'relay[1] "{"x" * 33}".name', "at most 32"),
        ('host = "h"', "relay[1].name", "it is needed"),
        ('name = "ses"', 'relay[1] "ses".host', "it is needed"),
        (f"{SES}hots = 1", 'relay[1] "ses".hots', "Did you mean host?"),
        (f"{SES}zzz = 1", 'relay[1] "ses".zzz', "Known are name, host, port"),
        (f"{SES}host_file = '/x'", 'relay[1] "ses".host_file', "there is no such key"),
        (f"{SES}port = 0", 'relay[1] "ses".port', "at least 1"),
        (f"{SES}port = 587.5", 'relay[1] "ses".port', "not a whole number"),
        (f"{SES}tls = 'ssl'", 'relay[1] "ses".tls', "one of auto, implicit, starttls, none"),
        (f"{SES}ca = '/nowhere.pem'", 'relay[1] "ses".ca', "no such file"),
        (f"{SES}ca = '{__file__}'", 'relay[1] "ses".ca', "holds no certificates"),
        (f"{SES}connections = 0", 'relay[1] "ses".connections', "at least 1"),
        (f"{SES}rate = '10'", 'relay[1] "ses".rate', "expected rates such as 10/s, 500/hour or 2000/day"),
        (f"{SES}rate = ['10/s', '5/sec']", 'relay[1] "ses".rate', "two rates of the same span"),
        (f"{SES}rate = {{ s = 10 }}", 'relay[1] "ses".rate', "a list, not a table"),
        (f"{SES}from_domains = ['a@example.com']", 'relay[1] "ses".from_domains', "is an address, not a domain"),
        (f"{SES}from_domains = ['mail.*.example']", 'relay[1] "ses".from_domains', "only at the beginning"),
        (f"{SES}from_domains = ['exa mple.com']", 'relay[1] "ses".from_domains', "is no domain"),
        (f"{SES}from_domains = ['*.']", 'relay[1] "ses".from_domains', "is no domain"),
        (f"{SES}priority = -1", 'relay[1] "ses".priority', "at least 0"),
        (f"{SES}weight = 'much'", 'relay[1] "ses".weight', "a whole number"),
        (f"{SES}drain = 'maybe'", 'relay[1] "ses".drain', "true, false, yes, no"),
        (f"{SES}idle = 30", 'relay[1] "ses".idle', "with its unit"),
        (f"{SES}user = 'u'", 'relay[1] "ses".password', "because user is set"),
        (f"{SES}password = '{CANARY}'", 'relay[1] "ses".user', "because password is set"),
        (f"{SES}user = 'u'\npassword = 'p'\ntls = 'none'", 'relay[1] "ses".tls', "readable over the network"),
        (
            f"{SES}user = 'u'\npassword_file = '/nowhere'",
            'relay[1] "ses".password_file',
            "cannot be read: No such file",
        ),
        (f"{SES}user = 'u'\npassword_file = 7", 'relay[1] "ses".password_file', "cannot be read"),
        (
            f"{SES}user = 'u'\npassword = '{CANARY}'\npassword_file = '/x'",
            'relay[1] "ses".password',
            "it and its _file form are both there",
        ),
    ),
)
def test_a_mistake_in_a_relay_is_named_by_row_key_and_file(file: Path, row: str, key: str, says: str) -> None:
    found = the_problem(file, f"[[relay]]\n{row}\n")
    assert found.startswith(f"{key} (file hub.toml): ")
    assert says in found
    assert CANARY not in found


def test_a_name_belongs_to_one_relay(file: Path) -> None:
    found = the_problem(file, f"[[relay]]\n{SES}[[relay]]\n{SES}")
    assert found == 'relay[2] "ses".name (file hub.toml): ses is already the name of relay[1] "ses"'


def test_every_mistake_of_every_table_is_told_at_once(file: Path) -> None:
    text = f"prot = 1\n[[relay]]\n{SES}port = 'x'\nrate = 'x'\n[[relay]]\nname = 'b'\n[[destination]]\ndomain = 'a b'\n"
    found = problems(file, f"{text}[[dkim]]\ndomain = 'example.com'", {**FROM, "EMAILHUB_PORT": "x"})
    assert [line.partition(" (")[0] for line in found] == [
        "prot",
        "EMAILHUB_PORT",
        'relay[1] "ses".port',
        'relay[1] "ses".rate',
        'relay[2] "b".host',
        'destination[1] "a b".domain',
        'dkim[1] "example.com".selector',
        'dkim[1] "example.com".key',
    ]


def test_a_table_that_is_written_or_named_wrong_says_how_it_is_right(file: Path) -> None:
    assert "write [[relay]], with two brackets" in the_problem(file, "[relay]\nname = 'x'")
    assert "expected a table, not 'ses'" in the_problem(file, "relay = ['ses']")
    assert "Did you mean [[relay]]?" in the_problem(file, f"[[relays]]\n{SES}")
    assert "Tables are [[relay]], [[destination]], [[dkim]]." in the_problem(file, f"[[smarthost]]\n{SES}")
    assert "expected a table" in the_problem(file, f"[[relay]]\n{SES}oauth2 = true")


def test_a_broken_file_gives_no_second_error_about_a_missing_server(file: Path) -> None:
    assert "not TOML" in the_problem(file, "[[relay", {**FROM, "RABBITMQ_URL": "amqp://rabbit/"})
    assert "port" in the_problem(file, f"[[relay]]\n{SES}port = 'x'", {**FROM, "RABBITMQ_URL": "amqp://rabbit/"})


def test_the_default_sender_must_be_carried_by_a_relay(file: Path) -> None:
    only = f"[[relay]]\n{SES}from_domains = ['*.example.com']\n"
    found = the_problem(file, only)
    assert found.startswith("EMAIL_FROM (environment): no relay may carry mail from example.com.")
    assert settings(file, only, {"EMAIL_FROM": "Hub <hub@mail.example.com>"}).relays
    assert settings(file, only, MAIN).relays
    (warning,) = loaded(file, f"[[relay]]\n{SES}drain = true").warnings
    assert "is draining, so new mail from it is turned away" in warning


# OAuth2

OAUTH2 = f'{SES}user = "me@example.com"\noauth2 = {{ token_url = "https://id.example.com/token", client_id = "app", '


def test_oauth2_stands_in_for_a_password(file: Path, tmp_path: Path) -> None:
    (tmp_path / "refresh").write_text(CANARY)
    text = f'[[relay]]\n{OAUTH2}client_secret = "s", refresh_token_file = "{tmp_path / "refresh"}" }}'
    oauth2 = settings(file, text).relays[0].oauth2
    assert oauth2 is not None
    assert (oauth2.token_url, oauth2.client_id, oauth2.client_secret) == (
        "https://id.example.com/token",
        "app",
        Secret("s"),
    )
    assert (oauth2.refresh_token, oauth2.grant, oauth2.scope) == (Secret(CANARY), "refresh_token", "")


def test_without_a_refresh_token_the_application_acts_for_itself(file: Path) -> None:
    oauth2 = settings(file, f'[[relay]]\n{OAUTH2}client_secret = "s", scope = "https://x/.default" }}').relays[0].oauth2
    assert oauth2 is not None
    assert oauth2.grant == "client_credentials"


@pytest.mark.parametrize(
    ("text", "key", "says"),
    (
        (f'{OAUTH2}grant = "refresh_token" }}', "oauth2.refresh_token", "the grant refresh_token needs it"),
        (f'{OAUTH2}scope = "x" }}', "oauth2.client_secret", "the grant client_credentials needs it"),
        (f'{OAUTH2}client_secret = "x" }}', "oauth2.scope", "such as https://outlook.office365.com/.default"),
        (f'{OAUTH2}refresh_tokn = "x", refresh_token = "y" }}', "oauth2.refresh_tokn", "Did you mean refresh_token?"),
        (f'{OAUTH2}refresh_token = "x" }}\npassword = "y"', "password", "oauth2 is there too"),
        (
            f'{SES}oauth2 = {{ token_url = "https://x/t", client_id = "a", refresh_token = "b" }}',
            "user",
            "the mailbox that sends",
        ),
        (
            f'{SES}user = "u"\noauth2 = {{ token_url = "http://x/t", client_id = "a", refresh_token = "b" }}',
            "oauth2.token_url",
            "must begin with https://",
        ),
        (
            f'{SES}user = "u"\noauth2 = {{ token_url = "https://x/t", refresh_token = "b" }}',
            "oauth2.client_id",
            "needed",
        ),
    ),
)
def test_a_mistake_in_oauth2_is_named_by_its_key(file: Path, text: str, key: str, says: str) -> None:
    found = the_problem(file, f"[[relay]]\n{text}")
    assert found.startswith(f'relay[1] "ses".{key} (file hub.toml): ')
    assert says in found


def test_oauth2_of_the_default_relay_comes_from_variables() -> None:
    environ = {
        **MAIN,
        "SMTP_USER": "me@example.com",
        "EMAILHUB_OAUTH2_TOKEN_URL": "http://127.0.0.1:1/token",
        "EMAILHUB_OAUTH2_CLIENT_ID": "app",
        "EMAILHUB_OAUTH2_REFRESH_TOKEN": CANARY,
    }
    oauth2 = load(environ).settings.relays[0].oauth2
    assert oauth2 is not None
    assert (oauth2.client_id, oauth2.refresh_token, oauth2.grant) == ("app", Secret(CANARY), "refresh_token")


@pytest.mark.parametrize(
    ("environ", "variables"),
    (
        ({"SMTP_USER": "u", "EMAILHUB_OAUTH2_TOKEN_URL": "https://x/t"}, ["EMAILHUB_OAUTH2_CLIENT_ID"]),
        ({"EMAILHUB_OAUTH2_CLIENT_ID": "a"}, ["EMAILHUB_OAUTH2_TOKEN_URL", "SMTP_USER"]),
        (
            {"SMTP_USER": "u", "EMAILHUB_OAUTH2_TOKEN_URL": "https://x/t", "EMAILHUB_OAUTH2_CLIENT_ID": "a"},
            ["EMAILHUB_OAUTH2_CLIENT_SECRET", "EMAILHUB_OAUTH2_SCOPE"],
        ),
        (
            {
                "SMTP_USER": "u",
                "SMTP_PASS": "p",
                "EMAILHUB_OAUTH2_TOKEN_URL": "https://x/t",
                "EMAILHUB_OAUTH2_CLIENT_ID": "a",
                "EMAILHUB_OAUTH2_REFRESH_TOKEN": "r",
            },
            ["SMTP_PASS"],
        ),
    ),
)
def test_oauth2_in_variables_is_whole_or_absent(environ: dict[str, str], variables: list[str]) -> None:
    with pytest.raises(SettingsError) as caught:
        load({**MAIN, **environ})
    assert [problem.variable for problem in caught.value.problems] == variables


# Destinations


def test_a_destination_is_spared_by_connections_or_rate(file: Path) -> None:
    text = '[[destination]]\ndomain = "Gmail.com"\nconnections = 5\nrate = "20/s"\n[[destination]]\ndomain = "x.org"\n'
    first, second = settings(file, f"{text}rate = ['1/m', '100/d']").destinations
    assert (first.domain, first.connections, first.rate) == ("gmail.com", 5, (Rate(20, 1.0),))
    assert (second.connections, second.rate) == (None, (Rate(1, 60.0), Rate(100, 86400.0)))
    assert "without either the table says nothing" in the_problem(file, text)
    assert settings(file, "[[destination]]\ndomain = '*.x.org'\nrate = '1/s'").destinations[0].domain == "*.x.org"
    twice = '[[destination]]\ndomain = "x.org"\nconnections = 1\n'
    assert 'destination[1] "x.org" is about it already' in the_problem(file, twice * 2)


# DKIM


def test_a_key_signs_for_a_domain(file: Path, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_text(ED25519)
    text = f'[[dkim]]\ndomain = "example.com"\nselector = "s1"\nkey_file = "{tmp_path / "key.pem"}"\n'
    (key,) = settings(file, text).dkim
    assert (key.domain, key.selector) == ("example.com", "s1")
    assert key.key.reveal() == ED25519.removesuffix("\n")
    inline = f"[[dkim]]\ndomain = 'example.com'\nselector = 's2'\nkey = '''{ED25519}'''\n"
    assert len(settings(file, text + inline).dkim) == 2
    assert 'dkim[1] "example.com" has the same' in the_problem(file, text * 2)


@pytest.mark.parametrize(
    ("key", "says"),
    (
        ("not a key", "not a private key that can be read"),
        (pem(rsa.generate_private_key(65537, 1024)), "an RSA key of 1024 bits; at least 2048 are needed"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "neither an RSA nor an Ed25519 key"),
        (pem(ed25519.Ed25519PrivateKey.generate(), b"x"), "the key has a password"),
    ),
)
def test_a_key_that_cannot_sign_is_refused_without_showing_it(file: Path, key: str, says: str) -> None:
    found = the_problem(file, f"[[dkim]]\ndomain = 'example.com'\nselector = 's'\nkey = '''{key}'''")
    assert found.startswith('dkim[1] "example.com".key (file hub.toml): expected a private key in PEM form')
    assert says in found
    assert key[:20] not in found


def test_one_key_may_come_from_variables_or_a_single_table(file: Path) -> None:
    environ = {"EMAILHUB_DKIM_DOMAIN": "example.com", "EMAILHUB_DKIM_SELECTOR": "s", "EMAILHUB_DKIM_KEY": ED25519}
    (key,) = load(environ).settings.dkim
    assert key.key.reveal() == ED25519
    table = f"[dkim]\ndomain = 'example.com'\nselector = 's'\nkey = '''{ED25519}'''"
    assert settings(file, table).dkim[0].selector == "s"
    del environ["EMAILHUB_DKIM_SELECTOR"]
    with pytest.raises(SettingsError, match="EMAILHUB_DKIM_SELECTOR"):
        load(environ)


# Where mail may go


def test_recipients_are_diverted_or_allowed_by_address_and_domain() -> None:
    environ = {
        **MAIN,
        "EMAILHUB_DIVERT_TO": "Staging@Example.com",
        "EMAILHUB_ALLOW_RECIPIENTS": "ann@example.com, Example.org,*.example.net",
    }
    got = load(environ).settings
    assert got.divert_to == "Staging@example.com"
    assert got.allow_recipients == ("ann@example.com", "example.org", "*.example.net")


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    (
        ("EMAILHUB_DIVERT_TO", "example.com", "one address such as"),
        ("EMAILHUB_DIVERT_TO", "Ann <ann@example.com>", "without a name"),
        ("EMAILHUB_DIVERT_TO", "a@example.com,b@example.com", "one address such as"),
        ("EMAILHUB_ALLOW_RECIPIENTS", "*@example.com", "write the domain alone: example.com"),
        ("EMAILHUB_ALLOW_RECIPIENTS", "exa*.com", "only at the beginning"),
        ("EMAILHUB_SMTP_RATE", "10/s,20/s", "two rates of the same span"),
        ("EMAILHUB_SMTP_MIN_RATE", "0", "at least 1"),
        ("EMAILHUB_FAILOVER_AFTER", "60", "with its unit"),
        ("EMAILHUB_CHAOS", "transient=10", "a percentage from 0% to 100%"),
        ("EMAILHUB_CHAOS", "transient=101%", "a percentage from 0% to 100%"),
        ("EMAILHUB_CHAOS", "transient=60%,drop=50%", "110% together, which cannot be over 100%"),
        ("EMAILHUB_CHAOS", "slow=1%,slow=2%", "slow is there twice"),
        ("EMAILHUB_CHAOS", "fire=1%", "none of transient, permanent, drop, slow, delay"),
        ("EMAILHUB_CHAOS", "delay=3", "the unit is missing"),
    ),
)
def test_a_wrong_rule_is_told(variable: str, text: str, says: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"USE_REAL_SMTP": "false", variable: text})
    (problem,) = caught.value.problems
    assert problem.variable == variable
    assert says in problem.text


def test_chaos_is_for_captured_mail_only() -> None:
    text = "transient=10%, permanent=5%,drop=2.5%,slow=5%,delay=3s"
    chaos = load({"EMAILHUB_CHAOS": text}).settings.chaos
    assert chaos == ChaosStatus(transient=0.1, permanent=0.05, drop=0.025, slow=0.05, delay=3.0)
    (row,) = [row for row in describe(load({"EMAILHUB_CHAOS": text})) if row.name == "EMAILHUB_CHAOS"]
    assert row.value == "transient=10%,permanent=5%,drop=2.5%,slow=5%,delay=3s"
    with pytest.raises(SettingsError, match=r"EMAILHUB_CHAOS .*for captured mail only"):
        load({**MAIN, "EMAILHUB_CHAOS": text})


def test_rules_about_mail_that_does_not_go_out_are_a_warning() -> None:
    found = load({"EMAILHUB_DIVERT_TO": "a@example.com", "EMAILHUB_ALLOW_RECIPIENTS": "example.com"})
    assert [warning.partition(":")[0] for warning in found.warnings] == [
        "EMAILHUB_DIVERT_TO",
        "EMAILHUB_ALLOW_RECIPIENTS",
    ]


# What is told


def test_config_shows_every_key_of_every_row_with_its_source(file: Path) -> None:
    text = f'[[relay]]\n{OAUTH2}refresh_token = "{CANARY}" }}\nrate = ["10/s", "2000/day"]\n'
    text += "[[destination]]\ndomain = 'x.org'\nrate = '1/s'\n"
    text += f"[[dkim]]\ndomain = 'x.org'\nselector = 's'\nkey = '''{ED25519}'''"
    rows = {row.name: row for row in describe(loaded(file, text))}
    shown = rows['relay[1] "ses".rate']
    assert (shown.value, shown.source, shown.is_default) == ("10/s, 2000/d", "file hub.toml", False)
    shown = rows['relay[1] "ses".port']
    assert (shown.value, shown.source, shown.is_default) == ("587", "default", True)
    assert rows['relay[1] "ses".oauth2.refresh_token'].value == "***"
    assert rows['relay[1] "ses".oauth2.refresh_token'].source == "file hub.toml"
    assert rows['destination[1] "x.org".rate'].value == "1/s"
    assert rows['dkim[1] "x.org".key'].value == "***"


def test_secrets_of_rows_are_handed_to_the_log_to_hide_and_never_printed(file: Path) -> None:
    text = f'[[relay]]\n{OAUTH2}refresh_token = "{CANARY}-r" }}\n[[relay]]\nname = "b"\nhost = "b"\nuser = "u"\n'
    found = loaded(file, f'{text}password = "{CANARY}-p"\n')
    assert {f"{CANARY}-r", f"{CANARY}-p"} <= set(found.settings.secrets())
    assert CANARY not in repr(found)
    assert CANARY not in repr(describe(found))
