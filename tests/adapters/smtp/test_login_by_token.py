"""XOAUTH2: a login by access token, renewed once when refused, and never in a transcript or a log."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from emailhub import logs
from emailhub.adapters.oauth import OAuthOptions, TokenSource
from emailhub.adapters.smtp.login import challenge
from emailhub.core.breaker import Signal
from emailhub.core.verdict import Kind, Report, Stage, Verdict
from emailhub.engine.findings import health_of
from tests.support.smtp_relays import Authority, Clock, Relays, kinds, said, send
from tests.support.smtp_server import SmtpServer
from tests.support.token_endpoint import TokenEndpoint, denied, granted

USER = "hub@example.com"
REASON = json.dumps({"status": "401", "schemes": "bearer", "scope": "https://mail.google.com/"})


@pytest_asyncio.fixture
async def server(authority: Authority) -> AsyncIterator[SmtpServer]:
    async with SmtpServer(tls="starttls", context=authority.context(), mechanisms="XOAUTH2") as running:
        running.tokens = {"good-token"}
        yield running


class Line:
    """A relay with its source of tokens."""

    def __init__(self, relays: Relays, server: SmtpServer, authority: Authority, endpoint: TokenEndpoint) -> None:
        options = OAuthOptions(token_url=endpoint.url, client_id="app", refresh_token="r3fresh")
        self.clock = Clock()
        self.relay = relays.to(
            server,
            clock=self.clock,
            ca=authority.file,
            user=USER,
            token=TokenSource(options, jitter=lambda: 0.0, clock=self.clock),
        )

    async def send(self) -> Report:
        return await send(self.relay, fresh=True)


def rejected(report: Report) -> Verdict:
    (verdict,) = report.verdicts
    assert (verdict.kind, verdict.stage, verdict.login_rejected) == (Kind.RELAY, Stage.AUTH, True)
    assert health_of(report).signal is Signal.LOGIN_REJECTED
    return verdict


async def test_the_token_logs_in_over_tls_and_is_masked_everywhere(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    written = io.StringIO()
    logs.configure("debug", "json", written)
    try:
        async with TokenEndpoint(granted("good-token")) as endpoint:
            report = await Line(relays, server, authority, endpoint).send()
    finally:
        logs.close()
    assert kinds(report) == [Kind.ACCEPTED]
    assert (server.sessions[0].user, server.sessions[0].tls) == (USER, True)
    assert "AUTH XOAUTH2 ••••••" in said(report)
    encoded = base64.b64encode(f"user={USER}\1auth=Bearer good-token\1\1".encode()).decode()
    assert f"AUTH XOAUTH2 {encoded}" in server.sessions[0].commands
    for secret in ("good-token", encoded[:40], "r3fresh"):
        assert secret not in said(report) + written.getvalue()
    assert "token renewed" in written.getvalue()


async def test_the_pool_shares_one_token(server: SmtpServer, relays: Relays, authority: Authority) -> None:
    async with TokenEndpoint(granted("good-token")) as endpoint:
        line = Line(relays, server, authority, endpoint)
        reports = await asyncio.gather(*(line.send() for _ in range(8)))
    assert [kinds(report) for report in reports] == [[Kind.ACCEPTED]] * 8
    assert len(server.sessions) == 8
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("reason", ("", REASON))
async def test_a_refused_token_is_replaced_once_by_a_fresh_one_and_the_message_goes_out(
    server: SmtpServer, relays: Relays, authority: Authority, reason: str
) -> None:
    server.challenge = reason
    async with TokenEndpoint(granted("withdrawn"), granted("good-token")) as endpoint:
        report = await Line(relays, server, authority, endpoint).send()
    assert kinds(report) == [Kind.ACCEPTED]
    assert server.tokens_shown == ["withdrawn", "good-token"]
    assert "trying once more with a fresh access token" in said(report)
    assert ("status 401" in said(report)) is bool(reason)


async def test_many_connections_with_a_withdrawn_token_show_it_once(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    async with TokenEndpoint(granted("withdrawn"), granted("good-token")) as endpoint:
        line = Line(relays, server, authority, endpoint)
        reports = await asyncio.gather(*(line.send() for _ in range(8)))
    assert [kinds(report) for report in reports] == [[Kind.ACCEPTED]] * 8
    assert server.tokens_shown == ["withdrawn", *["good-token"] * 8]
    assert len(endpoint.asked) == 2


async def test_a_fresh_token_refused_too_is_a_rejected_login_with_the_servers_reason_and_no_other_try_for_a_minute(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    server.challenge = REASON
    async with TokenEndpoint(granted("bad-1"), granted("bad-2"), granted("bad-3")) as endpoint:
        line = Line(relays, server, authority, endpoint)
        verdict = rejected(await line.send())
        assert verdict.text.startswith(
            "the relay refused our access token (status 401, schemes bearer, scope https://mail.google.com/)"
        )
        assert "535 5.7.3" in verdict.text
        assert server.tokens_shown == ["bad-1", "bad-2"]
        assert "" in server.sessions[0].commands  # the empty line that answers the challenge
        line.clock.now += 59
        assert "not tried again within 60 s" in rejected(await line.send()).text
        assert server.tokens_shown == ["bad-1", "bad-2"]
        line.clock.now += 1
        rejected(await line.send())
        assert server.tokens_shown == ["bad-1", "bad-2", "bad-3"]


async def test_a_token_that_the_server_repeats_is_masked_in_what_is_kept_of_its_reply(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    encoded = base64.b64encode(f"user={USER}\1auth=Bearer t0ken-of-ours\1\1".encode()).decode()
    server.on("AUTH", f"534 5.7.9 what is {encoded} (t0ken-of-ours)?")
    async with TokenEndpoint(granted("t0ken-of-ours")) as endpoint:
        report = await Line(relays, server, authority, endpoint).send()
    for shown in (rejected(report).text, said(report)):
        assert "534 5.7.9 what is" in shown
        assert "t0ken" not in shown
        assert encoded[-32:] not in shown


@pytest.mark.parametrize("reply", ("454 4.7.0 Temporary authentication failure", "534 5.7.9 Log in with your browser"))
async def test_a_refusal_that_no_fresh_token_could_mend_asks_for_none(
    server: SmtpServer, relays: Relays, authority: Authority, reply: str
) -> None:
    server.on("AUTH", reply)
    async with TokenEndpoint(granted("good-token")) as endpoint:
        (verdict,) = (await Line(relays, server, authority, endpoint).send()).verdicts
    assert (verdict.kind, verdict.stage) == (Kind.RELAY, Stage.AUTH)
    assert verdict.login_rejected is reply.startswith("5")
    assert reply in verdict.text
    assert len(endpoint.asked) == 1


async def test_a_revoked_grant_is_a_rejected_login_and_the_server_never_hears_of_it(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    async with TokenEndpoint(denied("invalid_grant", "Token has been expired or revoked.")) as endpoint:
        line = Line(relays, server, authority, endpoint)
        verdict = rejected(await line.send())
        assert "127.0.0.1 gives no access token: invalid_grant (Token has been expired or revoked.)" in verdict.text
        line.clock.now += 59
        rejected(await line.send())
        assert len(endpoint.asked) == 1
        line.clock.now += 1
        rejected(await line.send())
        assert len(endpoint.asked) == 2
    assert server.sessions == []


async def test_an_endpoint_in_trouble_is_ordinary_trouble_of_the_relay(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    async with TokenEndpoint((503, b"busy"), granted("good-token")) as endpoint:
        line = Line(relays, server, authority, endpoint)
        report = await line.send()
        (verdict,) = report.verdicts
        assert (verdict.kind, verdict.stage, verdict.login_rejected) == (Kind.RELAY, Stage.AUTH, False)
        assert health_of(report).signal is Signal.TROUBLE
        assert kinds(await line.send()) == [Kind.ACCEPTED]


async def test_a_server_that_knows_no_tokens_is_shown_none(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    server.mechanisms, server.users = "PLAIN LOGIN", {USER: "x"}
    async with TokenEndpoint(granted("good-token")) as endpoint:
        (verdict,) = (await Line(relays, server, authority, endpoint).send()).verdicts
    assert (verdict.kind, verdict.stage) == (Kind.RELAY, Stage.AUTH)
    assert "offers no login by token, XOAUTH2 (it offers: plain, login)" in verdict.text
    assert server.tokens_shown == []


async def test_no_token_goes_over_a_connection_whose_starttls_was_stripped(
    server: SmtpServer, relays: Relays, authority: Authority
) -> None:
    server.tls = ""
    async with TokenEndpoint(granted("good-token")) as endpoint:
        (verdict,) = (await Line(relays, server, authority, endpoint).send()).verdicts
    assert verdict.stage is Stage.TLS
    assert server.tokens_shown == []


def _encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("text", "reads"),
    (
        (base64.b64encode(REASON.encode()).decode(), "status 401, schemes bearer, scope https://mail.google.com/"),
        (_encoded({"status": 400, "other": "x"}), "status 400"),
        (_encoded({"status": "4\r\n0"}), "status 4  0"),
        (_encoded({"scope": "x" * 9000}), "no reason that could be read"),
        (_encoded(["status"]), "no reason that could be read"),
        (_encoded({}), "no reason that could be read"),
        ("", "no reason that could be read"),
        ("not base64 é", "no reason that could be read"),
    ),
)
def test_a_challenge_reads_as_plain_facts_whatever_it_holds(text: str, reads: str) -> None:
    assert challenge(text) == reads
