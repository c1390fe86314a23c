"""The relay that only stores."""

from __future__ import annotations

import pytest

from emailhub.adapters.capture import CaptureRelay
from emailhub.core.verdict import Envelope, Kind, Progress, Stage

ENVELOPE = Envelope("m1", "me@x.test", ("ann@x.test", "bob@x.test"), b"Subject: x\r\n\r\n")


async def test_everything_is_accepted_at_once_for_every_recipient() -> None:
    relay, progress = CaptureRelay(capacity=7), Progress()
    report = await relay.attempt(ENVELOPE, fresh=False, progress=progress, before_body=None)
    assert [(verdict.kind, verdict.text) for verdict in report.verdicts] == [(Kind.ACCEPTED, "captured")] * 2
    assert (progress.stage, progress.body_sent) == (Stage.FINAL, True)
    assert (relay.name, relay.capacity, relay.captures) == ("capture", 7, True)


async def test_what_has_to_be_done_before_the_body_is_done_and_its_failure_comes_out() -> None:
    progress = Progress()

    async def before_body() -> None:
        assert not progress.body_sent
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        await CaptureRelay().attempt(ENVELOPE, fresh=False, progress=progress, before_body=before_body)
    assert not progress.body_sent


async def test_a_probe_is_always_well_and_there_is_nothing_to_close() -> None:
    relay = CaptureRelay()
    assert [verdict.kind for verdict in (await relay.probe(progress=Progress())).verdicts] == [Kind.ACCEPTED]
    await relay.drop_idle()
    await relay.close()
    assert relay.facts().open == 0
