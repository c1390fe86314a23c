"""BDAT: one round trip where that is safe, the same verdicts as with DATA, and DATA again where it does not work."""

from __future__ import annotations

import asyncio
import logging

import pytest

from emailhub.adapters.smtp.transaction import ANSWERED_LATELY, LARGEST_AHEAD
from emailhub.core.verdict import Kind, Progress, Stage
from tests.support.smtp_relays import BODY, BRIEF, Clock, Relays, envelope, kinds, said, send
from tests.support.smtp_server import SILENCE, SmtpServer

A, T, P, R, U, S = Kind.ACCEPTED, Kind.TRANSIENT, Kind.PERMANENT, Kind.RELAY, Kind.UNKNOWN, Kind.SENDER
ANN, BOB, CAT = "ann@x.test", "bob@x.test", "cat@x.test"
BIG = b"Subject: big\r\n\r\n" + (b"." + b"y" * 70 + b"\r\n") * 150_000


def verbs(server: SmtpServer, connection: int = 0) -> list[str]:
    return [command.split()[0] for command in server.sessions[connection].commands]


def chunking(**how: object) -> SmtpServer:
    return SmtpServer(chunking=True, **how)  # type: ignore[arg-type]


async def nothing() -> None:
    """Before a body: all is ready."""


# What travels.


@pytest.mark.parametrize("pipelining", (True, False))
async def test_a_message_arrives_byte_for_byte_as_one_chunk(relays: Relays, pipelining: bool) -> None:
    async with chunking(pipelining=pipelining) as server:
        report = await send(relays.to(server), ANN, BOB)
        assert kinds(report) == [A, A]
        (message,) = server.messages
        assert (message.recipients, message.data) == ([ANN, BOB], BODY)
        assert verbs(server) == ["EHLO", "MAIL", "RCPT", "RCPT", "BDAT"]
        assert server.sessions[0].commands[-1] == f"BDAT {len(BODY)} LAST"
        assert f"client: BDAT {len(BODY)} LAST ({len(BODY)} bytes of message)" in said(report)
        assert "How are you" not in said(report)


async def test_everything_goes_in_one_write_and_one_round_trip(relays: Relays) -> None:
    async with chunking() as server:
        asked = server.on("MAIL", hold=asyncio.Event())
        progress = Progress()
        sending = asyncio.create_task(send(relays.to(server), ANN, progress=progress))
        await asked.hit()
        (connection,) = server.open
        assert connection.buffer.endswith(b"BDAT %d LAST\r\n%b" % (len(BODY), BODY))
        assert (progress.body_sent, progress.harmless) == (True, False)
        assert asked.hold is not None
        asked.hold.set()
        assert kinds(await sending) == [A]


async def test_dots_are_not_stuffed_and_the_last_line_is_ended(relays: Relays) -> None:
    async with chunking() as server:
        content = b".a\r\n..b\r\n.\r\n\r\nend."
        await send(relays.to(server), what=envelope(content=content))
        assert server.messages[0].data == content + b"\r\n"


async def test_no_bare_line_end_can_smuggle_a_second_message(relays: Relays) -> None:
    async with chunking() as server:
        inside = b"\n.\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nBDAT 4 LAST\r\nevil"
        assert kinds(await send(relays.to(server), what=envelope(content=BODY + inside))) == [A]
        (message,) = server.messages
        assert message.data.count(b"\n") == message.data.count(b"\r\n") == message.data.count(b"\r")


async def test_an_empty_message_is_an_empty_chunk(relays: Relays) -> None:
    async with chunking() as server:
        assert kinds(await send(relays.to(server), what=envelope(content=b""))) == [A]
        assert (server.messages[0].data, verbs(server)[-1]) == (b"", "BDAT")


async def test_a_large_message_waits_for_the_recipients_and_arrives_whole(relays: Relays) -> None:
    async with chunking() as server:
        asked = server.on("RCPT", hold=asyncio.Event())
        progress = Progress()
        sending = asyncio.create_task(send(relays.to(server), what=envelope(content=BIG), progress=progress))
        await asked.hit()
        assert (progress.body_sent, server.sessions[0].body_bytes) == (False, 0)
        assert asked.hold is not None
        asked.hold.set()
        assert kinds(await sending) == [A]
        assert server.messages[0].data == BIG


async def test_it_is_a_setting_and_used_only_where_offered(server: SmtpServer, relays: Relays) -> None:
    assert kinds(await send(relays.to(server), ANN)) == [A]
    assert "BDAT" not in verbs(server)
    async with chunking() as other:
        assert kinds(await send(relays.to(other, chunking=False), ANN)) == [A]
        assert "BDAT" not in verbs(other)


# When the body may run ahead.


@pytest.mark.parametrize("quiet", (ANSWERED_LATELY, ANSWERED_LATELY + 0.1))
async def test_the_body_runs_ahead_only_on_a_connection_that_answered_lately(relays: Relays, quiet: float) -> None:
    async with chunking() as server:
        clock = Clock()
        relay = relays.to(server, clock=clock)
        await send(relay)
        clock.now += quiet
        asked = server.on("RCPT", hold=asyncio.Event())
        progress = Progress()
        sending = asyncio.create_task(send(relay, progress=progress))
        await asked.hit()
        assert progress.body_sent == (quiet <= ANSWERED_LATELY)
        assert asked.hold is not None
        asked.hold.set()
        assert kinds(await sending) == [A]
        assert [message.connection for message in server.messages] == [1, 1]


async def test_a_dead_connection_that_was_quiet_for_long_costs_nothing(relays: Relays) -> None:
    async with chunking() as server:
        clock = Clock()
        relay = relays.to(server, clock=clock)
        await send(relay)
        clock.now += ANSWERED_LATELY + 1
        server.on("MAIL", SILENCE, close="rst", connection=1)
        assert kinds(await send(relay)) == [A]
        assert [message.connection for message in server.messages] == [1, 2]


async def test_what_has_to_be_done_before_the_body_is_done_after_the_recipients_were_accepted(relays: Relays) -> None:
    async with chunking() as server:
        seen: list[tuple[int, str]] = []
        progress = Progress()

        async def before_body() -> None:
            seen.append((server.sessions[0].body_bytes, server.sessions[0].commands[-1]))
            assert progress.harmless

        report = await send(relays.to(server), ANN, progress=progress, before_body=before_body)
        assert kinds(report) == [A]
        assert seen == [(0, f"RCPT TO:<{ANN}>")]


async def test_when_that_fails_not_a_byte_is_sent(relays: Relays) -> None:
    async with chunking() as server:

        async def before_body() -> None:
            raise OSError("disk full")

        progress = Progress()
        with pytest.raises(OSError, match="disk full"):
            await send(relays.to(server), ANN, progress=progress, before_body=before_body)
        assert not progress.body_sent
        assert "BDAT" not in verbs(server)


# Refusals.


@pytest.mark.parametrize("late", (False, True), ids=("ahead", "after the recipients"))
@pytest.mark.parametrize("answer", (None, "554 5.5.1 no valid recipients", "503 5.5.1 bad sequence", "500 what?"))
async def test_an_answer_to_the_chunk_is_nobodys_verdict_when_all_were_refused(
    relays: Relays, late: bool, answer: str | None
) -> None:
    async with chunking() as server:
        server.on("RCPT", "550 5.1.1 unknown", to=ANN)
        server.on("RCPT", "450 4.2.1 busy", to=BOB)
        if answer:
            server.on("BDAT", answer, times=1)
        relay, progress = relays.to(server), Progress()
        report = await send(relay, ANN, BOB, progress=progress, before_body=nothing if late else None)
        assert kinds(report) == [P, T]
        assert progress.verdicts(2, report.verdicts[0]) == report.verdicts
        assert ("BDAT" in verbs(server)) == (not late)
        assert server.messages == []
        server.rules.clear()
        assert kinds(await send(relay, CAT)) == [A]
        assert len(server.sessions) == 1
        assert verbs(server).count("BDAT") == (1 if late else 2)


@pytest.mark.parametrize("late", (False, True), ids=("ahead", "after the recipients"))
async def test_some_refused_are_refused_and_the_rest_gets_the_message(relays: Relays, late: bool) -> None:
    async with chunking() as server:
        server.on("RCPT", "550 5.1.1 unknown", to=ANN)
        report = await send(relays.to(server), ANN, BOB, CAT, before_body=nothing if late else None)
        assert kinds(report) == [P, A, A]
        assert server.messages[0].recipients == [BOB, CAT]


@pytest.mark.parametrize(
    ("reply", "kind"), (("451 4.3.0 later", T), ("552 5.3.4 too big", P), ("550 5.7.1 not from you", S))
)
async def test_a_refused_mail_is_certain_though_the_body_went_with_it(relays: Relays, reply: str, kind: Kind) -> None:
    async with chunking() as server:
        server.on("MAIL", reply, times=1)
        relay = relays.to(server)
        report = await send(relay, ANN, BOB)
        assert kinds(report) == [kind, kind]
        assert (report.verdicts[0].stage, server.messages) == (Stage.MAIL, [])
        assert verbs(server) == ["EHLO", "MAIL", "RCPT", "RCPT", "BDAT", "RSET"]
        assert kinds(await send(relay, ANN)) == [A]
        assert len(server.sessions) == 1


async def test_a_refused_mail_stays_certain_though_the_connection_breaks_right_after(relays: Relays) -> None:
    async with chunking() as server:
        server.on("MAIL", "550 5.3.4 no")
        server.on("RCPT", SILENCE, close="fin")
        relay = relays.to(server)
        assert kinds(await send(relay, ANN)) == [P]
        assert relay.facts().closes == {"lost after a refusal": 1}


@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DOT"))
async def test_a_421_is_certain_and_ends_the_connection(relays: Relays, step: str) -> None:
    async with chunking() as server:
        server.on(step, "421 4.7.0 come back later", close="fin", times=1)
        relay = relays.to(server)
        assert kinds(await send(relay, ANN, BOB)) == [R, R]
        assert relay.facts().open == 0
        assert kinds(await send(relay, ANN)) == [A]
        assert len(server.messages) == 1


async def test_a_421_for_a_kept_connection_is_no_trouble_and_the_message_goes_on_another(relays: Relays) -> None:
    async with chunking() as server:
        relay = relays.to(server)
        await send(relay)
        server.on("MAIL", "421 4.4.2 idle too long", close="fin", connection=1)
        progress = Progress()
        report = await send(relay, progress=progress)
        assert kinds(report) == [A]
        assert [message.connection for message in server.messages] == [1, 2]
        assert "the kept connection was no longer good" in said(report)


@pytest.mark.parametrize(("reply", "kind"), (("451 4.3.0 no", T), ("554 5.7.1 spam", P), ("550 5.4.5 quota", R)))
async def test_a_refusal_of_the_whole_message_is_certain_and_keeps_the_connection(
    relays: Relays, reply: str, kind: Kind
) -> None:
    async with chunking() as server:
        server.on("DOT", reply, times=1)
        relay = relays.to(server)
        assert kinds(await send(relay, ANN, BOB)) == [kind, kind]
        assert kinds(await send(relay, ANN)) == [A]
        assert len(server.sessions) == 1


async def test_recipients_too_many_for_one_transaction_go_in_another_at_once(relays: Relays) -> None:
    async with chunking() as server:
        server.on("RCPT", "452 4.5.3 Too many recipients", to=BOB, times=1)
        server.on("RCPT", "452 4.5.3 Too many recipients", to=CAT, times=1)
        assert kinds(await send(relays.to(server), ANN, BOB, CAT)) == [A, A, A]
        assert [message.recipients for message in server.messages] == [[ANN], [BOB, CAT]]


# Silence.


@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DOT"))
@pytest.mark.parametrize("how", ("fin", "rst", ""))
async def test_with_the_whole_body_handed_over_a_lost_connection_is_unknown_at_every_step(
    relays: Relays, step: str, how: str
) -> None:
    async with chunking() as server:
        relay = relays.to(server, timeouts=BRIEF)
        await send(relay)
        server.on(step, SILENCE, close=how, connection=1, hold=None if how else asyncio.Event())
        progress = Progress()
        report = await send(relay, ANN, BOB, progress=progress)
        assert kinds(report) == [U, U]
        assert (report.verdicts[0].stage, progress.body_sent) == (Stage.FINAL, True)
        assert len(server.sessions) == 1


async def test_a_recipient_refused_before_that_stays_refused(relays: Relays) -> None:
    async with chunking() as server:
        server.on("RCPT", "550 5.1.1 unknown", to=ANN)
        server.on("RCPT", delay=0.01, to=BOB, close="fin", reply=SILENCE)
        assert kinds(await send(relays.to(server), ANN, BOB, CAT)) == [P, U, U]


@pytest.mark.parametrize("how", ("fin", "rst", ""))
@pytest.mark.parametrize("step", ("MAIL", "RCPT"))
async def test_after_the_recipients_a_connection_lost_earlier_cannot_have_delivered(
    relays: Relays, step: str, how: str
) -> None:
    async with chunking() as server:
        server.on(step, SILENCE, close=how)
        progress = Progress()
        report = await send(relays.to(server, timeouts=BRIEF), ANN, progress=progress, before_body=nothing)
        assert (kinds(report), progress.body_sent) == ([R], False)


@pytest.mark.parametrize("how", ("fin", "rst"))
async def test_a_connection_lost_during_a_large_chunk_cannot_have_delivered(relays: Relays, how: str) -> None:
    async with chunking() as server:
        server.on("BODY", SILENCE, after=200_000, close=how)
        progress = Progress()
        report = await send(relays.to(server), what=envelope(content=BIG), progress=progress)
        assert (report.verdicts[0].kind, report.verdicts[0].stage) == (R, Stage.BODY)
        assert not progress.body_sent


@pytest.mark.parametrize("step", ("MAIL", "RCPT"))
@pytest.mark.parametrize("reply", (b"garbage\r\n", b"354 go ahead\r\n"))
async def test_out_of_step_with_the_body_handed_over_is_unknown(relays: Relays, step: str, reply: bytes) -> None:
    async with chunking() as server:
        server.on(step, reply)
        relay = relays.to(server)
        assert kinds(await send(relay, ANN)) == [U]
        assert relay.facts().open == 0


async def test_an_answer_too_many_can_never_be_taken_for_the_final_one(relays: Relays) -> None:
    async with chunking() as server:
        server.on("RCPT", b"250 2.1.5 Ok\r\n250 2.1.5 Ok\r\n")
        server.on("DOT", "554 5.7.1 no")
        relay = relays.to(server)
        report = await send(relay, ANN)
        assert kinds(report) == [U]
        assert "once more than it was asked" in report.verdicts[0].text
        assert relay.facts().open == 0


async def test_a_goodbye_right_behind_the_final_reply_changes_nothing(relays: Relays) -> None:
    async with chunking() as server:
        server.on("DOT", b"250 2.0.0 queued\r\n421 4.4.2 that was the last one\r\n", taken=True)
        assert kinds(await send(relays.to(server), ANN)) == [A]


@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DOT"))
async def test_cancelled_with_the_body_handed_over_progress_tells_that_it_matters(relays: Relays, step: str) -> None:
    async with chunking() as server:
        asked = server.on(step, hold=asyncio.Event(), times=1)
        relay, progress = relays.to(server), Progress()
        sending = asyncio.create_task(send(relay, ANN, progress=progress))
        await asked.hit()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        assert (progress.body_sent, progress.harmless) == (True, False)
        assert relay.facts().open == 0


# A chunk answered before its end.


async def test_a_reply_before_the_end_of_a_large_chunk_is_believed_and_not_a_byte_follows(relays: Relays) -> None:
    async with chunking() as server:
        rule = server.on("BODY", "552 5.3.4 enough", after=1000)
        relay, progress = relays.to(server), Progress()
        report = await send(relay, what=envelope(content=BIG), progress=progress)
        assert (report.verdicts[0].kind, report.verdicts[0].stage, rule.hits) == (P, Stage.BODY, 1)
        assert (progress.body_sent, relay.facts().open) == (False, 0)
        assert relay.facts().closes == {"refused during the body": 1}
        await server.wait_until(lambda: not server.open)
        assert (server.sessions[0].quit, server.messages) == (False, [])


# Servers that offer it and do not do it.


@pytest.mark.parametrize("deaf", (True, False))
@pytest.mark.parametrize("code", (500, 502, 503, 504, 555))
async def test_a_server_that_does_not_do_what_it_offers_gets_the_message_by_data_at_once(
    relays: Relays, code: int, deaf: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "emailhub.smtp")
    async with chunking() as server:
        server.on("BDAT", f"{code} 5.5.1 not done", deaf=deaf)
        server.on("RCPT", "550 5.1.1 unknown", to=ANN)
        relay, progress = relays.to(server), Progress()
        report = await send(relay, ANN, BOB, progress=progress)
        assert kinds(report) == [P, A]
        assert [(message.recipients, message.data) for message in server.messages] == [([BOB], BODY)]
        assert "the message goes again, by DATA" in said(report)
        assert verbs(server, 1)[-3:] == ["MAIL", "RCPT", "DATA"]
        assert relay.facts().closes == {"BDAT refused": 1}
        assert kinds(await send(relay, CAT)) == [A]
        assert verbs(server, 1)[-1] == "DATA"
        assert [record.message for record in caplog.records] == ["chunking given up"]


async def test_when_no_other_connection_opens_the_message_is_not_unknown(relays: Relays) -> None:
    async with chunking() as server:
        server.on("BDAT", "502 5.5.1 not done")
        server.on("CONNECT", "421 4.3.2 too many", connection=2)
        progress = Progress()
        report = await send(relays.to(server), ANN, progress=progress)
        assert (kinds(report), progress.body_sent) == ([R], False)


async def test_two_breaks_without_a_chunk_that_ever_worked_are_chunkings_fault(relays: Relays) -> None:
    async with chunking() as server:
        server.on("BDAT", SILENCE, close="rst")
        relay = relays.to(server)
        assert kinds(await send(relay)) == [U]
        report = await send(relay)
        assert kinds(report) == [U]
        assert "from now on messages go by DATA" in said(report)
        assert kinds(await send(relay)) == [A]
        assert verbs(server, 2)[-1] == "DATA"


async def test_garbage_for_a_chunk_counts_as_a_break(relays: Relays) -> None:
    async with chunking() as server:
        server.on("BDAT", b"what?\r\n")
        relay = relays.to(server)
        assert [kinds(await send(relay)) for _ in range(2)] == [[U], [U]]
        assert kinds(await send(relay)) == [A]


async def test_where_chunks_have_worked_breaks_are_the_networks_fault(relays: Relays) -> None:
    async with chunking() as server:
        relay = relays.to(server)
        assert kinds(await send(relay)) == [A]
        server.script("BDAT", SILENCE, SILENCE, SILENCE, close="rst")
        for _ in range(3):
            assert kinds(await send(relay)) == [U]
        assert kinds(await send(relay)) == [A]
        assert verbs(server, 3)[-1] == "BDAT"


def test_the_largest_body_that_runs_ahead_is_one_write() -> None:
    assert LARGEST_AHEAD == 64 * 1024
