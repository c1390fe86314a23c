"""Whatever the SMTP library raises while a session opens, and wherever, becomes one verdict: the relay's trouble."""

from __future__ import annotations

import asyncio
import errno
import inspect
import ssl
from collections.abc import Callable
from functools import partial

import aiosmtplib
import pytest
from aiosmtplib import errors

from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.verdict import STAGES, Kind, Stage
from tests.support.smtp_relays import Authority, Relays, kinds, send
from tests.support.smtp_server import SmtpServer

CLASSES = tuple(
    kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SMTPException)
)
STEPS = {
    "connect": Stage.GREETING,
    "ehlo": Stage.EHLO,
    "starttls": Stage.TLS,
    "auth_plain": Stage.AUTH,
}


def made(kind: type[errors.SMTPException]) -> errors.SMTPException:
    """An error of this class, with whatever it takes to make one."""
    if kind is errors.SMTPRecipientsRefused:
        return kind([errors.SMTPRecipientRefused(550, "5.1.1 no", "ann@x.test")])
    if issubclass(kind, (errors.SMTPSenderRefused, errors.SMTPRecipientRefused)):
        return kind(550, "5.7.1 no", "ann@x.test")
    if issubclass(kind, errors.SMTPResponseException):
        return kind(550, "5.7.1 no")
    return kind("it failed")


def untrusted() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "self-signed certificate"
    return error


OF_THE_LIBRARY: tuple[Callable[[], BaseException], ...] = tuple(partial(made, kind) for kind in CLASSES)
OF_THE_SYSTEM: tuple[Callable[[], BaseException], ...] = (
    lambda: OSError(errno.EHOSTUNREACH, "no route to host"),
    lambda: ConnectionResetError(errno.ECONNRESET, "reset"),
    TimeoutError,
    lambda: ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"),
    untrusted,
)
CASES = (
    *((failure, step) for failure in OF_THE_LIBRARY for step in STEPS),
    # Connecting, the library wraps those of the system into its own.
    *((failure, step) for failure in OF_THE_SYSTEM for step in STEPS if step != "connect"),
)


def test_the_library_has_all_the_classes_it_had() -> None:
    """Fewer would mean that the others are looked for in the wrong place."""
    assert len(CLASSES) >= 14


@pytest.mark.parametrize(
    ("failure", "step"), CASES, ids=[f"{type(failure()).__name__}-{step}" for failure, step in CASES]
)
async def test_every_error_of_the_library_at_every_step_is_relay_trouble_at_that_stage(
    authority: Authority,
    relays: Relays,
    monkeypatch: pytest.MonkeyPatch,
    failure: Callable[[], BaseException],
    step: str,
) -> None:
    usual = getattr(aiosmtplib.SMTP, step)

    async def fail(client: aiosmtplib.SMTP, *given: object, **named: object) -> None:
        # Connecting for real first: the library has the socket whenever it fails.
        await (usual(client, *given, **named) if step == "connect" else asyncio.sleep(0))
        raise failure()

    async with SmtpServer(tls="starttls", context=authority.context(), users={"hub": "s3cret"}) as server:
        relay = relays.to(server, ca=authority.file, user="hub", password="s3cret")
        with monkeypatch.context() as patch:
            patch.setattr(aiosmtplib.SMTP, step, fail)
            if step == "ehlo":
                patch.setattr(aiosmtplib.SMTP, "helo", fail)
            report = await send(relay, "ann@x.test", "bob@x.test")
        assert kinds(report) == [Kind.RELAY, Kind.RELAY]
        assert report.verdicts[0].stage in stages_of(step, failure())
        assert report.verdicts[0].text
        assert not server.messages
        assert relay.facts().open == 0
        assert "".join(line.text for line in report.transcript).count("s3cret") == 0


def stages_of(step: str, failure: BaseException) -> set[Stage]:
    """Opening covers the greeting and, where TLS comes first, its handshake; TLS can also break later."""
    tls = step == "connect" or isinstance(failure, ssl.SSLError)
    return {STEPS[step], Stage.TLS} if tls else {STEPS[step]}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_has_a_verdict_with_and_without_a_reply(stage: Stage) -> None:
    for code in (-1, 250, 354, 421, 450, 550):
        assert judge(stage, Reply(code, "", "said")).stage is stage
    for body_sent in (False, True):
        assert judge_failure(stage, "lost", body_sent=body_sent).kind is (Kind.UNKNOWN if body_sent else Kind.RELAY)


async def test_a_cancelled_opening_is_no_verdict_but_a_cancellation(server: SmtpServer, relays: Relays) -> None:
    server.on("CONNECT", hold=asyncio.Event())
    relay = relays.to(server)
    task = asyncio.create_task(send(relay))
    await server.wait_for_sessions(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert relay.facts().open == 0
