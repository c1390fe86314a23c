"""How slowly a server may take a body, and how slowly it may answer."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.adapters.smtp import SmtpOptions, Timeouts
from emailhub.adapters.smtp.pace import Pace
from emailhub.core.verdict import Kind, Progress, Stage
from tests.support.smtp_relays import BRIEF, Relays, envelope, kinds, send
from tests.support.smtp_server import SmtpServer

BIG = b"Subject: big\r\n\r\n" + (b"y" * 70 + b"\r\n") * 300_000


def test_who_takes_nothing_is_too_slow_after_the_grace() -> None:
    pace = Pace(60.0, 500.0, now=100.0)
    assert pace.left(0, 100.0) == 60.0
    assert pace.left(0, 159.0) == 1.0
    assert pace.left(0, 160.0) == 0.0


@given(rate=st.integers(500, 50_000), steps=st.lists(st.floats(0.1, 50.0), min_size=1, max_size=30))
def test_who_keeps_the_least_rate_is_never_too_slow(rate: int, steps: list[float]) -> None:
    pace, now, taken = Pace(60.0, 500.0, now=0.0), 0.0, 0.0
    for step in steps:
        now, taken = now + step, taken + step * rate
        assert pace.left(int(taken) + 1, now) > 0


def test_who_is_a_little_too_slow_is_found_out_in_the_end() -> None:
    pace = Pace(60.0, 500.0, now=0.0)
    lefts = [pace.left(second * 250, float(second)) for second in range(1, 130)]
    assert lefts[118] > 0 > lefts[120]


def test_speed_long_ago_is_no_excuse_for_standing_still_now() -> None:
    pace = Pace(60.0, 500.0, now=0.0)
    assert pace.left(10_000_000, 1.0) == 60.0
    assert pace.left(10_000_000, 61.0) == 0.0


@pytest.mark.parametrize("chunking", (False, True))
async def test_a_server_that_takes_a_body_too_slowly_is_given_up_and_cannot_have_it(
    relays: Relays, chunking: bool
) -> None:
    async with SmtpServer(chunking=chunking) as server:
        rule = server.on("BODY", b"", after=1, hold=asyncio.Event())
        relay, progress = relays.to(server, timeouts=Timeouts(command=0.2, min_rate=100_000_000)), Progress()
        sending = asyncio.create_task(send(relay, what=envelope(content=BIG), progress=progress))
        await rule.hit()
        (connection,) = server.open

        async def trickle() -> None:
            while connection in server.open:
                connection.transport.resume_reading()
                await asyncio.sleep(0)
                connection.transport.pause_reading()
                await asyncio.sleep(0.1)

        slowly = asyncio.create_task(trickle())
        report = await sending
        slowly.cancel()
        await asyncio.wait([slowly])
        verdict = report.verdicts[0]
        assert (verdict.kind, verdict.stage, progress.body_sent) == (Kind.RELAY, Stage.BODY, False)
        assert "slower than 100,000,000 bytes a second" in verdict.text
        assert relay.facts().closes == {"late at body": 1}


@pytest.mark.parametrize("step", ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "DOT"))
async def test_a_reply_that_drips_is_cut_at_the_deadline_of_its_stage(
    server: SmtpServer, relays: Relays, step: str
) -> None:
    server.on(step, "250 " + "a byte now and then would keep a deadline for each read alive for ever", drip=0.05)
    began = time.monotonic()
    report = await send(relays.to(server, timeouts=BRIEF), "ann@x.test")
    assert kinds(report) == [Kind.UNKNOWN if step == "DOT" else Kind.RELAY]
    assert time.monotonic() - began < 2


def test_a_least_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="least rate"):
        SmtpOptions(host="x", timeouts=Timeouts(min_rate=0))
