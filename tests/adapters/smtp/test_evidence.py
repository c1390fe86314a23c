"""What is kept of an attempt: the connection's name, how long each stage took, who is settled when it is cut short."""

from __future__ import annotations

import asyncio

import pytest

from emailhub.adapters.smtp import TlsMode
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.reply import Reply
from emailhub.core.verdict import Kind, Progress, Stage
from tests.support.smtp_relays import Authority, Clock, Relays, kinds, said, send
from tests.support.smtp_server import SILENCE, SmtpServer

A, P, R = Kind.ACCEPTED, Kind.PERMANENT, Kind.RELAY
ANN, BOB, CAT = "ann@x.test", "bob@x.test", "cat@x.test"


async def test_a_connection_keeps_its_name_and_no_two_have_the_same(server: SmtpServer, relays: Relays) -> None:
    relay, other = relays.to(server), relays.to(server)
    first, again = (await send(relay)).session, (await send(relay)).session
    fresh, elsewhere = (await send(relay, fresh=True)).session, (await send(other)).session
    assert first.id == again.id
    assert (first.uses, again.uses) == (1, 2)
    assert len({first.id, fresh.id, elsewhere.id}) == 3
    assert all(session.id[0] == "c" and session.id[1:].isdigit() for session in (first, fresh, elsewhere))


async def test_the_stages_of_a_fresh_connection_are_told_in_order_with_their_times(
    authority: Authority, relays: Relays
) -> None:
    async with SmtpServer(tls="starttls", context=authority.context(), users={"me": "secret"}) as server:
        relay = relays.to(server, tls=TlsMode.STARTTLS, ca=authority.file, user="me", password="secret")
        server.on("MAIL", delay=0.05)
        fresh, kept = (await send(relay)).session, (await send(relay)).session
        transaction = ["mail", "rcpt", "data", "body", "final reply"]
        handshake = ["connect", "greeting", "ehlo", "tls", "ehlo", "login"]
        assert [stage for stage, _ in fresh.stages] == handshake + transaction
        assert [stage for stage, _ in kept.stages] == transaction
        assert all(took >= 0 for _, took in fresh.stages)
        assert dict(kept.stages)["mail"] >= 50
        assert dict(fresh.stages)["connect"] < 50


async def test_a_body_that_ran_ahead_has_no_stage_of_its_own(relays: Relays) -> None:
    async with SmtpServer(chunking=True) as server:
        relay = relays.to(server)
        await send(relay)
        assert [stage for stage, _ in (await send(relay)).session.stages] == ["mail", "rcpt", "final reply"]


async def test_the_stage_in_which_it_broke_is_the_last_one(server: SmtpServer, relays: Relays) -> None:
    server.on("DATA", SILENCE, close="fin")
    report = await send(relays.to(server), ANN)
    assert (kinds(report), report.session.stages[-1][0]) == ([R], "data")
    none = await send(relays.at(1), ANN)
    assert ([stage for stage, _ in none.session.stages], none.session.id) == (["connect"], "")


def test_a_stage_lasts_from_the_end_of_the_one_before_to_its_own_last_line() -> None:
    clock = Clock()
    log = Transcript(clock)
    log.note("reusing")
    clock.now += 1.0
    log.enter(Stage.MAIL)
    log.client("MAIL\r\nRCPT\r\nDATA")
    clock.now += 0.25
    log.server(Reply(250))
    log.stage = Stage.RCPT
    log.server(Reply(250))
    log.stage = Stage.FINAL
    clock.now += 0.5
    log.server(Reply(250, "2.0.0", "ok"))
    clock.now += 9.0
    assert log.stages() == (("mail", 250.0), ("rcpt", 0.0), ("final reply", 500.0))
    assert [(line.at, line.side, line.text) for line in log.lines()] == [
        (0.0, "note", "reusing"),
        (1000.0, "client", "MAIL"),
        (1000.0, "client", "RCPT"),
        (1000.0, "client", "DATA"),
        (1250.0, "server", "250"),
        (1250.0, "server", "250"),
        (1750.0, "server", "250 2.0.0 ok"),
    ]


def test_a_transcript_has_a_bound() -> None:
    log = Transcript(Clock())
    for number in range(1000):
        log.client(f"{number} {'x' * 5000}")
    assert len(log.lines()) == 400
    assert max(len(line.text) for line in log.lines()) == 1000


# Cut short.


@pytest.mark.parametrize("chunking", (False, True))
@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DOT"))
async def test_cancelled_in_a_second_transaction_the_first_ones_recipients_are_settled(
    relays: Relays, step: str, chunking: bool
) -> None:
    async with SmtpServer(chunking=chunking) as server:
        server.on("RCPT", "550 5.1.1 unknown", to=BOB)
        server.on("RCPT", "452 4.5.3 Too many recipients", to=CAT, times=1)
        server.on("RSET", "250 2.0.0 Ok")
        relay, progress = relays.to(server), Progress()
        held = asyncio.Event()
        if step == "DOT":
            server.script("DOT", None)
        elif step == "MAIL":
            server.script("MAIL", None)
        asked = server.on(step, hold=held, to=CAT if step == "RCPT" else None)
        sending = asyncio.create_task(send(relay, ANN, BOB, CAT, progress=progress))
        await asked.hit()
        await server.wait_until(lambda: progress.body_sent == (step == "DOT" or chunking))
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert {index: verdict.kind for index, verdict in progress.settled.items()} == {0: A, 1: P}
        assert not progress.harmless
        assert [message.recipients for message in server.messages] == [[ANN]]


async def test_cancelled_while_the_final_reply_is_awaited_refused_recipients_are_settled(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=BOB)
    asked, progress = server.on("DOT", hold=asyncio.Event()), Progress()
    sending = asyncio.create_task(send(relays.to(server), ANN, BOB, progress=progress))
    await asked.hit()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (progress.body_sent, {index: v.kind for index, v in progress.settled.items()}) == (True, {1: P})


async def test_cancelled_before_the_body_nothing_is_settled_and_the_message_can_be_given_back(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=BOB)
    asked, progress = server.on("DATA", hold=asyncio.Event()), Progress()
    sending = asyncio.create_task(send(relays.to(server), ANN, BOB, progress=progress))
    await asked.hit()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (progress.harmless, progress.settled) == (True, {})


async def test_what_was_refused_is_settled_before_the_connection_is_tidied_up(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("MAIL", "550 5.3.4 no")
    asked, progress = server.on("RSET", hold=asyncio.Event()), Progress()
    sending = asyncio.create_task(send(relays.to(server), ANN, progress=progress))
    await asked.hit()
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (progress.harmless, progress.settled[0].kind) == (False, P)


async def test_the_transcript_says_how_often_a_connection_was_used(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server)
    await send(relay)
    assert "reusing the connection to 127.0.0.1:" in said(await send(relay))
