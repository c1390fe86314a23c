"""`emailhub check`: every neighbour real, every finding one line with its next step."""

from __future__ import annotations

import asyncio
import fcntl
import gc
import json
import logging
import sqlite3
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import aio_pika
import pytest
import trustme

from emailhub.adapters.sqlite import open_database
from emailhub.cli import doctor
from emailhub.cli.doctor import Finding, Mark
from emailhub.cli.neighbours import check_rabbit, check_smtp
from emailhub.settings import Settings, load
from tests.support.fake_hub import FakeHub, Run
from tests.support.ports import free_port
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_server import SmtpServer

CANARY = "c4nary-v4lue"


def settings(**environ: str) -> Settings:
    return load({"EMAIL_FROM": "hub@example.com", **environ}).settings


def smtp_of(server: SmtpServer, **environ: str) -> Settings:
    return settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(server.port), **environ)


def outbox_of(path: Path, **environ: str) -> list[Finding]:
    return list(doctor.check_outbox(settings(EMAILHUB_DATABASE=str(path), **environ)))


def marks(findings: list[Finding]) -> list[str]:
    return [finding.mark.value for finding in findings]


# SMTP


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def certificate(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


async def test_a_session_that_works_is_told_with_encryption_login_and_sender(
    certificate: ssl.SSLContext, ca: str
) -> None:
    async with SmtpServer(tls="starttls", context=certificate, users={"hub": CANARY}) as server:
        found = await check_smtp(smtp_of(server, EMAILHUB_SMTP_CA=ca, SMTP_USER="hub", SMTP_PASS=CANARY))
        await server.wait_until(lambda: server.sessions[0].closed_at is not None)
    assert marks(found) == ["ok", "ok"]
    assert "TLSv1.3 by STARTTLS, logged in as hub; it offers PIPELINING" in found[0].detail
    assert found[1].detail == "the sender hub@example.com is welcome"
    assert server.sessions[0].quit
    assert server.messages == []


async def test_a_rejected_login_names_the_settings_and_not_the_password(certificate: ssl.SSLContext, ca: str) -> None:
    async with SmtpServer(tls="starttls", context=certificate, users={"hub": "right"}) as server:
        (found,) = await check_smtp(smtp_of(server, EMAILHUB_SMTP_CA=ca, SMTP_USER="hub", SMTP_PASS=CANARY))
    assert found.mark is Mark.FAIL
    assert "535" in found.detail
    assert "SMTP_USER and SMTP_PASS" in found.step
    assert CANARY not in str(found)


async def test_a_certificate_nobody_vouches_for_is_a_failure(certificate: ssl.SSLContext) -> None:
    async with SmtpServer(tls="starttls", context=certificate, users={"hub": "x"}) as server:
        (found,) = await check_smtp(smtp_of(server, SMTP_USER="hub", SMTP_PASS="x"))
    assert found.mark is Mark.FAIL
    assert "EMAILHUB_SMTP_CA" in found.detail


async def test_mail_that_would_travel_readable_is_a_warning() -> None:
    async with SmtpServer() as server:
        found = await check_smtp(smtp_of(server))
        on_purpose = await check_smtp(smtp_of(server, EMAILHUB_SMTP_TLS="none"))
    assert marks(found) == ["warn", "ok"]
    assert marks(on_purpose) == ["ok", "ok"]


async def test_a_sender_the_server_does_not_want_is_a_failure() -> None:
    async with SmtpServer() as server:
        server.on("MAIL", "553 5.7.1 sender not verified")
        found = await check_smtp(smtp_of(server, EMAILHUB_SMTP_TLS="none"))
    assert marks(found) == ["ok", "fail"]
    assert "553" in found[1].detail
    assert "EMAIL_FROM" in found[1].step


async def test_a_server_that_hangs_up_at_the_sender_is_a_failure() -> None:
    async with SmtpServer() as server:
        server.on("MAIL", b"", close="rst")
        found = await check_smtp(smtp_of(server, EMAILHUB_SMTP_TLS="none"))
    assert marks(found) == ["ok", "fail"]


async def test_nobody_listening_is_told_with_the_address() -> None:
    port = free_port()
    (found,) = await check_smtp(settings(SMTP_HOST="127.0.0.1", SMTP_PORT=str(port)))
    assert found.mark is Mark.FAIL
    assert f"127.0.0.1:{port}" in found.detail
    assert "SMTP_PORT" in found.step


def relays_of(folder: Path, text: str, **environ: str) -> Settings:
    file = folder / "hub.toml"
    file.write_text(text)
    return load({"EMAIL_FROM": "hub@example.com", **environ}, toml_path=file).settings


async def test_every_relay_is_knocked_at_and_says_what_it_offers(tmp_path: Path) -> None:
    async with SmtpServer() as first, SmtpServer(extensions=("SIZE 1000", "CHUNKING")) as second:
        text = f"""
            [[relay]]
            name = "second"
            host = "127.0.0.1"
            port = {second.port}
            tls = "none"
            from_domains = ["example.com"]
            [[relay]]
            name = "brand"
            host = "127.0.0.1"
            port = {second.port}
            tls = "none"
            from_domains = ["brand.example"]
            [[relay]]
            name = "gone"
            host = "127.0.0.1"
            port = {free_port()}
        """
        environ = {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(first.port), "EMAILHUB_SMTP_TLS": "none"}
        found = await check_smtp(relays_of(tmp_path, text, **environ))
    assert [(one.what, one.mark) for one in found] == [
        ("smtp", "ok"),
        ("smtp", "ok"),
        ("smtp second", "ok"),
        ("smtp second", "ok"),
        ("smtp brand", "ok"),
        ("smtp gone", "fail"),
    ]
    assert found[2].detail.endswith("no TLS, no login; it offers CHUNKING, SIZE 1000")
    assert found[3].detail == "the sender hub@example.com is welcome"
    assert "check its host and port" in found[5].step


async def test_a_token_that_is_not_given_is_told_with_the_step_for_oauth2(
    certificate: ssl.SSLContext, ca: str, tmp_path: Path
) -> None:
    async with SmtpServer(tls="starttls", context=certificate, users={"hub": "x"}) as server:
        text = f"""
            [[relay]]
            name = "gmail"
            host = "127.0.0.1"
            port = {server.port}
            ca = "{ca}"
            user = "me@example.com"
            [relay.oauth2]
            token_url = "http://127.0.0.1:{free_port()}/token"
            client_id = "app"
            refresh_token = "{CANARY}"
        """
        (found,) = await check_smtp(relays_of(tmp_path, text))
    assert (found.what, found.mark) == ("smtp gmail", Mark.FAIL)
    assert "client, token and scope of its OAuth2" in found.step
    assert CANARY not in str(found)


async def test_capture_needs_no_server() -> None:
    assert marks(await check_smtp(settings())) == ["ok"]


# RabbitMQ


async def look(settings: Settings) -> list[Finding]:
    found = await check_rabbit(settings)
    # The library's half-open connection closes itself when it is collected, and only a running loop can do that.
    gc.collect()
    await asyncio.sleep(0)
    return found


def rabbit_of(url: str, **environ: str) -> Settings:
    return settings(RABBITMQ_URL=url, USE_REAL_SMTP="false", **environ)


async def test_queues_are_told_with_what_is_in_them_and_who_takes_from_them(rabbit_vhost: str) -> None:
    connection = await aio_pika.connect(rabbit_vhost)
    async with connection:
        channel = await connection.channel()
        await channel.declare_queue("email.queue", durable=True)
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), "email.queue")
        found = await look(rabbit_of(rabbit_vhost))
    assert marks(found) == ["ok", "ok", "ok"]
    assert found[1].detail == "the queue email.queue has 1 messages and 0 consumers"
    assert found[2].detail == "the queue failed.queue does not exist yet; `emailhub serve` makes it"


async def test_an_absent_queue_is_a_warning_when_the_hub_may_not_make_it(rabbit_vhost: str) -> None:
    found = await look(rabbit_of(rabbit_vhost, EMAILHUB_QUEUE_DECLARE="passive"))
    assert marks(found) == ["ok", "warn", "warn"]


async def test_a_rejected_login_at_rabbitmq_does_not_show_the_password(rabbit: RabbitNode) -> None:
    (found,) = await look(rabbit_of(f"amqp://guest:{CANARY}@127.0.0.1:{rabbit.port}/"))
    assert found.mark is Mark.FAIL
    assert "refused the login of user 'guest'" in found.detail
    assert CANARY not in str(found)


async def test_a_vhost_that_is_not_there_is_told(rabbit: RabbitNode) -> None:
    (found,) = await look(rabbit_of(f"amqp://guest:guest@127.0.0.1:{rabbit.port}/nowhere"))
    assert found.mark is Mark.FAIL
    assert "'nowhere'" in found.detail


async def test_no_rabbitmq_at_the_address_is_told() -> None:
    port = free_port()
    (found,) = await look(rabbit_of(f"amqp://guest:{CANARY}@127.0.0.1:{port}/"))
    assert found.mark is Mark.FAIL
    assert f"127.0.0.1:{port}" in found.detail
    assert CANARY not in str(found)


async def test_rabbitmq_is_not_needed() -> None:
    assert marks(await look(settings())) == ["ok"]


# Outbox


async def make_outbox(path: Path) -> None:
    database = await open_database(path, on_events=lambda _: None)
    await database.close()


async def test_a_sound_outbox_is_told_with_size_and_what_waits(tmp_path: Path) -> None:
    await make_outbox(tmp_path / "hub.db")
    found = outbox_of(tmp_path / "hub.db")
    assert marks(found) == ["ok"] * 4
    assert "0 waiting" in found[2].detail
    assert found[3].detail == "its pages are sound"


async def test_an_outbox_in_use_is_told_and_not_disturbed(tmp_path: Path) -> None:
    database = await open_database(tmp_path / "hub.db", on_events=lambda _: None)
    try:
        found = outbox_of(tmp_path / "hub.db")
    finally:
        await database.close()
    assert marks(found) == ["ok"] * 4
    assert found[1].detail == "a hub has it open"


def test_an_outbox_that_is_not_there_yet_is_fine_where_it_can_be_made(tmp_path: Path) -> None:
    assert marks(outbox_of(tmp_path / "new" / "hub.db")) == ["ok", "ok"]
    with mock.patch("os.access", return_value=False):
        found = outbox_of(tmp_path / "hub.db")
    assert marks(found) == ["ok", "fail"]
    assert "not writable" in found[1].detail


def test_a_file_that_is_no_outbox_fails(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_bytes(b"certainly not a database, but long enough " * 50)
    assert marks(outbox_of(tmp_path / "text.db"))[-1] == "fail"
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE t (x)")
    other.close()
    assert "not emailhub's" in outbox_of(tmp_path / "other.db")[-1].detail
    newer = sqlite3.connect(tmp_path / "newer.db")
    newer.execute("PRAGMA user_version = 999")
    newer.close()
    assert "newer emailhub (schema 999" in outbox_of(tmp_path / "newer.db")[-1].detail
    (tmp_path / "empty.db").touch()
    assert marks(outbox_of(tmp_path / "empty.db"))[-1] == "ok"


async def test_damaged_pages_are_found(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    await make_outbox(path)
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(b"\xff" * 4096 * 4)
    assert "fail" in marks(outbox_of(path))


async def test_a_check_that_takes_too_long_is_given_up_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_outbox(tmp_path / "hub.db")
    monkeypatch.setattr(doctor, "_CHECK_SECONDS", -1.0)
    monkeypatch.setattr(doctor, "_STEPS_BETWEEN_LOOKS", 1)
    found = outbox_of(tmp_path / "hub.db")
    assert marks(found)[-1] == "warn"
    assert "too large to check" in found[-1].detail


def test_a_disk_that_is_nearly_full_fails(tmp_path: Path) -> None:
    found = outbox_of(tmp_path / "hub.db", EMAILHUB_DISK_RESERVE="1000000GiB")
    assert found[0].mark is Mark.FAIL
    assert "EMAILHUB_DISK_RESERVE" in found[0].step


async def test_looking_at_the_lock_never_keeps_it(tmp_path: Path) -> None:
    await make_outbox(tmp_path / "hub.db")
    outbox_of(tmp_path / "hub.db")
    with (tmp_path / "hub.db.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


# The command


@pytest.fixture
def quiet_loggers() -> Iterator[None]:
    levels = {name: logging.getLogger(name).level for name in ("aio_pika", "aiormq")}
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


pytestmark = pytest.mark.usefixtures("quiet_loggers")


def healthy(hub: FakeHub) -> None:
    hub.answers["GET", "/health"] = {"status": "ok", "service": "email_service"}
    hub.answers["GET", "/health/ready"] = {"status": "ok"}
    hub.answers["GET", "/breakers"] = {"data": []}


def test_all_is_well_on_one_line_each(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    result = run("check", "--url", hub.url)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)
    assert [line.split()[1] for line in lines] == [
        "settings", "disk", "outbox", "rabbitmq", "smtp", "hub", "hub", "hub"
    ]  # fmt: skip


def test_no_running_hub_is_a_warning_only(run: Run, nowhere: str) -> None:
    result = run("check", "--url", nowhere)
    assert result.exit_code == 0
    assert f"warn  hub       not running at {nowhere}: Connection refused  -> start it with `emailhub serve`" in (
        result.stdout
    )


def test_what_fails_is_exit_1_and_what_is_odd_is_told(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    hub.answers["GET", "/breakers"] = (401, {"message": "a key is needed"})
    result = run("check", "--url", hub.url, REDIS_URL="redis://redis/0")
    assert result.exit_code == 1
    assert "warn  settings  REDIS_URL: set and unused" in result.stdout
    assert "fail  hub       the API does not let this command in (HTTP 401)  -> set EMAILHUB_API_KEY" in result.stdout
    assert "1 of 9 checks failed" in result.stderr


@pytest.mark.parametrize("answer", ((404, {"message": "no"}), {"status": "ok"}, b"<html>"))
def test_something_else_at_the_port_fails(run: Run, hub: FakeHub, answer: Any) -> None:
    hub.answers["GET", "/health"] = answer if not isinstance(answer, bytes) else (200, answer)
    result = run("check", "--url", hub.url)
    assert result.exit_code == 1
    assert "something else answers" in result.stdout


def test_a_hub_that_is_not_ready_fails_and_a_degraded_one_warns(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    hub.answers["GET", "/health/ready"] = [(503, {"status": "unready"}), {"status": "degraded"}]
    assert "fail  hub       not ready (HTTP 503, unready)" in run("check", "--url", hub.url).stdout
    assert "warn  hub       ready, but degraded" in run("check", "--url", hub.url).stdout


def test_scripts_get_the_same_findings(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    found = json.loads(run("check", "--json", "--url", hub.url).stdout)
    assert {item["status"] for item in found} == {"ok"}
    assert set(found[0]) == {"status", "what", "detail", "next"}


def test_wrong_settings_end_the_check_with_78(run: Run) -> None:
    assert run("check", EMAILHUB_PORT="x").exit_code == 78


def test_a_test_message_is_sent_and_followed_to_its_end(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    hub.answers["POST", "/emails"] = {"id": "m1"}
    recipient = {"address": "ada@example.org", "state": "sent", "last_reply": "250 2.0.0 queued"}
    hub.answers["GET", "/emails/m1"] = {"id": "m1", "status": "sent", "recipients": [recipient]}
    result = run("check", "--url", hub.url, "--send-to", "ada@example.org")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "ok    message   m1 to ada@example.org is sent: 250 2.0.0 queued"
    assert next(asked.document["to"] for asked in hub.asked if asked.method == "POST") == ["ada@example.org"]


@pytest.mark.parametrize("state", ("failed", "held", "deferred"))
def test_a_test_message_that_does_not_arrive_fails_with_the_reason(run: Run, hub: FakeHub, state: str) -> None:
    healthy(hub)
    hub.answers["POST", "/emails"] = {"id": "m1"}
    recipient = {"address": "a@b.example", "state": state, "last_reply": "550 no such user"}
    hub.answers["GET", "/emails/m1"] = {"id": "m1", "status": state, "recipients": [recipient]}
    result = run("check", "--url", hub.url, "--send-to", "a@b.example", "--wait", "0")
    assert result.exit_code == 1
    assert f"fail  message   m1 to a@b.example is {state}: 550 no such user" in result.stdout


def test_a_test_message_without_a_hub_fails(run: Run, nowhere: str) -> None:
    result = run("check", "--url", nowhere, "--send-to", "a@b.example")
    assert result.exit_code == 1
    assert "fail  message   no hub answers" in result.stdout


def test_the_whole_check_tells_every_neighbour_that_is_away(run: Run, hub: FakeHub) -> None:
    healthy(hub)
    port = free_port()
    result = run(
        "check", "--url", hub.url,
        SMTP_HOST="127.0.0.1", SMTP_PORT=str(port), EMAIL_FROM="hub@example.com",
        RABBITMQ_URL=f"amqp://hub:{CANARY}@127.0.0.1:{port}/",
    )  # fmt: skip
    assert result.exit_code == 1
    assert "2 of 8 checks failed" in result.stderr
    assert CANARY not in result.output
