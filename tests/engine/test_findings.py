"""What is kept of a verdict: the server's own words, when it spoke SMTP at all."""

from __future__ import annotations

import pytest

from emailhub.core.delivery import OnUnknown, Policy, Standing
from emailhub.core.judge import judge
from emailhub.core.records import Job, JobRecipient
from emailhub.core.reply import Reply
from emailhub.core.verdict import Report, Stage
from emailhub.engine.findings import outcomes

JOB = Job(
    id="A",
    seq=1,
    attempt_id=1,
    number=1,
    relay="default",
    sender="hub@example.org",
    content=b"",
    smtputf8=False,
    on_unknown=OnUnknown.RETRY,
    expires_at=2e9,
    accepted_at=1.8e9,
    request_id=None,
    correlation_id="c",
    recipients=(JobRecipient(1, "ada@example.org", Standing()),),
)


@pytest.mark.parametrize(
    ("reply", "kept"),
    (
        (Reply(550, "5.1.1", "user unknown"), "550 5.1.1 user unknown"),
        (Reply(-1, "", "HTTP/1.1 400"), "the relay sent no SMTP reply: HTTP/1.1 400"),
    ),
)
def test_the_servers_own_words_are_kept(reply: Reply, kept: str) -> None:
    result = outcomes(
        JOB,
        Report((judge(Stage.RCPT, reply),)),
        policy=Policy(),
        now=1.8e9,
        jitter=lambda: 0.0,
        probe_at=None,
        relay_well_at=0.0,
        captured=False,
    )[0]
    assert result.text == kept
