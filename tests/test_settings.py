"""Settings: where they come from, what they may be, what they must be to each other, and that secrets stay inside."""

from __future__ import annotations

import copy
import ipaddress
import json
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core import patterns
from emailhub.settings import (
    Loaded,
    Secret,
    SecretLink,
    SecretUrl,
    Settings,
    SettingsError,
    describe,
    documentation,
    enc_hook,
    fields,
    load,
    units,
)

REAL = {"SMTP_HOST": "smtp.example.com", "EMAIL_FROM": "hub@example.com"}
CANARY = "c4nary-v4lue"


def settings(environ: Mapping[str, str] = {}, **flags: str) -> Settings:
    return load(environ, flags=flags).settings


def problems(environ: Mapping[str, str], **sources: Any) -> dict[str, str]:
    """What is wrong, by variable."""
    with pytest.raises(SettingsError) as caught:
        load(environ, **sources)
    return {problem.variable: str(problem) for problem in caught.value.problems}


def the_problem(environ: Mapping[str, str], **sources: Any) -> str:
    """The only thing that is wrong."""
    found = problems(environ, **sources)
    assert len(found) == 1, found
    return next(iter(found.values()))


# Sources


def test_nothing_set_captures_mail_on_loopback() -> None:
    loaded = load({})
    assert loaded.settings == Settings()
    assert loaded.settings.capture
    assert loaded.settings.loopback
    assert loaded.settings.sender == "emailhub@localhost"
    assert set(loaded.sources.values()) == {"default"}
    assert loaded.warnings == ()


def test_the_stronger_source_wins_and_is_named(tmp_path: Path) -> None:
    toml = tmp_path / "hub.toml"
    toml.write_text("port = 1\nsse_clients = 1\nlog_level = 'error'\nqueue_prefetch = 1\n")
    dotenv = tmp_path / ".env"
    dotenv.write_text("EMAILHUB_PORT=2\nEMAILHUB_SSE_CLIENTS=2\nEMAILHUB_LOG_LEVEL=warning\n")
    environ = {"EMAILHUB_PORT": "3", "EMAILHUB_SSE_CLIENTS": "3"}
    loaded = load(environ, dotenv_path=dotenv, toml_path=toml, flags={"port": "4", "host": None})
    got = loaded.settings
    assert (got.port, got.sse_clients, got.log_level, got.queue_prefetch) == (4, 3, "warning", 1)
    assert {name: source for name, source in loaded.sources.items() if source != "default"} == {
        "EMAILHUB_PORT": "flag --port",
        "EMAILHUB_SSE_CLIENTS": "environment",
        "EMAILHUB_LOG_LEVEL": ".env",
        "EMAILHUB_QUEUE_PREFETCH": "file hub.toml",
    }


def test_absent_files_are_skipped_but_one_that_was_named_must_exist(tmp_path: Path) -> None:
    gone = tmp_path / "gone.toml"
    assert load({}, dotenv_path=tmp_path / ".env", toml_path=gone).settings == Settings()
    assert "no such file" in the_problem({"EMAILHUB_CONFIG": str(gone)})
    assert "no such file" in the_problem({}, flags={"config": str(gone)})


@pytest.mark.parametrize("how", ("environment", ".env", "flag"))
def test_the_toml_file_may_be_named_by_every_stronger_source(tmp_path: Path, how: str) -> None:
    (tmp_path / "named.toml").write_text("port = 7777")
    (tmp_path / "other.toml").write_text("port = 1")
    name = str(tmp_path / "named.toml")
    (tmp_path / ".env").write_text(f"EMAILHUB_CONFIG={name}\n" if how == ".env" else "")
    loaded = load(
        {"EMAILHUB_CONFIG": name} if how == "environment" else {},
        dotenv_path=tmp_path / ".env",
        toml_path=tmp_path / "other.toml",
        flags={"config": name} if how == "flag" else {},
    )
    assert loaded.settings.port == 7777


def test_toml_takes_flat_keys_tables_and_its_own_types(tmp_path: Path) -> None:
    toml = tmp_path / "emailhub.toml"
    toml.write_text(
        """
        SMTP_USER = "hub@example.com"
        EMAILHUB_UNKNOWN_WAIT = "10m"
        queue_exchange = "notifications"
        api_keys = ["first,key-with-a-comma", "second-key-of-sixteen"]
        open_send = ["10.0.0.0/8"]
        [smtp]
        host = "smtp.example.com"
        port = 2525
        pass = "x"
        connection.age = "1m"
        [queue]
        routing_keys = ["email", "email.high"]
        exchange_durable = false
        arguments = { x-queue-type = "quorum", x-delivery-limit = 5 }
        [emailhub]
        port = 9000
        """
    )
    got = load({}, toml_path=toml).settings
    assert (got.smtp_host, got.smtp_port, got.smtp_user, got.smtp_connection_age) == (
        "smtp.example.com",
        2525,
        "hub@example.com",
        60.0,
    )
    assert (got.port, got.unknown_wait, got.queue_exchange_durable) == (9000, 600.0, False)
    assert got.queue_routing_keys == ("email", "email.high")
    assert got.queue_arguments == {"x-queue-type": "quorum", "x-delivery-limit": 5}
    assert [key.reveal() for key in got.api_keys] == ["first,key-with-a-comma", "second-key-of-sixteen"]
    assert got.open_send == (ipaddress.ip_network("10.0.0.0/8"),)


def test_toml_mistakes_are_told_with_key_and_file(tmp_path: Path) -> None:
    toml = tmp_path / "emailhub.toml"
    toml.write_text('prot = 1\n[smtp]\nhosst = "x"\n[breaker]\nfailures = true\n[emailhub]\nsmtp_idle = 30\n')
    found = problems({}, toml_path=toml)
    assert "Did you mean EMAILHUB_PORT?" in found["prot"]
    assert "Did you mean SMTP_HOST?" in found["smtp.hosst"]
    assert found["EMAILHUB_BREAKER_FAILURES"].startswith("EMAILHUB_BREAKER_FAILURES (file emailhub.toml): 'true'")
    assert "with its unit" in found["EMAILHUB_SMTP_IDLE"]
    toml.write_text("port = ")
    assert "not TOML" in the_problem({}, toml_path=toml)
    toml.write_text("port = 1\nEMAILHUB_PORT = 2")
    assert "a second time" in the_problem({}, toml_path=toml)
    toml.write_bytes(b"port = 1 # \xff")
    assert "is not UTF-8" in the_problem({}, toml_path=toml)


def test_dotenv_knows_quotes_comments_export_and_references(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text(
        "# a comment\n"
        "export SMTP_HOST='smtp.example.com'  # another\n"
        'EMAIL_FROM="Hub <hub@example.com>"\n'
        "SMTP_USER=hub\nSMTP_PASS='pa #ss'\n"
        "NAME=rabbit\nRABBITMQ_URL=amqp://${USER_OF_RABBIT}:${MISSING:-guest}@${NAME}/\n"
        "SOMETHING_ELSE=1\n"
    )
    loaded = load({"USER_OF_RABBIT": "u"}, dotenv_path=dotenv)
    got = loaded.settings
    assert (got.smtp_host, got.email_from) == ("smtp.example.com", "Hub <hub@example.com>")
    assert got.smtp_pass == Secret("pa #ss")
    assert got.rabbitmq_url == SecretUrl("amqp://u:guest@rabbit/")
    assert loaded.sources["RABBITMQ_URL"] == ".env"


def test_dotenv_mistakes_are_told_with_their_line(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("EMAILHUB_PORT=1\nEMAILHUB_QUEUE='open\n")
    assert "line 2" in the_problem({}, dotenv_path=dotenv)
    dotenv.write_text("EMAILHUB_QUEUE=${NOWHERE}\n")
    assert "uses ${NOWHERE}, which is not set" in the_problem({}, dotenv_path=dotenv)
    dotenv.write_bytes(b"EMAILHUB_QUEUE=\xff\n")
    assert "is not UTF-8" in the_problem({}, dotenv_path=dotenv)


def test_an_empty_value_means_not_set_and_hides_weaker_sources(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EMAILHUB_PORT=9\nRABBITMQ_URL=amqp://x/\n")
    loaded = load({"EMAILHUB_PORT": "", "RABBITMQ_URL": " "}, dotenv_path=tmp_path / ".env")
    assert loaded.settings == Settings()
    assert loaded.sources["EMAILHUB_PORT"] == "default"


def test_values_come_from_files_for_secrets_in_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(" pass word \n")
    loaded = load({**REAL, "SMTP_USER": "hub", "SMTP_PASS_FILE": str(secret)})
    assert loaded.settings.smtp_pass == Secret(" pass word ")
    assert loaded.sources["SMTP_PASS"] == f"environment, file {secret}"
    toml = tmp_path / "x.toml"
    toml.write_text(f'admin_password_file = "{secret}"')
    assert load({}, toml_path=toml).settings.admin_password == Secret(" pass word ")


def test_a_secret_file_that_is_missing_empty_or_doubled_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    here = {**REAL, "SMTP_USER": "hub"}
    missing = the_problem({**here, "SMTP_PASS_FILE": str(tmp_path / "gone")})
    assert missing.startswith("SMTP_PASS_FILE (environment): the file ")
    assert "No such file" in missing
    assert "is empty" in the_problem({**here, "SMTP_PASS_FILE": str(tmp_path / "empty")})
    both = the_problem({**here, "SMTP_PASS": CANARY, "SMTP_PASS_FILE": str(tmp_path / "empty")})
    assert "both set" in both
    assert CANARY not in both


def test_a_stronger_source_may_replace_a_secret_by_a_file(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("strong")
    (tmp_path / ".env").write_text("EMAILHUB_ADMIN_PASSWORD=weak\n")
    got = load({"EMAILHUB_ADMIN_PASSWORD_FILE": str(tmp_path / "secret")}, dotenv_path=tmp_path / ".env").settings
    assert got.admin_password == Secret("strong")


# Names


def test_a_misspelt_name_is_an_error_with_a_suggestion() -> None:
    found = problems({"EMAILHUB_PROT": "1", "EMAILHUB_SMTP_HOST": "x", "EMAILHUB_ZZZ": CANARY})
    assert "Did you mean EMAILHUB_PORT?" in found["EMAILHUB_PROT"]
    assert "Did you mean SMTP_HOST?" in found["EMAILHUB_SMTP_HOST"]
    assert "`emailhub config` lists them all" in found["EMAILHUB_ZZZ"]
    assert CANARY not in str(found)


def test_what_kubernetes_injects_for_a_service_is_ignored_with_a_warning() -> None:
    injected = {
        "EMAILHUB_PORT": "tcp://10.0.0.7:8000",
        "EMAILHUB_SERVICE_HOST": "10.0.0.7",
        "EMAILHUB_SERVICE_PORT": "8000",
        "EMAILHUB_SERVICE_PORT_HTTP": "8000",
        "EMAILHUB_PORT_8000_TCP": "tcp://10.0.0.7:8000",
        "EMAILHUB_PORT_8000_TCP_PROTO": "tcp",
        "EMAILHUB_PORT_8000_TCP_PORT": "8000",
        "EMAILHUB_PORT_8000_TCP_ADDR": "10.0.0.7",
        "SMTP_PORT": "tcp://10.0.0.8:25",
        "SMTP_SERVICE_HOST": "10.0.0.8",
        "SMTP_PORT_25_TCP_ADDR": "10.0.0.8",
    }
    loaded = load(injected)
    assert loaded.settings == Settings()
    (warning,) = loaded.warnings
    assert "EMAILHUB_PORT" in warning
    assert "enableServiceLinks" in warning


def test_names_other_programs_use_are_pointed_out() -> None:
    loaded = load({"MAIL_FROM": "a@example.com"})
    assert loaded.warnings == ("MAIL_FROM is set (environment) but emailhub reads EMAIL_FROM",)
    assert load({**REAL, "MAIL_FROM": "a@example.com"}).warnings == ()


# Values


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    (
        ("EMAILHUB_PORT", " 8080 ", 8080),
        ("EMAILHUB_EXPIRE_AFTER", "7d", 7 * 86400),
        ("EMAILHUB_EXPIRE_AFTER", "1h 30m", 5400),
        ("SMTP_RETRY_DELAY_SECONDS", "0.2", 0.2),
        ("SMTP_RETRY_DELAY_SECONDS", "2m", 120),
        ("EMAILHUB_MAX_MESSAGE_SIZE", "10MiB", 10485760),
        ("EMAILHUB_MAX_MESSAGE_SIZE", "1GB", 10**9),
        ("EMAILHUB_MAX_MESSAGE_SIZE", "2048", 2048),
        ("EMAILHUB_QUEUE_EXCHANGE_DURABLE", "Off", False),
        ("EMAILHUB_LOG_LEVEL", "DEBUG", "debug"),
        ("EMAILHUB_ALLOWED_HOSTS", "a.example.com, b.example.com,", ("a.example.com", "b.example.com")),
        ("EMAILHUB_OPEN_SEND", "10.0.0.0/8,::1", (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))),
        ("EMAILHUB_QUEUE_ARGUMENTS", '{"x-max-priority": 5}', {"x-max-priority": 5}),
        ("EMAILHUB_PUBLIC_URL", "https://example.com/mail/", "https://example.com/mail"),
        ("EMAILHUB_ALERT_URL", "https://x.example/T0/B0", SecretLink("https://x.example/T0/B0")),
        ("EMAILHUB_DATABASE", "/data/hub.db", Path("/data/hub.db")),
        ("EMAIL_FROM", "Hub <hub@example.com>", "Hub <hub@example.com>"),
        ("EMAILHUB_HOST", "[::1]", "::1"),
        ("USE_REAL_SMTP", "no", False),
    ),
)
def test_a_right_value_is_read(variable: str, text: str, value: object) -> None:
    attribute = next(field.attribute for field in fields().values() if field.variable == variable)
    assert getattr(settings({**REAL, variable: text}), attribute) == value


@pytest.mark.parametrize(
    ("variable", "text", "says"),
    (
        ("EMAILHUB_PORT", "eighty", "a whole number from 1 to 65535"),
        ("EMAILHUB_PORT", "70000", "at most 65535"),
        ("EMAILHUB_PORT", "0", "at least 1"),
        ("EMAILHUB_PORT", "8.5", "a whole number"),
        ("EMAILHUB_PORT", "٣", "a whole number"),
        ("MAX_RETRY_ATTEMPTS", "0", "at least 1"),
        ("EMAILHUB_EXPIRE_AFTER", "24", "with its unit"),
        ("EMAILHUB_EXPIRE_AFTER", "24 parsecs", "with its unit"),
        ("EMAILHUB_EXPIRE_AFTER", "-1h", "with its unit"),
        ("EMAILHUB_EXPIRE_AFTER", "0s", "at least 1s"),
        ("EMAILHUB_KEEP_IDEMPOTENCY", "1h", "at least 3d"),
        ("SMTP_RETRY_DELAY_SECONDS", "nan", "finite"),
        ("SMTP_RETRY_DELAY_SECONDS", "0", "at least 0.01"),
        ("EMAILHUB_MAX_MESSAGE_SIZE", "ten", "a size"),
        ("EMAILHUB_MAX_MESSAGE_SIZE", "1b", "at least 1KiB"),
        ("EMAILHUB_ON_UNKNOWN", "panic", "one of retry, hold, fail"),
        ("EMAILHUB_QUEUE_EXCHANGE_DURABLE", "maybe", "true, false, yes, no"),
        ("EMAILHUB_OPEN_SEND", "10.0.0.1/8", "the network is 10.0.0.0/8"),
        ("EMAILHUB_OPEN_SEND", "everyone", "no network"),
        ("EMAILHUB_QUEUE_ARGUMENTS", "{", "not JSON"),
        ("EMAILHUB_QUEUE_ARGUMENTS", "[]", "not a JSON object"),
        ("EMAILHUB_QUEUE", "a\nb", "control character"),
        ("EMAILHUB_PUBLIC_URL", "example.com", "begin with http:// or https://"),
        ("EMAILHUB_PUBLIC_URL", "https://u:p@example.com", "no user, password"),
        ("EMAILHUB_SMTP_CA", "/nowhere/ca.pem", "no such file"),
        ("EMAILHUB_TEMPLATES_DIR", "/nowhere", "no such folder"),
        ("EMAILHUB_HOST", "http://x", "a host name only, without scheme"),
        ("SMTP_HOST", "smtp.example.com:587", "the port has its own setting"),
        ("SMTP_HOST", "smtp example com", "not a host name"),
        ("EMAIL_FROM", "nobody", "expected an address such as"),
        ("EMAIL_FROM", "a@example.com, b@example.com", "expected an address such as"),
        ("RABBITMQ_URL", "http://rabbit/", "begin with amqp:// or amqps://"),
        ("RABBITMQ_URL", "rabbit:5672", "begin with amqp://"),
        ("RABBITMQ_URL", "amqp://u:100%@rabbit/", "write % as %25"),
        ("RABBITMQ_URL", "amqp://u:p@ss@rabbit/", "write the one in the password as %40"),
        ("RABBITMQ_URL", "amqp://u:pa/ss@rabbit/", "write / as %2F"),
        ("RABBITMQ_URL", "amqp://u:pa#ss@rabbit/", "%23"),
        ("RABBITMQ_URL", "amqp://rabbit/a/b", "virtual host"),
        ("RABBITMQ_URL", "amqp://", "host or port"),
        ("REDIS_URL", "localhost:6379", "begin with redis://"),
        ("EMAILHUB_API_KEYS", "schlüssel-schlüssel", "printable ASCII"),
    ),
)
def test_a_wrong_value_is_told_with_name_source_and_expectation(variable: str, text: str, says: str) -> None:
    found = problems({variable: text})[variable]
    assert found.startswith(f"{variable} (environment): ")
    assert says in found


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("EMAILHUB_PROT=1\nSMTP_PORT=x\n")
    found = problems(
        {"EMAILHUB_HOST": "0.0.0.0", "RABBITMQ_URL": "amqp://r/", "EMAILHUB_IDLE": "1"},
        dotenv_path=tmp_path / ".env",
        flags={"port": "x"},
    )
    assert set(found) == {"EMAILHUB_PROT", "SMTP_PORT", "EMAILHUB_HOST", "SMTP_HOST", "EMAILHUB_IDLE", "EMAILHUB_PORT"}
    assert "(flag --port)" in found["EMAILHUB_PORT"]
    assert "(.env)" in found["SMTP_PORT"]


def test_the_error_is_a_text_to_print() -> None:
    with pytest.raises(SettingsError) as caught:
        load({"EMAILHUB_PORT": "x", "EMAILHUB_SSE_CLIENTS": "x"})
    first, *rest = str(caught.value).splitlines()
    assert first == "2 settings need your attention:"
    assert len(rest) == 2
    assert all(line.startswith("  EMAILHUB_") for line in rest)


# Rules


@pytest.mark.parametrize(
    "environ",
    (
        {},
        {"USE_REAL_SMTP": "false"},
        {"USE_REAL_SMTP": "false", "RABBITMQ_URL": "amqp://r/", "SMTP_PORT": "25"},
        {"USE_REAL_SMTP": "false", **REAL},
        {"EMAIL_FROM": "a@example.com", "MAX_RETRY_ATTEMPTS": "5"},
    ),
)
def test_mail_is_captured_when_that_is_clearly_meant(environ: dict[str, str]) -> None:
    assert settings(environ).capture


@pytest.mark.parametrize(
    "environ",
    (
        {"USE_REAL_SMTP": "true"},
        {"RABBITMQ_URL": "amqp://rabbit/"},
        {"SMTP_PORT": "2525"},
        {"SMTP_USER": "u", "SMTP_PASS": "p"},
        {"EMAILHUB_SMTP_TLS": "starttls"},
        {"SMTP_SERVER": "smtp.example.com"},
    ),
)
def test_a_forgotten_host_never_swallows_production_mail(environ: dict[str, str]) -> None:
    found = the_problem(environ)
    assert found.startswith("SMTP_HOST (not set): ")
    assert "USE_REAL_SMTP=false" in found
    assert next(iter(environ)) in found


def test_a_host_of_smtp_means_real_mail() -> None:
    got = settings(REAL)
    assert not got.capture
    assert got.sender == "hub@example.com"


def test_the_sender_falls_back_to_the_login_when_that_is_an_address() -> None:
    login = {"SMTP_HOST": "smtp.example.com", "SMTP_PASS": "p"}
    assert settings({**login, "SMTP_USER": "me@example.com"}).sender == "me@example.com"
    assert the_problem({**login, "SMTP_USER": "apikey"}).startswith("EMAIL_FROM (not set): ")


@pytest.mark.parametrize(
    ("environ", "security"),
    (
        ({}, "opportunistic"),
        ({"SMTP_PORT": "465"}, "implicit"),
        ({"SMTP_USER": "u", "SMTP_PASS": "p"}, "starttls"),
        ({"SMTP_USER": "u", "SMTP_PASS": "p", "SMTP_PORT": "465"}, "implicit"),
        ({"EMAILHUB_SMTP_TLS": "none"}, "none"),
        ({"EMAILHUB_SMTP_TLS": "starttls"}, "starttls"),
    ),
)
def test_connections_are_protected_as_port_and_login_demand(environ: dict[str, str], security: str) -> None:
    assert settings({**REAL, **environ}).relays[0].security == security


def test_implicit_tls_has_its_own_default_port() -> None:
    assert settings({**REAL, "EMAILHUB_SMTP_TLS": "implicit"}).smtp_port == 465
    assert settings({**REAL, "EMAILHUB_SMTP_TLS": "implicit", "SMTP_PORT": "587"}).smtp_port == 587


def test_a_password_never_goes_over_the_wire_in_clear() -> None:
    found = the_problem({**REAL, "SMTP_USER": "u", "SMTP_PASS": "p", "EMAILHUB_SMTP_TLS": "none"})
    assert found.startswith("EMAILHUB_SMTP_TLS (environment): none would send the login readable")


def test_a_login_is_whole_or_absent() -> None:
    assert the_problem({**REAL, "SMTP_USER": "u"}).startswith("SMTP_PASS (not set)")
    assert the_problem({**REAL, "SMTP_PASS": "p"}).startswith("SMTP_USER (not set)")


def test_a_ca_file_must_hold_certificates(tmp_path: Path) -> None:
    (tmp_path / "bad.pem").write_text("no certificate")
    assert "holds no certificates" in the_problem({**REAL, "EMAILHUB_SMTP_CA": str(tmp_path / "bad.pem")})
    trustme.CA().cert_pem.write_to_path(tmp_path / "good.pem")
    found = settings({**REAL, "EMAILHUB_SMTP_CA": str(tmp_path / "good.pem")}).smtp_ca
    assert found is not None
    assert (found.path, str(found)) == (tmp_path / "good.pem", str(tmp_path / "good.pem"))


@pytest.mark.parametrize("host", ("0.0.0.0", "::", "192.168.1.4", "hub.example.com"))
def test_other_machines_are_let_in_only_with_credentials(host: str) -> None:
    found = the_problem({"EMAILHUB_HOST": host})
    for way_out in ("EMAILHUB_API_KEYS", "EMAILHUB_ADMIN_PASSWORD", "127.0.0.1", "EMAILHUB_AUTH=none"):
        assert way_out in found
    assert settings({"EMAILHUB_HOST": host, "EMAILHUB_API_KEYS": "k" * 16}).host == host
    assert settings({"EMAILHUB_HOST": host, "EMAILHUB_ADMIN_PASSWORD": "p" * 8}).host == host


@pytest.mark.parametrize("host", ("127.0.0.1", "127.1.2.3", "::1", "localhost"))
def test_loopback_needs_no_credentials(host: str) -> None:
    assert settings({"EMAILHUB_HOST": host}).loopback


def test_open_doors_are_said_loudly() -> None:
    loaded = load({"EMAILHUB_HOST": "0.0.0.0", "EMAILHUB_AUTH": "none"})
    (warning,) = loaded.warnings
    assert "everybody who can connect may read and send all mail" in warning


@pytest.mark.parametrize(
    ("environ", "says"),
    (
        ({"REDIS_URL": "redis://redis/0"}, "set and unused"),
        ({"SMTP_RETRY_DELAY_SECONDS": "2", **REAL}, "unused while MAX_RETRY_ATTEMPTS is not set"),
        ({"EMAILHUB_QUEUE_ROUTING_KEYS": "email"}, "unused while EMAILHUB_QUEUE_EXCHANGE is not set"),
        ({"EMAILHUB_API_KEYS": "short"}, "can be guessed"),
        ({"EMAILHUB_ADMIN_PASSWORD": "short"}, "can be guessed"),
        ({"USE_REAL_SMTP": "0", **REAL}, "SMTP_HOST is not used"),
    ),
)
def test_what_works_but_may_not_be_meant_is_a_warning(environ: dict[str, str], says: str) -> None:
    (warning,) = load(environ).warnings
    assert says in warning


@pytest.mark.parametrize(
    ("environ", "variable"),
    (
        ({"EMAILHUB_BREAKER_OPEN_FOR": "1h"}, "EMAILHUB_BREAKER_OPEN_MAX"),
        ({"EMAILHUB_KEEP_BODIES": "100d"}, "EMAILHUB_KEEP_BODIES"),
        ({"EMAILHUB_DEAD_LETTER_QUEUE": "email.queue"}, "EMAILHUB_DEAD_LETTER_QUEUE"),
    ),
)
def test_settings_that_contradict_each_other_are_an_error(environ: dict[str, str], variable: str) -> None:
    assert the_problem(environ).startswith(variable)


def test_a_rule_about_an_unreadable_setting_adds_no_second_error() -> None:
    assert the_problem({"SMTP_HOST": "a b", "SMTP_PORT": "25"}).startswith("SMTP_HOST (environment)")


@pytest.mark.parametrize(
    ("environ", "url"),
    (
        ({}, "http://127.0.0.1:8000"),
        ({"EMAILHUB_HOST": "0.0.0.0", "EMAILHUB_AUTH": "none", "EMAILHUB_PORT": "9"}, "http://127.0.0.1:9"),
        ({"EMAILHUB_HOST": "::1"}, "http://[::1]:8000"),
        ({"EMAILHUB_URL": "https://hub.example.com/mail/"}, "https://hub.example.com/mail"),
    ),
)
def test_commands_know_where_the_hub_is(environ: dict[str, str], url: str) -> None:
    assert settings(environ).hub_url == url


# Secrets


def secretive() -> Loaded:
    return load(
        {
            "SMTP_HOST": "smtp.example.com",
            "SMTP_USER": "hub@example.com",
            "SMTP_PASS": CANARY,
            "RABBITMQ_URL": f"amqp://hub:{CANARY}@rabbit:5672/vhost",
            "REDIS_URL": f"redis://:{CANARY}@redis/0",
            "EMAILHUB_API_KEYS": f"{CANARY}-one-long,{CANARY}-two-long",
            "EMAILHUB_ADMIN_PASSWORD": CANARY,
            "EMAILHUB_ALERT_URL": f"https://user:{CANARY}@alerts.example.com/{CANARY}?token={CANARY}",
            "EMAILHUB_API_KEY": CANARY,
        }
    )


def test_every_setting_that_may_be_secret_is_a_secret() -> None:
    assert {field.variable for field in fields().values() if field.doc.kind.secret} == {
        "SMTP_PASS",
        "EMAILHUB_OAUTH2_CLIENT_SECRET",
        "EMAILHUB_OAUTH2_REFRESH_TOKEN",
        "EMAILHUB_DKIM_KEY",
        "RABBITMQ_URL",
        "REDIS_URL",
        "EMAILHUB_API_KEYS",
        "EMAILHUB_ADMIN_PASSWORD",
        "EMAILHUB_ALERT_URL",
        "EMAILHUB_API_KEY",
    }


def test_no_way_of_writing_settings_shows_a_secret() -> None:
    loaded = secretive()
    shown = [
        repr(loaded),
        str(loaded.settings),
        f"{loaded.settings.smtp_pass} {loaded.settings.smtp_pass!r} {loaded.settings.api_keys}",
        f"{loaded.settings.rabbitmq_url}",
        msgspec.json.encode(loaded, enc_hook=enc_hook).decode(),
        json.dumps(msgspec.to_builtins(loaded, enc_hook=enc_hook)),
        repr(describe(loaded)),
    ]
    assert not [text for text in shown if CANARY in text]
    assert "amqp://hub:***@rabbit:5672/vhost" in shown[0]
    assert "https://alerts.example.com/***" in shown[0]


def test_a_secret_fails_rather_than_leaves_the_process() -> None:
    secret = Secret(CANARY)
    with pytest.raises(TypeError):
        msgspec.json.encode(secret)
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_no_error_shows_a_secret() -> None:
    with pytest.raises(SettingsError) as caught:
        load(
            {
                "SMTP_PASS": f"{CANARY}\nx",
                "RABBITMQ_URL": f"amqp://hub:{CANARY}/x@rabbit",
                "REDIS_URL": f"{CANARY}",
                "EMAILHUB_API_KEYS": f"{CANARY} x",
                "EMAILHUB_ALERT_URL": f"ftp://{CANARY}",
            }
        )
    assert len(caught.value.problems) >= 5
    assert CANARY not in str(caught.value)
    assert CANARY not in repr(caught.value)


def test_all_secrets_can_be_handed_to_the_log_to_hide() -> None:
    texts = secretive().settings.secrets()
    assert CANARY in texts
    assert {f"{CANARY}-one-long", f"{CANARY}-two-long"} <= set(texts)
    assert f"https://user:{CANARY}@alerts.example.com/{CANARY}?token={CANARY}" in texts
    assert "p@ss" in settings({**REAL, "RABBITMQ_URL": "amqp://u:p%40ss@rabbit/"}).secrets()
    assert settings({**REAL, "RABBITMQ_URL": "amqp://rabbit/"}).secrets() == ()


# What is told


def test_config_shows_every_setting_with_value_and_source() -> None:
    rows = {row.name: row for row in describe(load({"EMAILHUB_EXPIRE_AFTER": "48h"}, flags={"port": "8001"}))}
    assert rows["EMAILHUB_PORT"].value == "8001"
    assert rows["EMAILHUB_PORT"].source == "flag --port"
    assert rows["EMAILHUB_EXPIRE_AFTER"].value == "2d"
    assert rows["SMTP_HOST"].value == ""
    assert rows["SMTP_HOST"].is_default
    assert list(rows) == [field.variable for field in fields().values()]


@pytest.mark.parametrize("entry", documentation(), ids=lambda entry: entry.name)
def test_every_setting_says_what_it_means_and_what_happens_without_it(entry: Any) -> None:
    assert re.fullmatch(r"[A-Z`].*\.", entry.meaning)
    assert entry.unit
    assert entry.default


def test_every_default_written_down_reads_back_as_the_default() -> None:
    for field in fields().values():
        if field.default_text:
            kind = field.doc.kind
            assert kind.parse(field.default_text) == field.default, field.variable


# Units


@given(st.integers(0, 10**8).map(lambda value: value / 10))
def test_a_duration_written_reads_back(value: float) -> None:
    assert units.duration(units.duration_text(value)) == pytest.approx(value, rel=1e-5)


@given(st.integers(0, 2**50))
def test_a_size_written_reads_back(value: int) -> None:
    assert units.size(units.size_text(value)) == value


@pytest.mark.parametrize(
    ("text", "rate"),
    (("10/s", (10, 1)), ("500/hour", (500, 3600)), ("2000 / day", (2000, 86400)), ("60/min", (60, 60))),
)
def test_a_rate_is_a_number_in_a_time(text: str, rate: tuple[int, float]) -> None:
    assert patterns.rate(text) == rate
    assert patterns.rate(patterns.rate_text(patterns.rate(text))) == rate


@pytest.mark.parametrize("text", ("10", "0/s", "-1/s", "1/fortnight", "x/s", "1.5/s"))
def test_anything_else_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="not a rate"):
        patterns.rate(text)


def test_a_hash_of_the_admin_password_that_lost_its_dollars_is_refused_with_the_way_out() -> None:
    whole = "$argon2id$v=19$m=65536,t=3,p=4$4O2dAt9GVCsTrEl/LT4Rxw$Va5xlFHDkS70CuEZOq+vmO9NTH1S4XODRtMqWk9TWCE"
    assert load({"EMAILHUB_ADMIN_PASSWORD": whole}).settings.admin_password is not None
    for part in ("$argon2id$v=19$m=65536,t=3,p=4", "$argon2i" + whole[9:], whole[:-30]):
        with pytest.raises(SettingsError, match="emailhub users hash"):
            load({"EMAILHUB_ADMIN_PASSWORD": part})
