"""Kept connections: few, warm, bounded in use, age and idleness, and replaced without cost when they have died."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from emailhub.adapters.smtp import Timeouts
from emailhub.core.verdict import Kind, Progress, Report
from tests.support.ports import free_port
from tests.support.smtp_relays import Clock, Relays, envelope, kinds, said, send, until
from tests.support.smtp_server import SILENCE, SmtpServer

A, R, U = Kind.ACCEPTED, Kind.RELAY, Kind.UNKNOWN


async def together(*sends: asyncio.Task[Report]) -> list[list[Kind]]:
    return [kinds(report) for report in await asyncio.gather(*sends)]


async def test_one_message_after_the_other_uses_one_connection(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server)
    reports = [await send(relay) for _ in range(5)]
    assert len(server.sessions) == 1
    assert [report.session.uses for report in reports] == [1, 2, 3, 4, 5]
    assert "message 5 on it" in said(reports[-1])
    facts = relay.facts()
    assert (facts.open, facts.idle, facts.busy, facts.opens, facts.reuses) == (1, 1, 0, 1, 4)


async def test_never_more_connections_than_allowed_and_all_messages_arrive(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=3)
    most = 0

    async def one() -> Report:
        nonlocal most
        report = await send(relay)
        most = max(most, len(server.open))
        return report

    assert await together(*(asyncio.create_task(one()) for _ in range(60))) == [[A]] * 60
    assert most <= 3
    assert len(server.messages) == 60
    assert relay.facts().opens <= 3


async def test_who_waits_longest_is_served_first(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=1)
    sends = [asyncio.create_task(send(relay, f"r{n}@x.test")) for n in range(10)]
    await together(*sends)
    assert [message.recipients[0] for message in server.messages] == [f"r{n}@x.test" for n in range(10)]


async def test_the_connection_used_last_is_reused_first(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=2)
    hold = asyncio.Event()
    first = server.on("DOT", hold=hold, connection=1, times=1)
    await_first = asyncio.create_task(send(relay))
    await first.hit()
    assert (await send(relay)).verdicts[0].kind is A
    hold.set()
    await await_first
    assert relay.facts().idle == 2
    await send(relay)
    assert server.messages[-1].connection == 1


async def test_a_connection_retires_after_its_share_of_messages(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, messages_per_connection=3)
    for _ in range(7):
        await send(relay)
    assert Counter(message.connection for message in server.messages) == {1: 3, 2: 3, 3: 1}
    assert relay.facts().closes == {"messages": 2}
    await server.wait_until(lambda: server.sessions[0].quit)


async def test_a_connection_retires_at_its_age(server: SmtpServer, relays: Relays) -> None:
    clock = Clock()
    relay = relays.to(server, clock=clock, max_age=100.0, idle_for=1000.0)
    await send(relay)
    clock.now += 99.0
    await send(relay)
    clock.now += 1.0
    await send(relay)
    assert [message.connection for message in server.messages] == [1, 1, 2]


async def test_a_connection_idle_too_long_by_the_clock_is_not_used_again(server: SmtpServer, relays: Relays) -> None:
    clock = Clock()
    relay = relays.to(server, clock=clock, idle_for=30.0)
    await send(relay)
    clock.now += 30.0
    await send(relay)
    assert [message.connection for message in server.messages] == [1, 2]
    assert relay.facts().closes == {"idle": 1}


async def test_idle_connections_are_closed_in_the_background_with_a_goodbye(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, idle_for=0.05)
    await send(relay)
    await server.wait_until(lambda: server.sessions[0].closed_at is not None)
    assert server.sessions[0].quit
    assert (relay.facts().open, relay.facts().closes) == (0, {"idle": 1})


async def test_fresh_means_a_connection_of_its_own(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=1)
    await send(relay)
    assert kinds(await send(relay, fresh=True)) == [A]
    assert [message.connection for message in server.messages] == [1, 2]
    assert relay.facts().closes == {"replaced": 1}


# Connections that died.


@pytest.mark.parametrize("goodbye", (SILENCE, b"421 4.4.2 idle too long\r\n"))
async def test_a_connection_the_server_closed_while_idle_is_noticed_and_not_used(
    server: SmtpServer, relays: Relays, goodbye: bytes
) -> None:
    relay = relays.to(server)
    await send(relay)
    (connection,) = server.open
    connection.transport.write(goodbye)
    connection.end("fin")
    await until(lambda: relay.facts().idle == 0)
    assert kinds(await send(relay)) == [A]
    assert [message.connection for message in server.messages] == [1, 2]
    assert relay.facts().closes == {"lost while idle": 1}


async def test_a_stray_reply_while_idle_never_answers_a_later_command(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server)
    await send(relay)
    (connection,) = server.open
    connection.transport.write(b"250 2.0.0 Ok: queued as nothing\r\n")
    await server.wait_until(lambda: server.sessions[0].closed_at is not None)
    server.on("DOT", "554 5.7.1 no", connection=2)
    assert kinds(await send(relay)) == [Kind.PERMANENT]


@pytest.mark.parametrize("pipelining", (True, False))
@pytest.mark.parametrize(
    ("reply", "how"), ((SILENCE, "fin"), (SILENCE, "rst"), ("421 4.4.2 idle too long", "fin"), (SILENCE, "hang"))
)
async def test_a_kept_connection_that_dies_at_mail_is_replaced_once_at_no_cost(
    server: SmtpServer, relays: Relays, reply: str | bytes, how: str, pipelining: bool
) -> None:
    relay = relays.to(server, pipelining=pipelining, timeouts=Timeouts(command=0.5, reset=0.5))
    await send(relay)
    if how == "hang":
        server.on("MAIL", hold=asyncio.Event(), connection=1)
    else:
        server.on("MAIL", reply, close=how, connection=1)
    report = await send(relay)
    assert kinds(report) == [A]
    assert "the kept connection was no longer good" in said(report)
    assert [message.connection for message in server.messages] == [1, 2]


async def test_it_is_replaced_only_once(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server)
    await send(relay)
    rule = server.on("MAIL", "421 4.7.0 no", close="fin")
    assert kinds(await send(relay)) == [R]
    assert rule.hits == 2


async def test_a_new_connection_that_dies_at_mail_is_relay_trouble(server: SmtpServer, relays: Relays) -> None:
    rule = server.on("MAIL", SILENCE, close="rst")
    assert kinds(await send(relays.to(server))) == [R]
    assert rule.hits == 1


async def test_a_kept_connection_that_dies_after_mail_is_not_replaced(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, pipelining=False)
    await send(relay)
    server.on("DATA", SILENCE, close="rst")
    assert kinds(await send(relay)) == [R]
    assert len(server.sessions) == 1


async def test_a_kept_connection_that_dies_after_the_dot_is_never_tried_again_by_itself(
    server: SmtpServer, relays: Relays
) -> None:
    relay = relays.to(server)
    await send(relay)
    server.on("DOT", SILENCE, close="rst", taken=True)
    assert kinds(await send(relay)) == [U]
    assert len(server.messages) == 2


# Outages.


async def test_connections_are_opened_one_two_four_at_a_time(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=10, timeouts=Timeouts())
    gates = [asyncio.Event() for _ in range(10)]
    for number, gate in enumerate(gates, 1):
        server.on("CONNECT", hold=gate, connection=number)
    stay = asyncio.Event()
    final = server.on("DOT", hold=stay)
    sends = [asyncio.create_task(send(relay)) for _ in range(10)]
    for at_a_time, total in ((1, 1), (2, 3), (4, 7), (3, 10)):
        await server.wait_for_sessions(total)
        assert (len(server.sessions), relay.facts().opens) == (total, total - at_a_time)
        for gate in gates[:total]:
            gate.set()
    await server.wait_until(lambda: final.hits == 10)
    stay.set()
    assert await together(*sends) == [[A]] * 10


async def test_when_nothing_can_be_opened_all_who_wait_learn_it_at_once(relays: Relays) -> None:
    relay = relays.at(free_port(), connections=20)
    sends = [asyncio.create_task(send(relay)) for _ in range(20)]
    assert await together(*sends) == [[R]] * 20
    assert relay.facts().opens == 0


async def test_a_failure_to_open_one_more_does_not_touch_those_at_work(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=4)
    hold = asyncio.Event()
    rule = server.on("DOT", hold=hold, connection=1, times=1)
    working = asyncio.create_task(send(relay))
    await rule.hit()
    server.on("CONNECT", "421 4.3.2 too many connections", close="fin", connection=2)
    assert kinds(await send(relay)) == [R]
    hold.set()
    assert kinds(await working) == [A]
    assert kinds(await send(relay)) == [A]


async def test_dropping_what_is_idle_leaves_what_is_busy(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=2)
    hold = asyncio.Event()
    rule = server.on("DOT", hold=hold, connection=1, times=1)
    working = asyncio.create_task(send(relay))
    await rule.hit()
    await send(relay)
    await relay.drop_idle()
    facts = relay.facts()
    assert (facts.idle, facts.busy, facts.closes) == (0, 1, {"breaker opened": 1})
    hold.set()
    assert kinds(await working) == [A]


async def test_a_waiter_that_is_cancelled_leaves_its_turn_to_the_next(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=1)
    hold = asyncio.Event()
    rule = server.on("DOT", hold=hold, times=1)
    working = asyncio.create_task(send(relay, "a@x.test"))
    await rule.hit()
    waiting = [asyncio.create_task(send(relay, f"{n}@x.test")) for n in "bc"]
    await asyncio.sleep(0)
    waiting[0].cancel()
    hold.set()
    assert kinds(await working) == [A]
    assert kinds(await waiting[1]) == [A]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert [message.recipients for message in server.messages] == [["a@x.test"], ["c@x.test"]]


async def test_no_slot_is_lost_however_attempts_are_cancelled(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=2)
    server.on("RCPT", delay=0.001)
    for round_ in range(40):
        sends = [asyncio.create_task(send(relay, fresh=n == 0)) for n in range(5)]
        for turn in range(round_ % 13):
            await asyncio.sleep(0.0005 * (turn % 3))
        for one in sends[round_ % 5 :: 2]:
            one.cancel()
        await asyncio.gather(*sends, return_exceptions=True)
    assert relay.facts().busy == 0
    server.rules.clear()
    assert await together(*(asyncio.create_task(send(relay)) for _ in range(6))) == [[A]] * 6


# The end.


async def test_closing_ends_every_connection_and_whoever_waits_meets_trouble(
    server: SmtpServer, relays: Relays
) -> None:
    relay = relays.to(server, connections=1)
    rule = server.on("DOT", hold=asyncio.Event())
    working = asyncio.create_task(send(relay))
    await rule.hit()
    waiting = asyncio.create_task(send(relay))
    await asyncio.sleep(0)
    await relay.close()
    assert await together(waiting, working) == [[R], [U]]
    assert kinds(await send(relay)) == [R]
    await relay.close()
    assert relay.facts().open == 0


async def test_a_relay_never_used_closes_at_once(relays: Relays) -> None:
    await relays.at(free_port()).close()


async def test_a_probe_finds_room_beside_an_idle_connection(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=1)
    await send(relay)
    assert kinds(await relay.probe(progress=Progress())) == [A]
    assert relay.facts().open == 0


async def test_thousands_of_messages_leave_nothing_open_and_nothing_behind(server: SmtpServer, relays: Relays) -> None:
    relay = relays.to(server, connections=10)
    numbers = iter(range(2000))

    async def worker() -> None:
        for n in numbers:
            assert kinds(await send(relay, what=envelope(f"r{n}@x.test"))) == [A]

    await asyncio.gather(*(worker() for _ in range(10)))
    assert sorted(int(m.recipients[0][1:-7]) for m in server.messages) == list(range(2000))
    assert relay.facts().busy == 0
