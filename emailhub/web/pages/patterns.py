"""`/patterns`: every component of the pages in every state, for those who change them. All of it is made up."""

from __future__ import annotations

import math
from collections.abc import Iterator

from litestar import Response, get
from litestar.types import ControllerRouterHandler
from msgspec.structs import replace

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.causes import Cause
from emailhub.core.chaos import PUTTING_OFF
from emailhub.core.delivery import Reason, State
from emailhub.core.figures import Minute
from emailhub.core.records import AttemptRecord, AttemptResult, Event, Scalar, Summary
from emailhub.core.spread import Timing, Timings
from emailhub.core.status import ChaosStatus, Flow, LimitStatus, Link, PoolFacts, RabbitStatus, RelayStatus
from emailhub.core.verdict import Line, Session
from emailhub.web.faces import GivenFaces
from emailhub.web.pages import charts, story
from emailhub.web.pages.chart import SPANS, Chart
from emailhub.web.pages.paper import GivenPaper
from emailhub.web.pages.standing import RelayView, relay_view
from emailhub.web.visit import AnyRequest

_LOGIN = "the relay rejected our login, check its user and password: 535 5.7.8 Username and Password not accepted"
_LAST = {
    State.SENT: (Reason.ACCEPTED, "250 2.0.0 Ok: queued as 4F2A"),
    State.FAILED: (Reason.REFUSED, "550 5.1.1 user unknown"),
    State.DEFERRED: (Reason.RELAY_TROUBLE, _LOGIN),
    State.HELD: (Reason.UNKNOWN, "no answer after the final dot"),
    State.CANCELED: (Reason.OPERATOR, "canceled by ada: asked for twice"),
    State.SUPPRESSED: (Reason.SUPPRESSED, "on the suppression list (refused for good)"),
}


@get("/patterns", name="patterns", include_in_schema=False)
async def patterns(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """Every component."""
    now = faces.now()
    return await paper.page(
        request,
        "patterns.html",
        flows=_FLOWS,
        rows=tuple(_rows(now)),
        relays=tuple(_relays(now)),
        rabbits=tuple(_rabbits(now)),
        charts=tuple(_charts(now)),
        causes=(Cause("550 5.1.1 user unknown", 41, "5.1.1"), Cause("552 5.2.2 mailbox full", 2, "5.2.2")),
        story=story.tell_relay(tuple(_turns(now))),
        attempt=_attempt(now),
    )


_FLOWS = (
    Flow(level="ok", headline="All mail is flowing.", sentence="1,204 sent in the last hour. Nothing waits."),
    Flow(
        level="info",
        headline="All mail is flowing. 3 messages need you.",
        sentence="Held until retried or canceled.",
        action=("See what is held", "/patterns"),
    ),
    Flow(
        level="warn",
        headline="Mail of relay gmail is carried by ses since 03:13 UTC.",
        sentence="The login was refused. Relay gmail is tried again in 0:42.",
        action=("Open relay gmail", "/patterns"),
    ),
    Flow(
        level="bad",
        headline="Mail is waiting: relay gmail refuses the login since 03:12 UTC.",
        sentence="348 messages wait, none is lost. Next try in 0:42.",
        causes=("RabbitMQ cannot be reached. Mail over HTTP goes on.", "2 messages need you."),
        action=("Try the login now", "/patterns"),
    ),
)


def _rows(now: float) -> Iterator[Summary]:
    for number, state in enumerate(State):
        reason, last = _LAST.get(state, (Reason.ACCEPTED, ""))
        waits = state in {State.QUEUED, State.SCHEDULED, State.DEFERRED}
        yield Summary(
            seq=number,
            id=f"{number:026}",
            message_id=f"<{number}@example.com>",
            state=state,
            reason=reason,
            relay="gmail",
            face="http",
            from_header="Billing <billing@example.com>",
            to_header="a.very.long.address.of.somebody@department.example.org" if number == 1 else "ada@example.org",
            recipients=3 if number == 1 else 1,
            subject=f"A message that is {state}",
            request_id=f"req-{number}",
            correlation_id="c",
            priority=1,
            accepted_at=now - 60 * number,
            scheduled_at=now + 7200 if state is State.SCHEDULED else None,
            expires_at=now + 86400,
            due_at=now + 42 if waits else None,
            final_at=None,
            changed_at=now,
            attempts=1,
            last=last,
            size=2400,
            diverted=state is State.SENT,
        )


def _relays(now: float) -> Iterator[RelayView]:
    well = RelayStatus(
        name="closed",
        host="smtp.example.com:587",
        captures=False,
        breaker=Snapshot(),
        next_probe=None,
        capacity=20,
        in_flight=3,
        pool=PoolFacts(open=12, idle=9, busy=3),
        last_sent_at=now - 4,
        limits=(LimitStatus(limit=2000, seconds=86400.0, used=1312),),
    )
    used = (LimitStatus(limit=500, seconds=3600.0, used=500, free_at=now + 1480),)
    opened = Snapshot(phase=Phase.OPEN, failures=5, since=now - 720, cause=_LOGIN, probe_at=now + 42)
    paused = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN, since=now - 900, actor="ada", note="maintenance")
    forced = Snapshot(mode=Mode.CLOSED, since=now - 60, actor="ada", note="the provider says it is up")
    everyone = (
        well,
        replace(well, name="open", breaker=opened, next_probe=now + 42, limits=()),
        replace(well, name="probing", breaker=replace(opened, phase=Phase.HALF_OPEN), limits=()),
        replace(well, name="paused", breaker=paused, limits=()),
        replace(well, name="forced", breaker=forced, limits=()),
        replace(well, name="limited", limits=used),
        replace(well, name="draining", draining=True, limits=()),
        replace(well, name="covered", breaker=opened, covered_by=("closed",), covered_since=now - 660, limits=()),
        replace(well, name="capture", captures=True, limits=()),
        replace(well, name="chaos", captures=True, chaos=ChaosStatus(transient=0.1, drop=0.02), limits=()),
    )
    for one in everyone:
        yield relay_view(one, tuple(_turns(now)) if one.name == "open" else (), now, everyone)


def _turns(now: float) -> Iterator[Event]:
    facts: dict[str, Scalar] = {"phase": "open", "mode": "auto", "text": _LOGIN, "actor": "", "note": ""}
    closed = facts | {"phase": "closed", "text": ""}
    forced: dict[str, Scalar] = {"mode": "open", "actor": "ada", "note": "maintenance", "until": now - 60_000}
    turns: tuple[tuple[float, str, dict[str, Scalar]], ...] = (
        (720, "breaker_opened", facts),
        (52_000, "breaker_closed", closed),
        (52_060, "breaker_probing", facts | {"phase": "half-open"}),
        (53_000, "breaker_opened", facts),
        (61_000, "breaker_auto", closed | {"actor": "ada"}),
        (64_000, "breaker_forced", facts | forced),
    )
    for number, (ago, kind, data) in enumerate(turns):
        yield Event(100 - number, now - ago, kind, None, "open", data)


def _rabbits(now: float) -> Iterator[RabbitStatus]:
    consuming = RabbitStatus(
        link=Link.CONSUMING, queue="email.queue", ready=12, unacked=3, consumers=1, rate_in=14.2, since=now - 9000
    )
    yield consuming
    yield replace(consuming, consumers=3, foreign_consumers=2, note="x-max-length differs from what was asked for")
    for link, detail in (
        (Link.PAUSED, "200,000 messages wait already"),
        (Link.BLOCKED, "RabbitMQ has a memory alarm"),
        (Link.DOWN, "connection refused (192.0.2.7:5672)"),
        (Link.REFUSED, "the user hub may not use the vhost mail"),
    ):
        yield RabbitStatus(link=link, detail=detail, queue="email.queue", since=now - 700)
    yield RabbitStatus()


def _charts(now: float) -> Iterator[Chart]:
    span, since = SPANS["1h"], now - now % 60 - 3540
    waves = [21 + round(9 * math.sin(step / 7) + 4 * math.sin(step / 2.3)) for step in range(60)]
    minutes = [
        Minute(since + 60 * step, wave, 0 if 44 < step < 50 else wave, 3 * (44 < step < 50), int(step % 9 == 0))
        for step, wave in enumerate(waves)
    ]
    steps = [
        Timing(one.at, one.sent, 0.1 + one.sent / 200, 0.4 if step < 50 else 200.0) if one.sent else Timing(one.at)
        for step, one in enumerate(minutes)
    ]
    marks = [(since + 2700, "gmail: breaker opened", "bad"), (since + 2990, "gmail: breaker closed", "ok")]
    yield charts.throughput(span, minutes, marks)
    yield charts.failures(span, minutes)
    yield charts.times(span, Timings(Timing(since, 1200, 0.19, 12.0), tuple(steps)))
    yield replace(charts.throughput(span, [Minute(one.at) for one in minutes]), name="nothing")


def _attempt(now: float) -> story.Step:
    said = str(PUTTING_OFF[0].code), PUTTING_OFF[0].text.format(to="ada@example.org")
    lines = (
        Line(0.2, "client", "MAIL FROM:<billing@example.com>"),
        Line(0.2, "client", "RCPT TO:<ada@example.org>"),
        Line(38.1, "server", "250 2.1.0 Ok"),
        Line(38.4, "server", " ".join(said)),
        Line(38.5, "note", "the connection is kept for the next message"),
    )
    record = AttemptRecord(
        id=1,
        message="0" * 26,
        number=1,
        relay="gmail",
        started_at=now - 60,
        body_at=None,
        finished_at=now - 59.9,
        counted=True,
        results=(AttemptResult("ada@example.org", "transient", "rcpt", " ".join(said), State.DEFERRED, 450),),
        transcript=lines,
        session=Session("192.0.2.25:587", "TLSv1.3", 4, "gmail-7", (("connect", 11.6), ("mail", 38.0), ("rcpt", 0.4))),
    )
    return story.tell_attempt(record, now, open=True)


HANDLERS: tuple[ControllerRouterHandler, ...] = (patterns,)
