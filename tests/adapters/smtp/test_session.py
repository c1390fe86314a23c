"""Before MAIL: whatever fails there is the relay's trouble, its stage is known, and nothing leaks in clear text."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from emailhub.adapters.smtp import SmtpOptions, TlsMode
from emailhub.adapters.smtp.dial import Address, Dialer
from emailhub.core.verdict import Kind, Progress, Report, Stage, Verdict
from tests.support.ports import free_port
from tests.support.smtp_relays import BRIEF, Authority, Clock, Relays, kinds, said, send
from tests.support.smtp_server import SILENCE, SmtpServer


def trouble(report: Report, stage: Stage) -> Verdict:
    verdict = report.verdicts[0]
    assert (verdict.kind, verdict.stage) == (Kind.RELAY, stage), verdict
    return verdict


async def test_a_refused_connection_is_relay_trouble_that_names_host_and_port(relays: Relays) -> None:
    port = free_port()
    verdict = trouble(await send(relays.at(port)), Stage.CONNECT)
    assert verdict.text == f"could not connect to 127.0.0.1:{port}: 127.0.0.1 connection refused"


async def test_an_address_that_swallows_everything_is_given_up_after_the_connect_timeout(relays: Relays) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        queue = [socket.socket() for _ in range(4)]
        for waiting in queue:  # the kernel drops further SYNs once the backlog is full
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        try:
            verdict = trouble(await send(relays.at(full.getsockname()[1], timeouts=BRIEF)), Stage.CONNECT)
        finally:
            for waiting in queue:
                waiting.close()
    assert "127.0.0.1 did not answer in time" in verdict.text


async def test_a_greeting_that_never_comes_is_relay_trouble(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", SILENCE)
    verdict = trouble(await send(relays.to(server, timeouts=BRIEF)), Stage.GREETING)
    assert verdict.text == "127.0.0.1 did not answer at greeting within 0.2 s"


@pytest.mark.parametrize("greeting", ("554 5.3.2 no service", "421 4.3.2 too busy", "220"))
async def test_a_refusing_greeting_is_never_held_against_the_message(
    server: SmtpServer, relays: Relays, greeting: str
) -> None:
    server.on("CONNECT", greeting)
    report = await send(relays.to(server))
    if greeting == "220":
        assert kinds(report) == [Kind.ACCEPTED]
    else:
        assert trouble(report, Stage.GREETING).reply is not None


async def test_a_greeting_that_is_no_smtp_is_relay_trouble(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", b"HTTP/1.1 400 Bad Request\r\n\r\n")
    trouble(await send(relays.to(server)), Stage.GREETING)


async def test_an_endless_greeting_is_given_up_with_bounded_memory(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", b"220-" + b"x" * 100_000)
    trouble(await send(relays.to(server)), Stage.GREETING)


async def test_a_connection_closed_instead_of_a_greeting_is_relay_trouble(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", SILENCE, close="fin")
    assert "closed the connection at greeting" in trouble(await send(relays.to(server)), Stage.GREETING).text


async def test_a_greeting_that_drips_is_bound_as_a_whole(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", "220 one byte at a time keeps a per-read deadline alive for ever", drip=0.05)
    trouble(await send(relays.to(server, timeouts=BRIEF)), Stage.GREETING)


@pytest.mark.parametrize("refusal", ("502 5.5.1 what?", "500 5.5.1 what?"))
async def test_a_server_without_ehlo_is_greeted_with_helo_and_used_without_extensions(
    server: SmtpServer, relays: Relays, refusal: str
) -> None:
    server.on("EHLO", refusal)
    report = await send(relays.to(server))
    assert kinds(report) == [Kind.ACCEPTED]
    assert [c.split()[0] for c in server.sessions[0].commands] == ["EHLO", "HELO", "MAIL", "RCPT", "DATA"]
    assert "MAIL FROM:<me@x.test>" in server.sessions[0].commands


async def test_ehlo_refused_for_now_is_relay_trouble(server: SmtpServer, relays: Relays) -> None:
    server.on("EHLO", "421 4.3.2 shutting down", close="fin")
    trouble(await send(relays.to(server)), Stage.EHLO)


async def test_a_relay_that_vanishes_at_ehlo_is_trouble_at_ehlo(server: SmtpServer, relays: Relays) -> None:
    server.on("EHLO", SILENCE, close="rst")
    assert "closed the connection at ehlo" in trouble(await send(relays.to(server)), Stage.EHLO).text


async def test_our_name_in_ehlo_is_the_configured_one(server: SmtpServer, relays: Relays) -> None:
    await send(relays.to(server, local_hostname="hub.x.test"))
    assert server.sessions[0].commands[0] == "EHLO hub.x.test"


# TLS.


@pytest.mark.parametrize("tls", ("starttls", "implicit"))
async def test_a_login_goes_over_verified_tls_and_is_masked_in_the_transcript(
    authority: Authority, relays: Relays, tls: str
) -> None:
    async with SmtpServer(tls=tls, context=authority.context(), users={"hub": "s3cret"}) as server:
        mode = TlsMode.AUTO if tls == "starttls" else TlsMode.IMPLICIT
        report = await send(relays.to(server, tls=mode, ca=authority.file, user="hub", password="s3cret"))
        assert kinds(report) == [Kind.ACCEPTED]
        assert (server.sessions[0].user, server.sessions[0].tls) == ("hub", True)
        assert report.session.tls.startswith("TLSv1.")
        assert "AUTH PLAIN ••••••" in said(report)
        assert "s3cret" not in said(report)
        assert "AGh1YgBzM2NyZXQ" not in said(report)


@pytest.mark.parametrize("tls", (TlsMode.AUTO, TlsMode.STARTTLS))
async def test_no_password_and_no_mail_goes_to_a_server_whose_starttls_was_stripped(
    server: SmtpServer, relays: Relays, tls: TlsMode
) -> None:
    server.users = {"hub": "s3cret"}
    verdict = trouble(await send(relays.to(server, tls=tls, user="hub", password="s3cret")), Stage.TLS)
    assert "does not offer STARTTLS" in verdict.text
    assert [c.split()[0] for c in server.sessions[0].commands] == ["EHLO"]


async def test_starttls_demanded_without_a_login_sends_nothing_in_clear(server: SmtpServer, relays: Relays) -> None:
    trouble(await send(relays.to(server, tls=TlsMode.STARTTLS)), Stage.TLS)
    assert server.messages == []


@pytest.mark.parametrize(
    ("problem", "words"),
    (("expired", "expired"), ("wrong name", "mismatch"), ("unknown authority", "self-signed certificate")),
)
@pytest.mark.parametrize("tls", ("starttls", "implicit"))
async def test_a_certificate_that_cannot_be_trusted_is_relay_trouble_with_the_reason(
    authority: Authority, relays: Relays, tls: str, problem: str, words: str
) -> None:
    cert = {
        "expired": lambda: authority.ca.issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1)),
        "wrong name": lambda: authority.ca.issue_cert("other.test"),
        "unknown authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }[problem]()
    async with SmtpServer(tls=tls, context=authority.context(cert), users={"hub": "s3cret"}) as server:
        relay = relays.to(server, tls=TlsMode(tls), ca=authority.file, user="hub", password="s3cret")
        verdict = trouble(await send(relay), Stage.TLS)
        assert "the certificate of 127.0.0.1 is not trusted" in verdict.text
        if problem != "unknown authority":
            assert words in verdict.text
        assert not any(c.startswith("AUTH") for s in server.sessions for c in s.commands)
        assert server.messages == []


async def test_a_tls_handshake_that_hangs_is_given_up(relays: Relays, server: SmtpServer) -> None:
    server.on("CONNECT", hold=asyncio.Event())
    verdict = trouble(await send(relays.to(server, tls=TlsMode.IMPLICIT, timeouts=BRIEF)), Stage.TLS)
    assert "did not answer at tls within 0.2 s" in verdict.text


async def test_a_plain_text_server_on_the_tls_port_is_relay_trouble_at_tls(relays: Relays, server: SmtpServer) -> None:
    verdict = trouble(await send(relays.to(server, tls=TlsMode.IMPLICIT)), Stage.TLS)
    assert "the TLS handshake with 127.0.0.1 failed" in verdict.text


async def test_starttls_refused_for_now_is_relay_trouble(authority: Authority, relays: Relays) -> None:
    async with SmtpServer(tls="starttls", context=authority.context()) as server:
        server.on("STARTTLS", "454 4.7.0 TLS not available due to temporary reason")
        trouble(await send(relays.to(server, tls=TlsMode.STARTTLS, ca=authority.file)), Stage.TLS)


async def test_what_was_said_before_tls_counts_for_nothing(authority: Authority, relays: Relays) -> None:
    async with SmtpServer(tls="starttls", context=authority.context()) as server:
        server.on("STARTTLS", b"220 2.0.0 Go ahead\r\n250-injected\r\n250 SIZE 1\r\n", times=1)
        report = await send(relays.to(server, tls=TlsMode.STARTTLS, ca=authority.file))
        assert kinds(report) == [Kind.ACCEPTED]


async def test_without_a_login_tls_is_used_when_offered_even_with_a_home_made_certificate(
    authority: Authority, relays: Relays
) -> None:
    context = authority.context(trustme.CA().issue_cert("whatever.test"))
    async with SmtpServer(tls="starttls", context=context) as server:
        report = await send(relays.to(server))
        assert kinds(report) == [Kind.ACCEPTED]
        assert server.sessions[0].tls
        assert "certificate not verified" in said(report)


async def test_mode_none_stays_in_clear_text_and_takes_no_login(authority: Authority, relays: Relays) -> None:
    async with SmtpServer(tls="starttls", context=authority.context()) as server:
        assert kinds(await send(relays.to(server, tls=TlsMode.NONE))) == [Kind.ACCEPTED]
        assert not server.sessions[0].tls
    with pytest.raises(ValueError, match="never sent unencrypted"):
        SmtpOptions(host="x", tls=TlsMode.NONE, user="hub", password="s3cret")


async def test_all_connections_share_one_tls_context(
    authority: Authority, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    original = ssl.create_default_context

    def counted(cafile: str | None = None) -> ssl.SSLContext:
        made.append("one")
        return original(cafile=cafile)

    monkeypatch.setattr(ssl, "create_default_context", counted)
    async with SmtpServer(tls="starttls", context=authority.context()) as server:
        relay = relays.to(server, tls=TlsMode.STARTTLS, ca=authority.file, messages_per_connection=1)
        for _ in range(3):
            assert kinds(await send(relay)) == [Kind.ACCEPTED]
        assert (len(server.sessions), made) == (3, ["one"])


# Login.


@pytest.mark.parametrize("mechanisms", ("PLAIN LOGIN", "LOGIN", "CRAM-MD5 LOGIN XOAUTH2"))
async def test_one_mechanism_is_chosen_and_only_that_one_tried(
    authority: Authority, relays: Relays, mechanisms: str
) -> None:
    async with SmtpServer(
        tls="starttls", context=authority.context(), users={"hub": "right"}, mechanisms=mechanisms
    ) as server:
        verdict = trouble(await send(relays.to(server, ca=authority.file, user="hub", password="wrong")), Stage.AUTH)
        assert verdict.login_rejected
        assert len([c for c in server.sessions[0].commands if c.startswith("AUTH")]) == 1


async def test_a_server_without_a_login_we_can_do_is_relay_trouble_that_lists_what_it_offers(
    authority: Authority, relays: Relays
) -> None:
    async with SmtpServer(
        tls="starttls", context=authority.context(), users={"hub": "x"}, mechanisms="GSSAPI NTLM"
    ) as server:
        verdict = trouble(await send(relays.to(server, ca=authority.file, user="hub", password="x")), Stage.AUTH)
        assert "it offers: gssapi, ntlm" in verdict.text


async def test_a_login_that_cannot_be_checked_now_is_trouble_but_not_a_rejection(
    authority: Authority, relays: Relays
) -> None:
    async with SmtpServer(tls="starttls", context=authority.context(), users={"hub": "x"}) as server:
        server.on("AUTH", "454 4.7.0 Temporary authentication failure", times=1)
        relay = relays.to(server, ca=authority.file, user="hub", password="x")
        assert not trouble(await send(relay), Stage.AUTH).login_rejected
        assert kinds(await send(relay)) == [Kind.ACCEPTED]


async def test_twenty_waiting_attempts_try_a_wrong_password_once_a_minute_between_them(
    authority: Authority, relays: Relays
) -> None:
    clock = Clock()
    async with SmtpServer(tls="starttls", context=authority.context(), users={"hub": "right"}) as server:
        relay = relays.to(server, clock=clock, ca=authority.file, user="hub", password="wrong")

        async def tries() -> int:
            reports = await asyncio.gather(*(send(relay) for _ in range(20)))
            assert all(trouble(report, Stage.AUTH).login_rejected for report in reports)
            return sum(c.startswith("AUTH") for s in server.sessions for c in s.commands)

        assert await tries() == 1
        clock.now += 59.0
        assert await tries() == 1
        clock.now += 1.0
        assert await tries() == 2
        server.users["hub"] = "wrong"
        clock.now += 60.0
        assert kinds(await send(relay)) == [Kind.ACCEPTED]
        assert kinds(await send(relay, fresh=True)) == [Kind.ACCEPTED]


async def test_logins_go_one_at_a_time(authority: Authority, relays: Relays) -> None:
    hold = asyncio.Event()
    async with SmtpServer(tls="starttls", context=authority.context(), users={"hub": "x"}) as server:
        relay = relays.to(server, ca=authority.file, user="hub", password="x")
        await send(relay)
        login = server.on("AUTH", hold=hold)
        sends = [asyncio.create_task(send(relay, fresh=True)) for _ in range(2)]
        await login.hit()
        await server.wait_until(lambda: sum(len(s.commands) >= 3 for s in server.sessions[1:]) >= 2)
        assert login.hits == 1
        hold.set()
        assert [kinds(report) for report in await asyncio.gather(*sends)] == [[Kind.ACCEPTED]] * 2
        assert login.hits == 2


def test_the_options_never_show_the_password() -> None:
    options = SmtpOptions(host="smtp.x.test", user="hub", password="s3cret")
    assert "s3cret" not in f"{options!r} {options}"


@pytest.mark.parametrize(
    "wrong",
    (
        {"user": "hub"},
        {"password": "x"},
        {"connections": 0},
        {"messages_per_connection": 0},
        {"local_hostname": "a b"},
        {"local_hostname": "a\r\nMAIL"},
    ),
)
def test_options_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"SMTP|EHLO"):
        SmtpOptions(host="x.test", **wrong)  # type: ignore[arg-type]


# Names and addresses.


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError, port: int) -> list[int]:
    """Let name resolution answer with these in turn, the last one again and again; counts the questions."""
    asked = [0]

    async def resolve(self: Dialer) -> list[Address]:
        answer = answers[min(asked[0], len(answers) - 1)]
        asked[0] += 1
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, (host, port)) for host in answer]

    monkeypatch.setattr(Dialer, "_resolve", resolve)
    return asked


async def test_a_name_that_does_not_resolve_is_relay_trouble(relays: Relays, monkeypatch: pytest.MonkeyPatch) -> None:
    resolving(monkeypatch, socket.gaierror(socket.EAI_NONAME, "Name or service not known"), port=25)
    verdict = trouble(await send(relays.at(25, host="smtp.nowhere.test")), Stage.CONNECT)
    assert verdict.text == "the name smtp.nowhere.test could not be resolved: name or service not known"


async def test_a_name_server_that_hangs_is_asked_once_for_all_who_wait(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [0]

    async def never(self: Dialer) -> list[Address]:
        asked[0] += 1
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(Dialer, "_resolve", never)
    relay = relays.at(25, host="smtp.slow.test", timeouts=BRIEF)
    for report in await asyncio.gather(*(send(relay) for _ in range(5))):
        assert "could not be resolved: no answer within 0.2 s" in trouble(report, Stage.CONNECT).text
    trouble(await send(relay), Stage.CONNECT)
    assert asked == [1]


async def test_while_dns_is_away_the_last_good_addresses_serve_for_an_hour(
    server: SmtpServer, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    away = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    resolving(monkeypatch, ["127.0.0.1"], away, port=server.port)
    relay = relays.to(server, clock=clock, host="smtp.x.test", messages_per_connection=1)
    assert kinds(await send(relay)) == [Kind.ACCEPTED]
    clock.now += 3600.0
    report = await send(relay)
    assert kinds(report) == [Kind.ACCEPTED]
    assert "using the addresses known from before" in said(report)
    clock.now += 0.1
    trouble(await send(relay), Stage.CONNECT)


async def test_every_address_is_tried_before_giving_up(
    server: SmtpServer, relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolving(monkeypatch, ["127.0.0.7", "127.0.0.1"], port=server.port)
    report = await send(relays.to(server, host="smtp.x.test"))
    assert kinds(report) == [Kind.ACCEPTED]
    assert "127.0.0.7 connection refused" in said(report)


async def test_when_no_address_answers_each_is_named_with_its_reason(
    relays: Relays, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    resolving(monkeypatch, ["127.0.0.7", "127.0.0.8"], port=port)
    verdict = trouble(await send(relays.at(port, host="smtp.x.test")), Stage.CONNECT)
    assert "127.0.0.7 connection refused; 127.0.0.8 connection refused" in verdict.text


# Probe.


async def test_a_probe_connects_greets_and_quits_without_a_message(server: SmtpServer, relays: Relays) -> None:
    progress = Progress()
    report = await relays.to(server).probe(progress=progress)
    assert kinds(report) == [Kind.ACCEPTED]
    await server.wait_until(lambda: server.sessions[0].quit)
    assert [c.split()[0] for c in server.sessions[0].commands] == ["EHLO", "QUIT"]


async def test_a_probe_of_a_dead_relay_has_one_verdict_of_relay_trouble(relays: Relays) -> None:
    report = await relays.at(free_port()).probe(progress=Progress())
    assert kinds(report) == [Kind.RELAY]
