"""The relay that makes trouble on purpose: its trouble looks like a real relay's, and nothing leaves the hub."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from emailhub.adapters.chaos import ChaosRelay
from emailhub.core.status import ChaosStatus
from emailhub.core.verdict import STAGES, Envelope, Kind, Progress, Report, Stage
from tests.support.clock import now, virtual

ENVELOPE = Envelope("m1", "me@x.test", ("ann@x.test",), b"Subject: x\r\n\r\nHello\r\n")
MANY = Envelope("m2", "me@x.test", ("ann@x.test", "bob@x.test", "cid@x.test"), b"Subject: x\r\n\r\n")


def relay(seed: int = 1, **behaviour: float) -> ChaosRelay:
    return ChaosRelay(ChaosStatus(**behaviour), random=random.Random(seed).random)


async def attempts(chaos: ChaosRelay, count: int, envelope: Envelope = ENVELOPE) -> list[tuple[Report, Progress]]:
    done = []
    for _ in range(count):
        progress = Progress()
        done.append((await chaos.attempt(envelope, fresh=False, progress=progress, before_body=None), progress))
    return done


def kinds(report: Report) -> list[Kind]:
    return [verdict.kind for verdict in report.verdicts]


async def test_without_trouble_it_captures_with_a_conversation_like_a_real_one() -> None:
    ((report, progress),) = await attempts(relay(), 1, MANY)
    assert [(v.kind, v.text, v.stage) for v in report.verdicts] == [(Kind.ACCEPTED, "captured", Stage.FINAL)] * 3
    assert (progress.stage, progress.body_sent) == (Stage.FINAL, True)
    assert [line.text for line in report.transcript if line.side == "client"] == [
        "MAIL FROM:<me@x.test>",
        "RCPT TO:<ann@x.test>",
        "RCPT TO:<bob@x.test>",
        "RCPT TO:<cid@x.test>",
        "DATA",
        "14 bytes of message, then the dot",
    ]
    assert "nothing leaves the hub" in report.transcript[0].text
    assert report.session.id == "chaos-1"


@pytest.mark.parametrize(
    ("behaviour", "kind", "first_digit"),
    (({"transient": 1.0}, Kind.TRANSIENT, "4"), ({"permanent": 1.0}, Kind.PERMANENT, "5")),
)
async def test_a_refusal_hits_one_recipient_at_rcpt_or_all_at_the_end_and_is_in_the_transcript(
    behaviour: dict[str, float], kind: Kind, first_digit: str
) -> None:
    seen = set()
    for report, progress in await attempts(relay(**behaviour), 60, MANY):
        hit = [verdict for verdict in report.verdicts if verdict.kind is kind]
        seen.add((hit[0].stage, len(hit)))
        assert all(verdict.kind in {kind, Kind.ACCEPTED} for verdict in report.verdicts)
        assert str(hit[0].reply).startswith(first_digit)
        assert str(hit[0].reply) in [line.text for line in report.transcript if line.side == "server"]
        assert progress.stage is Stage.FINAL
    assert seen == {(Stage.RCPT, 1), (Stage.FINAL, 3)}


async def test_the_only_recipient_refused_means_that_no_body_goes() -> None:
    refused = [
        (report, progress)
        for report, progress in await attempts(relay(permanent=1.0), 30)
        if report.verdicts[0].stage is Stage.RCPT
    ]
    assert refused
    assert not any(progress.body_sent for _, progress in refused)


async def test_a_lost_connection_is_certain_before_the_dot_and_unknown_after_it_about_half_the_time_each() -> None:
    done = await attempts(relay(drop=1.0), 400)
    for report, progress in done:
        (verdict,) = report.verdicts
        assert verdict.kind is (Kind.UNKNOWN if progress.body_sent else Kind.RELAY)
        assert verdict.stage is progress.stage
        assert verdict.text == report.transcript[-1].text
    unknown = [progress for _, progress in done if progress.body_sent]
    assert 150 < len(unknown) < 250
    assert {progress.stage for _, progress in done} == {
        Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.FINAL
    }  # fmt: skip


@virtual
async def test_a_slow_one_stands_before_its_final_reply_and_is_taken_all_the_same() -> None:
    began = now()
    ((report, _),) = await attempts(relay(slow=1.0, delay=3.0), 1)
    assert now() - began == 3.0
    assert kinds(report) == [Kind.ACCEPTED]


async def test_it_behaves_as_told_from_the_next_attempt_on() -> None:
    chaos = relay()
    assert kinds((await attempts(chaos, 1))[0][0]) == [Kind.ACCEPTED]
    chaos.behave(ChaosStatus(permanent=1.0))
    assert chaos.behaviour == ChaosStatus(permanent=1.0)
    assert kinds((await attempts(chaos, 1))[0][0]) == [Kind.PERMANENT]


@pytest.mark.parametrize("behaviour", ({}, {"drop": 1.0}, {"transient": 1.0}, {"permanent": 1.0}))
async def test_what_has_to_be_done_before_the_body_is_done_before_it(behaviour: dict[str, float]) -> None:
    chaos = relay(**behaviour)
    for _ in range(40):
        progress, called = Progress(), []

        def remember(progress: Progress, called: list[bool]) -> Callable[[], object]:
            async def before_body() -> None:
                called.append(progress.body_sent)

            return before_body

        await chaos.attempt(ENVELOPE, fresh=False, progress=progress, before_body=remember(progress, called))
        assert called in ([], [False])
        assert bool(called) or STAGES.index(progress.stage) < STAGES.index(Stage.BODY)


async def test_a_probe_fails_as_often_as_connections_are_lost() -> None:
    async def verdict(chaos: ChaosRelay) -> Kind:
        (only,) = (await chaos.probe(progress=Progress())).verdicts
        return only.kind

    assert await verdict(relay(transient=1.0)) is Kind.ACCEPTED
    assert await verdict(relay(drop=1.0)) is Kind.RELAY


async def test_it_captures_and_has_nothing_to_close() -> None:
    chaos = relay()
    await chaos.drop_idle()
    await chaos.close()
    assert (chaos.name, chaos.captures, chaos.facts().open) == ("chaos", True, 0)
