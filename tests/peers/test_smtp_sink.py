"""Postfix's smtp-sink with its fault flags: what another hand wrote to try clients means to us what it says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from emailhub.adapters.smtp import Timeouts
from emailhub.core.verdict import Kind, Stage
from tests.support.mtas import smtp_sink
from tests.support.smtp_relays import Relays, kinds, said, send

pytestmark = [pytest.mark.nightly]
A, T, P, R, U = Kind.ACCEPTED, Kind.TRANSIENT, Kind.PERMANENT, Kind.RELAY, Kind.UNKNOWN
ANN, BOB = "ann@x.test", "bob@x.test"
QUICK = Timeouts(connect=5.0, greeting=1.0, command=1.0, final=1.5, reset=1.0)

FAULTS = (
    ("drops the connection at once", ("-q", "CONNECT"), R, Stage.GREETING),
    ("drops it at EHLO", ("-q", "EHLO"), R, Stage.EHLO),
    ("drops it at MAIL", ("-q", "MAIL"), R, Stage.MAIL),
    ("drops it at RCPT", ("-q", "RCPT"), R, Stage.RCPT),
    ("drops it at DATA", ("-q", "DATA"), R, Stage.DATA),
    ("drops it after the dot", ("-q", "."), U, Stage.FINAL),
    ("says farewell at once", ("-Q", "CONNECT"), R, Stage.GREETING),
    ("says farewell at MAIL", ("-Q", "MAIL"), R, Stage.MAIL),
    ("says farewell at RCPT", ("-Q", "RCPT"), R, Stage.RCPT),
    ("says farewell at DATA", ("-Q", "DATA"), R, Stage.DATA),
    ("says farewell at the dot", ("-Q", "."), R, Stage.FINAL),
    ("puts off MAIL", ("-r", "MAIL"), T, Stage.MAIL),
    ("puts off RCPT", ("-r", "RCPT"), T, Stage.RCPT),
    ("puts off DATA", ("-r", "DATA"), T, Stage.DATA),
    ("puts off the message", ("-r", "."), T, Stage.FINAL),
    ("refuses to greet", ("-f", "CONNECT"), R, Stage.GREETING),
    ("refuses MAIL", ("-f", "MAIL"), P, Stage.MAIL),
    ("refuses RCPT", ("-f", "RCPT"), P, Stage.RCPT),
    ("refuses DATA", ("-f", "DATA"), P, Stage.DATA),
    ("refuses the message", ("-f", "."), P, Stage.FINAL),
    ("never greets", ("-W", "CONNECT:9"), R, Stage.GREETING),
    ("never answers EHLO", ("-W", "EHLO:9"), R, Stage.EHLO),
    ("never answers MAIL", ("-W", "MAIL:9"), R, Stage.MAIL),
    ("never answers the dot", ("-W", ".:9"), U, Stage.FINAL),
    ("has too many recipients", ("-r", "RCPT", "-b", "452 4.5.3 Error: too many recipients"), T, Stage.RCPT),
    ("throttles", ("-r", ".", "-b", "454 Throttling failure: Maximum sending rate exceeded."), R, Stage.FINAL),
    ("has a quota that is used up", ("-f", ".", "-B", "550 5.4.5 Daily user sending limit exceeded."), R, Stage.FINAL),
    ("does not verify the sender", ("-f", ".", "-B", "554 Message rejected: Email address is not verified."),
     Kind.SENDER, Stage.FINAL),
)  # fmt: skip


@pytest.mark.parametrize(("flags", "kind", "stage"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
@pytest.mark.parametrize("pipelining", (True, False), ids=("pipelined", "step by step"))
async def test_a_server_with_this_fault_has_its_verdict(
    folder: Path, relays: Relays, flags: tuple[str, ...], kind: Kind, stage: Stage, pipelining: bool
) -> None:
    async with smtp_sink(folder, *flags) as sink:
        report = await send(relays.at(sink.port, timeouts=QUICK, pipelining=pipelining), ANN, BOB)
        assert kinds(report) == [kind, kind], said(report)
        assert report.verdicts[0].stage is stage, said(report)
        # The sink writes down what it read, also where it then hung up or refused: a verdict alone tells the two apart.
        assert len(sink.taken()) <= 1


@pytest.mark.parametrize(
    "flags",
    ((), ("-e",), ("-p",), ("-8",), ("-E",), ("-a",), ("-w", "1"), ("-W", "MAIL:1"), ("-m", "1"), ("-T", "1024")),
    ids=lambda flags: " ".join(flags) or "none",
)
async def test_a_server_with_these_habits_gets_every_message_once(
    folder: Path, relays: Relays, flags: tuple[str, ...]
) -> None:
    async with smtp_sink(folder, *flags) as sink:
        # Where the sink delays one reply it answers what was written ahead out of order.
        relay = relays.at(sink.port, timeouts=Timeouts(), connections=1, pipelining="-W" not in flags)
        for _ in range(3):
            report = await send(relay, ANN, BOB)
            assert kinds(report) == [A, A], said(report)
        taken = sink.taken()
        assert len(taken) == 3
        assert all(text.count("X-Rcpt-Args:") == 2 for text in taken)
        assert relay.facts().opens == 1


async def test_many_messages_over_many_connections_arrive_once_each(folder: Path, relays: Relays) -> None:
    async with smtp_sink(folder) as sink:
        relay = relays.at(sink.port, connections=20)
        reports = await asyncio.gather(*(send(relay, ANN) for _ in range(500)))
        assert {kind for report in reports for kind in kinds(report)} == {A}
        assert len(sink.taken()) == 500
        assert relay.facts().opens <= 20


async def test_a_message_aborted_by_the_server_halfway_is_certain(folder: Path, relays: Relays) -> None:
    async with smtp_sink(folder, "-A", "0") as sink:
        report = await send(relays.at(sink.port, timeouts=QUICK), ANN, BOB)
        assert kinds(report) == [P, P], said(report)
        assert sink.taken() == []
