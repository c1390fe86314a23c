"""From MAIL to the dot: every recipient gets its own verdict, and only silence after the whole body is unknown."""

from __future__ import annotations

import asyncio

import pytest

from emailhub.adapters.smtp import Timeouts, TlsMode
from emailhub.adapters.smtp.pace import Pace
from emailhub.adapters.smtp.wire import Wire
from emailhub.core.judge import TOO_MANY_RECIPIENTS
from emailhub.core.verdict import Envelope, Kind, Progress, Stage
from tests.support.smtp_relays import BODY, BRIEF, Authority, Relays, envelope, kinds, said, send
from tests.support.smtp_server import EXTENSIONS, SILENCE, SmtpServer

A, T, P, R, U, S = Kind.ACCEPTED, Kind.TRANSIENT, Kind.PERMANENT, Kind.RELAY, Kind.UNKNOWN, Kind.SENDER
ANN, BOB, CAT = "ann@x.test", "bob@x.test", "cat@x.test"
both_ways = pytest.mark.parametrize("pipelining", (True, False), ids=("pipelined", "step by step"))


def verbs(server: SmtpServer, connection: int = 0) -> list[str]:
    return [command.split()[0] for command in server.sessions[connection].commands]


@both_ways
async def test_a_message_arrives_byte_for_byte_for_all_its_recipients(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    report = await send(relays.to(server, pipelining=pipelining), ANN, BOB)
    assert kinds(report) == [A, A]
    (message,) = server.messages
    assert (message.sender, message.recipients, message.data) == ("me@x.test", [ANN, BOB], BODY)
    assert server.sessions[0].pipelined == pipelining
    assert report.verdicts[0].reply is not None
    assert f"{len(BODY)} bytes of message, then the dot" in said(report)
    assert "How are you" not in said(report)
    assert [line.at for line in report.transcript] == sorted(line.at for line in report.transcript)


async def test_nothing_is_written_ahead_for_a_server_that_does_not_offer_it(relays: Relays) -> None:
    async with SmtpServer(extensions=("SIZE",)) as server:
        assert kinds(await send(relays.to(server), ANN, BOB)) == [A, A]
        assert not server.sessions[0].pipelined


# MAIL.


@both_ways
@pytest.mark.parametrize(
    ("reply", "kind"),
    (
        ("451 4.3.0 try later", T),
        ("552 5.3.4 too big", P),
        ("550 5.7.1 not from you", S),
        ("454 4.7.0 Throttling", R),
        ("550 5.4.5 Daily user sending limit exceeded", R),
        ("503 5.5.1 Bad sequence", R),
    ),
)
async def test_a_refused_mail_is_one_verdict_for_all_and_the_connection_goes_on(
    server: SmtpServer, relays: Relays, pipelining: bool, reply: str, kind: Kind
) -> None:
    server.on("MAIL", reply, times=1)
    relay = relays.to(server, pipelining=pipelining)
    report = await send(relay, ANN, BOB)
    assert kinds(report) == [kind, kind]
    assert report.verdicts[0].stage is Stage.MAIL
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.sessions) == 1
    assert "RSET" in verbs(server)


@both_ways
@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DATA", "DOT"))
async def test_a_421_at_any_step_is_relay_trouble_for_all_still_open_and_ends_the_connection(
    server: SmtpServer, relays: Relays, pipelining: bool, step: str
) -> None:
    server.on(step, "421 4.7.0 come back later", close="fin", times=1)
    relay = relays.to(server, pipelining=pipelining)
    report = await send(relay, ANN, BOB)
    assert kinds(report) == [R, R]
    assert [verdict.reply.code if verdict.reply else None for verdict in report.verdicts] == [421, 421]
    assert relay.facts().open == 0
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.messages) == 1


# RCPT.


@both_ways
async def test_each_recipient_has_its_own_verdict_and_the_rest_gets_the_message(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    server.on("RCPT", "450 4.7.1 Greylisted, try again in 5 minutes", to=BOB)
    report = await send(relays.to(server, pipelining=pipelining), ANN, BOB, CAT)
    assert kinds(report) == [P, T, A]
    assert (report.verdicts[1].greylisted, report.verdicts[1].wait) == (True, 300.0)
    assert [verdict.stage for verdict in report.verdicts] == [Stage.RCPT, Stage.RCPT, Stage.FINAL]
    assert server.messages[0].recipients == [CAT]


@both_ways
async def test_when_all_recipients_are_refused_no_body_is_sent_and_the_connection_is_kept(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    server.on("RCPT", "450 4.2.1 busy", to=BOB)
    relay = relays.to(server, pipelining=pipelining)
    assert kinds(await send(relay, ANN, BOB)) == [P, T]
    assert server.sessions[0].body_bytes == 0
    assert ("DATA" in verbs(server)) == pipelining
    assert kinds(await send(relay, CAT)) == [A]
    assert len(server.sessions) == 1


@pytest.mark.parametrize("answer", ("554 5.5.1 no valid recipients", "250 2.0.0 fine", "451 4.3.0 later"))
async def test_a_go_ahead_for_nobody_is_ended_by_a_lone_dot_whose_answer_means_nothing(
    server: SmtpServer, relays: Relays, answer: str
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    server.on("DATA", "354 go ahead", times=1)
    server.on("DOT", answer, times=1)
    relay, progress = relays.to(server), Progress()
    report = await send(relay, ANN, progress=progress)
    assert (kinds(report), progress.body_sent) == ([P], False)
    assert "client: .\nserver: " in said(report)
    assert kinds(await send(relay, BOB)) == [A]
    assert (len(server.sessions), server.messages[-1].recipients) == (1, [BOB])


@pytest.mark.parametrize("end", (SILENCE, "421 4.7.0 bye", b"what?\r\n"))
async def test_a_lone_dot_that_is_not_answered_costs_the_connection_and_no_verdict(
    server: SmtpServer, relays: Relays, end: str | bytes
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    server.on("DATA", "354 go ahead", times=1)
    server.on("DOT", end, times=1)
    relay, progress = relays.to(server, timeouts=BRIEF), Progress()
    assert kinds(await send(relay, ANN, progress=progress)) == [P]
    assert (relay.facts().open, progress.body_sent) == (0, False)


@both_ways
async def test_a_recipient_refused_before_the_connection_broke_stays_refused(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    server.on("RCPT", SILENCE, to=BOB, close="rst")
    report = await send(relays.to(server, pipelining=pipelining), ANN, BOB, CAT)
    # Written ahead, the reset can overtake the refusal that was on its way.
    assert kinds(report) in ([[P, R, R], [R, R, R]] if pipelining else [[P, R, R]])


@both_ways
@pytest.mark.parametrize("limit", ("452 4.5.3 Too many recipients", "552 too many recipients"))
async def test_recipients_too_many_for_one_transaction_go_in_another_at_once(
    server: SmtpServer, relays: Relays, pipelining: bool, limit: str
) -> None:
    server.on("RCPT", limit, to=BOB, times=1)
    server.on("RCPT", limit, to=CAT, times=2)
    before: list[tuple[int, int]] = []
    progress = Progress()

    async def before_body() -> None:
        before.append((len(server.messages), len(progress.settled)))
        assert not progress.body_sent

    relay = relays.to(server, pipelining=pipelining)
    report = await send(relay, ANN, BOB, CAT, progress=progress, before_body=before_body)
    assert kinds(report) == [A, A, A]
    assert [message.recipients for message in server.messages] == [[ANN], [BOB], [CAT]]
    assert len(server.sessions) == 1
    assert before == [(0, 0), (1, 1), (2, 2)]


async def test_recipients_too_many_wait_when_the_server_says_farewell_behind_its_final_reply(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("RCPT", "452 4.5.3 Too many recipients", to="cat@x.test")
    server.on("DOT", b"250 2.0.0 Ok\r\n421 4.4.2 closing\r\n")
    report = await send(relays.to(server), "ann@x.test", "bob@x.test", "cat@x.test")
    assert kinds(report) == [A, A, T]
    assert [message.recipients for message in server.messages] == [["ann@x.test", "bob@x.test"]]
    assert len(server.sessions) == 1


async def test_a_server_that_takes_no_recipient_at_all_is_not_asked_again_and_again(
    server: SmtpServer, relays: Relays
) -> None:
    limit = server.on("RCPT", "452 4.5.3 Too many recipients")
    report = await send(relays.to(server), ANN, BOB)
    assert kinds(report) == [T, T]
    assert report.verdicts[0].text.startswith(TOO_MANY_RECIPIENTS)
    assert limit.hits == 2


# DATA and body.


@both_ways
@pytest.mark.parametrize(("reply", "kind"), (("451 4.3.0 no", T), ("554 5.6.0 no", P), ("250 2.0.0 what?", R)))
async def test_a_refused_data_is_certain_and_sends_no_body(
    server: SmtpServer, relays: Relays, pipelining: bool, reply: str, kind: Kind
) -> None:
    server.on("DATA", reply, times=1)
    report = await send(relays.to(server, pipelining=pipelining), ANN)
    assert (report.verdicts[0].kind, report.verdicts[0].stage) == (kind, Stage.DATA)
    assert server.messages == []


@both_ways
@pytest.mark.parametrize(("step", "reply"), (("MAIL", "354 go ahead"), ("DATA", "250 2.0.0 what?")))
async def test_a_success_out_of_step_ends_the_connection_at_once(
    server: SmtpServer, relays: Relays, pipelining: bool, step: str, reply: str
) -> None:
    # The server takes whatever follows for a body: a RSET would never be answered.
    server.on(step, reply, times=1)
    relay = relays.to(server, pipelining=pipelining)
    assert kinds(await send(relay, ANN)) == [R]
    assert "RSET" not in verbs(server)
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.sessions) == 2


async def test_a_reply_before_the_end_of_the_body_is_believed(server: SmtpServer, relays: Relays) -> None:
    server.on("BODY", "552 5.3.4 enough", after=1000)
    progress = Progress()
    big = envelope(content=b"Subject: big\r\n\r\n" + b"x" * 70 + (b"\r\n" + b"x" * 70) * 150_000 + b"\r\n")
    relay = relays.to(server)
    report = await send(relay, what=big, progress=progress)
    assert (report.verdicts[0].kind, report.verdicts[0].stage) == (P, Stage.BODY)
    assert not progress.body_sent
    assert relay.facts().closes == {"refused during the body": 1}


@pytest.mark.parametrize("how", ("fin", "rst"))
async def test_a_connection_lost_during_a_large_body_cannot_have_delivered(
    server: SmtpServer, relays: Relays, how: str
) -> None:
    server.on("BODY", SILENCE, after=200_000, close=how)
    progress = Progress()
    big = envelope(content=b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 150_000)
    report = await send(relays.to(server), what=big, progress=progress)
    assert (report.verdicts[0].kind, report.verdicts[0].stage) == (R, Stage.BODY)
    assert not progress.body_sent
    assert server.messages == []


async def test_a_server_that_stops_reading_during_a_large_body_is_given_up(server: SmtpServer, relays: Relays) -> None:
    hold = asyncio.Event()
    server.on("BODY", SILENCE, after=1, hold=hold)
    relay = relays.to(server, timeouts=BRIEF)
    report = await send(relay, what=envelope(content=b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 300_000))
    assert (report.verdicts[0].kind, report.verdicts[0].stage) == (R, Stage.BODY)
    assert "slower than 500 bytes a second" in report.verdicts[0].text


# The dot.


@pytest.mark.parametrize("how", ("fin", "rst"))
async def test_a_connection_lost_after_the_dot_leaves_the_outcome_unknown(
    server: SmtpServer, relays: Relays, how: str
) -> None:
    server.on("DOT", SILENCE, close=how, taken=True)
    progress = Progress()
    report = await send(relays.to(server), ANN, BOB, progress=progress)
    assert kinds(report) == [U, U]
    assert (report.verdicts[0].stage, progress.body_sent) == (Stage.FINAL, True)
    assert "may or may not have been taken" in report.verdicts[0].text


async def test_silence_after_the_dot_is_unknown_once_its_own_long_deadline_has_passed(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("DOT", SILENCE)
    report = await send(relays.to(server, timeouts=BRIEF), ANN)
    assert kinds(report) == [U]
    assert "no reply within 0.2 s" in report.verdicts[0].text


async def test_a_slow_final_reply_is_waited_for_beyond_the_deadline_of_commands(
    server: SmtpServer, relays: Relays
) -> None:
    server.on("DOT", delay=0.5)
    report = await send(relays.to(server, timeouts=Timeouts(command=0.3, final=10.0)), ANN)
    assert kinds(report) == [A]


@pytest.mark.parametrize("kind_of_reply", (("451 4.3.0 no", T), ("554 5.7.1 spam", P), ("550 5.4.5 quota", R)))
async def test_a_refusal_of_the_whole_message_is_certain_and_keeps_the_connection(
    server: SmtpServer, relays: Relays, kind_of_reply: tuple[str, Kind]
) -> None:
    reply, kind = kind_of_reply
    server.on("DOT", reply, times=1)
    relay = relays.to(server)
    assert kinds(await send(relay, ANN, BOB)) == [kind, kind]
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.sessions) == 1
    assert "RSET" not in verbs(server)


async def test_a_reset_right_after_the_250_changes_nothing(server: SmtpServer, relays: Relays) -> None:
    server.on("DOT", "250 2.0.0 queued", close="fin")
    relay = relays.to(server)
    assert kinds(await send(relay, ANN)) == [A]
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.messages) == 2


@pytest.mark.parametrize("reply", (b"what?\r\n", b"354 more?\r\n", b"99 x\r\n", b"\xff\xfe\x00\r\n"))
async def test_a_final_reply_that_is_none_is_unknown(server: SmtpServer, relays: Relays, reply: bytes) -> None:
    server.on("DOT", reply)
    relay = relays.to(server)
    assert kinds(await send(relay, ANN)) == [U]
    assert relay.facts().open == 0


# Replies of all shapes.


async def test_long_and_many_lined_replies_are_read_as_one(server: SmtpServer, relays: Relays) -> None:
    lines = b"".join(b"550-5.1.1 line %d " % n + b"z" * 8000 + b"\r\n" for n in range(4)) + b"550 5.1.1 end\r\n"
    server.on("RCPT", lines, to=ANN)
    report = await send(relays.to(server), ANN, BOB)
    assert kinds(report) == [P, A]
    reply = report.verdicts[0].reply
    assert reply is not None
    assert (reply.code, reply.enhanced) == (550, "5.1.1")
    assert len(reply.text) <= 2000


@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DATA"))
@pytest.mark.parametrize(
    "garbage", (b"garbage\r\n", b"25 0\r\n", b"250-" + b"x" * 100_000, b"\x00\r\n", b"2500 x\r\n", b"\r\n")
)
async def test_garbage_instead_of_a_reply_is_relay_trouble_bounded_and_ends_the_connection(
    server: SmtpServer, relays: Relays, step: str, garbage: bytes
) -> None:
    server.on(step, garbage)
    relay = relays.to(server)
    assert kinds(await send(relay, ANN)) == [R]
    assert relay.facts().open == 0
    assert server.messages == []


@both_ways
async def test_a_reply_without_text_and_one_without_enhanced_code_are_fine(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    server.on("MAIL", b"250\r\n")
    server.on("RCPT", b"550\r\n", to=ANN)
    server.on("DOT", b"250\n", taken=True)
    assert kinds(await send(relays.to(server, pipelining=pipelining), ANN, BOB)) == [P, A]


@both_ways
@pytest.mark.parametrize("step", ("MAIL", "RCPT", "DATA"))
async def test_a_reply_that_drips_byte_by_byte_is_bound_as_a_whole(
    server: SmtpServer, relays: Relays, pipelining: bool, step: str
) -> None:
    server.on(step, "250 a byte now and then would keep a deadline per read alive", drip=0.05)
    report = await send(relays.to(server, timeouts=BRIEF, pipelining=pipelining), ANN)
    assert kinds(report) == [R]
    assert server.messages == []


async def test_an_extra_reply_can_never_be_taken_for_the_final_one(server: SmtpServer, relays: Relays) -> None:
    server.on("DATA", b"354 go\r\n250 2.0.0 Ok: queued early\r\n", times=1)
    server.on("DOT", "554 5.7.1 no", times=1)
    relay = relays.to(server)
    assert kinds(await send(relay, ANN)) == [R]
    assert relay.facts().open == 0
    assert server.messages == []


async def test_silence_at_rset_does_not_hide_the_refusal(server: SmtpServer, relays: Relays) -> None:
    server.on("RCPT", "550 5.1.1 unknown")
    server.on("RSET", SILENCE)
    relay = relays.to(server, timeouts=BRIEF)
    assert kinds(await send(relay, ANN)) == [P]
    assert relay.facts().closes == {"late at RSET": 1}


# What cannot go.


@pytest.mark.parametrize("size", ("SIZE 55", "SIZE 10"))
async def test_a_message_above_the_advertised_size_is_refused_before_mail_with_both_numbers(
    relays: Relays, size: str
) -> None:
    async with SmtpServer(extensions=(size,)) as server:
        relay = relays.to(server)
        report = await send(relay, ANN, BOB)
        assert kinds(report) == [P, P]
        assert "56 bytes and the relay takes" in report.verdicts[0].text
        assert verbs(server) == ["EHLO"]
        assert relay.facts().idle == 1


@pytest.mark.parametrize(
    "size", ("SIZE 56", "SIZE 0", "SIZE", "SIZE many", "SIZE " + "9" * 5000), ids=lambda size: size[:9]
)
async def test_a_size_that_fits_or_says_nothing_is_no_obstacle(relays: Relays, size: str) -> None:
    async with SmtpServer(extensions=(size,)) as server:
        assert kinds(await send(relays.to(server), ANN)) == [A]
        assert server.messages[0].options == "SIZE=56"


async def test_smtputf8_is_asked_for_only_when_an_address_needs_it(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server)
    await send(relay, ANN)
    assert kinds(await send(relay, "jörg@x.test")) == [A]
    assert ["SMTPUTF8" in message.options for message in server.messages] == [False, True]
    assert server.messages[1].recipients == ["jörg@x.test"]


async def test_without_smtputf8_only_the_address_that_needs_it_is_refused(relays: Relays) -> None:
    async with SmtpServer(extensions=("PIPELINING",)) as server:
        relay = relays.to(server)
        report = await send(relay, "jörg@x.test", ANN)
        assert kinds(report) == [P, A]
        assert "SMTPUTF8" in report.verdicts[0].text
        assert kinds(await send(relay, what=envelope(ANN, sender="jörg@x.test"))) == [P]
        assert kinds(await send(relay, what=envelope(ANN, content="Subject: é\r\n\r\n".encode(), smtputf8=True))) == [P]


async def test_the_bytes_are_the_same_with_and_without_8bitmime(relays: Relays) -> None:
    seen = []
    for extensions in (EXTENSIONS, ("PIPELINING",)):
        async with SmtpServer(extensions=extensions) as server:
            await send(relays.to(server), ANN)
            seen.append(server.messages[0].data)
            assert "8BITMIME" not in server.messages[0].options
    assert seen == [BODY, BODY]


@pytest.mark.parametrize(
    "address",
    (
        "a@x.test>\r\nRCPT TO:<evil@x.test",
        "a@x.test\nDATA",
        "a\x00@x.test",
        "a b@x.test",
        "a@x.test> SIZE=1",
        "\ud800@x.test",
        "a\x7f@x.test",
        "a\u2028@x.test",
    ),
)
async def test_no_address_can_carry_a_command(server: SmtpServer, relays: Relays, address: str) -> None:
    relay = relays.to(server)
    assert kinds(await send(relay, address)) == [P]
    assert kinds(await send(relay, what=envelope(ANN, sender=address))) == [P]
    assert verbs(server) == ["EHLO"]
    assert kinds(await send(relay, ANN, address)) == [A, P]
    assert server.messages[0].recipients == [ANN]


@pytest.mark.parametrize(
    "trick",
    (
        b"\n.\n",
        b"\n.\r\n",
        b"\r.\r\n",
        b"\r\n.\n",
        b"\r\n.\r",
        b"\r\r\n.\r\r\n",
        b"\r\n.\r\n",
    ),
)
async def test_no_body_can_smuggle_a_second_message(server: SmtpServer, relays: Relays, trick: bytes) -> None:
    inside = trick + b"MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@x.test>\r\nDATA\r\nSubject: evil\r\n"
    report = await send(relays.to(server), what=envelope(content=BODY + inside))
    assert kinds(report) == [A]
    assert len(server.messages) == 1
    assert [command.split()[0] for command in server.sessions[0].commands] == ["EHLO", "MAIL", "RCPT", "DATA"]
    data = server.messages[0].data
    assert b"\r\n.\r\n" in data or b"\n." in data
    assert data.count(b"\n") == data.count(b"\r\n") == data.count(b"\r")


async def test_dots_at_line_starts_arrive_as_written(server: SmtpServer, relays: Relays) -> None:
    content = b".a\r\n..b\r\n.\r\n\r\n...\r\nend."
    await send(relays.to(server), what=envelope(content=content))
    assert server.messages[0].data == content + b"\r\n"


async def test_an_empty_sender_and_an_empty_body_travel(server: SmtpServer, relays: Relays) -> None:
    assert kinds(await send(relays.to(server), what=envelope(sender="", content=b""))) == [A]
    assert (server.messages[0].sender, server.messages[0].data) == ("", b"")


async def test_a_message_for_nobody_needs_no_connection(server: SmtpServer, relays: Relays) -> None:
    report = await relays.to(server).attempt(
        Envelope("m", "me@x.test", (), BODY), fresh=False, progress=Progress(), before_body=None
    )
    assert report.verdicts == ()
    assert server.sessions == []


# Before the body.


@both_ways
async def test_the_body_waits_for_what_has_to_be_done_before_it(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    seen: list[tuple[int, str]] = []
    progress = Progress()

    async def before_body() -> None:
        seen.append((server.sessions[0].body_bytes, server.sessions[0].commands[-1]))
        assert not progress.body_sent

    report = await send(relays.to(server, pipelining=pipelining), ANN, progress=progress, before_body=before_body)
    assert kinds(report) == [A]
    assert seen == [(0, "DATA")]


@both_ways
async def test_when_that_fails_nothing_is_sent_and_the_connection_is_gone(
    server: SmtpServer, relays: Relays, pipelining: bool
) -> None:
    async def before_body() -> None:
        raise OSError("disk full")

    relay = relays.to(server, pipelining=pipelining)
    progress = Progress()
    with pytest.raises(OSError, match="disk full"):
        await send(relay, ANN, progress=progress, before_body=before_body)
    assert not progress.body_sent
    assert (relay.facts().open, relay.facts().closes) == (0, {"cancelled": 1})
    await server.wait_until(lambda: server.sessions[0].closed_at is not None)
    assert (server.sessions[0].body_bytes, server.messages) == (0, [])


async def test_it_is_not_called_when_no_body_will_be_sent(server: SmtpServer, relays: Relays) -> None:
    async def before_body() -> None:
        raise AssertionError("called")

    server.on("RCPT", "550 5.1.1 unknown")
    assert kinds(await send(relays.to(server), ANN, before_body=before_body)) == [P]


# Cancelled.


@both_ways
@pytest.mark.parametrize("step", ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"))
async def test_cancelled_at_any_step_the_connection_is_cut_and_progress_tells_if_it_mattered(
    server: SmtpServer, relays: Relays, pipelining: bool, step: str
) -> None:
    rule = server.on(step, hold=asyncio.Event(), times=1)
    relay = relays.to(server, pipelining=pipelining)
    progress = Progress()
    sending = asyncio.create_task(send(relay, ANN, progress=progress))
    await rule.hit()
    if step == "DOT":
        await server.wait_until(lambda: progress.body_sent)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert progress.body_sent == (step == "DOT")
    await server.wait_until(lambda: server.sessions[0].closed_at is not None)
    assert relay.facts().open == 0
    assert kinds(await send(relay, ANN)) == [A]
    assert len(server.messages) == 1


@pytest.mark.parametrize("tls", ("", "starttls", "implicit"))
async def test_a_large_message_arrives_whole_and_is_never_held_in_the_transport_at_once(
    authority: Authority, relays: Relays, monkeypatch: pytest.MonkeyPatch, tls: str
) -> None:
    most = 0
    drained = Wire._drained

    async def watched(wire: Wire, written: int, pace: Pace) -> None:
        nonlocal most
        assert wire._transport is not None
        most = max(most, wire._transport.get_write_buffer_size())
        await drained(wire, written, pace)

    monkeypatch.setattr(Wire, "_drained", watched)
    content = b"Subject: big\r\n\r\n" + b"".join(b".%070d\r\n" % n for n in range(150_000))
    async with SmtpServer(tls=tls, context=authority.context() if tls else None) as server:
        mode = TlsMode(tls or "none")
        report = await send(relays.to(server, tls=mode, ca=authority.file), what=envelope(content=content))
        assert kinds(report) == [A]
        assert server.messages[0].data == content
    assert 0 < most < 1_000_000
