"""From a report to what is recorded: one outcome for each recipient, and one signal for the breaker."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from emailhub.core.breaker import Signal
from emailhub.core.delivery import OnUnknown, Policy, Reason, decide
from emailhub.core.judge import judge_failure
from emailhub.core.records import Job, JobRecipient, Result
from emailhub.core.verdict import STAGES, Kind, Progress, Report, Stage, Verdict


def outcomes(
    job: Job,
    report: Report,
    *,
    policy: Policy,
    now: float,
    jitter: Callable[[], float],
    probe_at: float | None,
    relay_well_at: float,
    captured: bool,
    elsewhere: bool = False,
) -> tuple[Result, ...]:
    """What becomes of each recipient of `job` after `report`; `elsewhere`: another relay may send it too."""
    results = []
    # One for all: recipients that are put off together are due together, and go in one transaction again.
    moved = jitter()
    for recipient, verdict in zip(job.recipients, report.verdicts, strict=True):
        meant = _own_trouble(recipient, verdict, relay_well_at)
        outcome = decide(
            recipient.standing,
            meant,
            on_unknown=OnUnknown(job.on_unknown),
            policy=policy,
            now=now,
            jitter=moved,
            probe_at=probe_at,
            captured=captured,
            elsewhere=elsewhere,
        )
        # The server's own words say more than our summary of them, and are what its support asks for.
        said = str(meant.reply) if meant.reply and meant.reply.code > 0 else meant.text
        results.append(Result(recipient.id, outcome, meant.kind.value, meant.stage, said, meant.reply))
    return tuple(results)


def _own_trouble(recipient: JobRecipient, verdict: Verdict, relay_well_at: float) -> Verdict:
    """Relay trouble after MAIL that only this message meets, while others get through, is the message's own.

    Without this one message that makes the relay drop the connection would be tried for ever at no cost.
    """
    alone = recipient.troubled_at is not None and relay_well_at > recipient.troubled_at
    if verdict.kind is Kind.RELAY and _at_mail(verdict.stage) and alone:
        return replace(verdict, kind=Kind.TRANSIENT)
    return verdict


def rescued(job: Job, *, policy: Policy, now: float, jitter: Callable[[], float]) -> tuple[Result, ...]:
    """What becomes of the recipients of an attempt that a crash left open after its body may have gone out."""
    text = "emailhub ended during this attempt: the mail may have been delivered"
    verdict = Verdict(Kind.UNKNOWN, Stage.FINAL, text)
    report = Report((verdict,) * len(job.recipients))
    found = outcomes(
        job, report, policy=policy, now=now, jitter=jitter, probe_at=None, relay_well_at=0.0, captured=False
    )
    return tuple(
        replace(result, outcome=replace(result.outcome, reason=Reason.RESCUED))
        if result.outcome.reason is Reason.UNKNOWN
        else result
        for result in found
    )


def cut_short(progress: Progress, recipients: int) -> Report:
    """What is known of so many recipients when an attempt is stopped in the middle."""
    if progress.body_sent:
        text = "emailhub stopped while it waited for the final reply: the mail may have been delivered"
        rest = judge_failure(Stage.FINAL, text, body_sent=True)
    else:
        rest = judge_failure(progress.stage, "emailhub stopped before this recipient's turn came", body_sent=False)
    return Report(progress.verdicts(recipients, rest))


class Health(NamedTuple):
    """What an attempt says of its relay; the cause when it is not well, and whether that came at MAIL or later."""

    signal: Signal
    cause: str
    at_mail: bool


def health_of(report: Report) -> Health:
    """What the report of an attempt with a message says of the relay's health."""
    troubles = [verdict for verdict in report.verdicts if verdict.kind is Kind.RELAY]
    if troubles:
        worst = next((verdict for verdict in troubles if verdict.login_rejected), troubles[0])
        signal = Signal.LOGIN_REJECTED if worst.login_rejected else Signal.TROUBLE
        return Health(signal, worst.text, _at_mail(worst.stage))
    unknown = next((verdict for verdict in report.verdicts if verdict.kind is Kind.UNKNOWN), None)
    if unknown is not None:
        return Health(Signal.UNKNOWN, unknown.text, at_mail=True)
    return Health(Signal.WELL, "", at_mail=True)


def _at_mail(stage: Stage) -> bool:
    return STAGES.index(stage) >= STAGES.index(Stage.MAIL)
