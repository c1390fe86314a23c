"""A real Exim as a second opinion on PIPELINING and CHUNKING: mail arrives once, whoever is refused."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from emailhub.adapters.smtp import SmtpRelay, Timeouts
from emailhub.core.verdict import Envelope, Kind
from tests.support.mtas import SIZE
from tests.support.smtp_relays import Relays, kinds, said, send
from tests.support.smtp_server import SmtpServer

pytestmark = [pytest.mark.nightly]
A, T, P = Kind.ACCEPTED, Kind.TRANSIENT, Kind.PERMANENT
ways = pytest.mark.parametrize("chunking", (False, True), ids=("DATA", "BDAT"))
REFUSED, LATER, ANN, BOB = "refused@x.test", "later@x.test", "ann@x.test", "bob@x.test"


def letter(id: str, *recipients: str, text: str = ".How are you today?", lines: int = 1) -> Envelope:
    head = f"From: me@x.test\r\nTo: ann@x.test\r\nSubject: {id}\r\nMessage-ID: <{id}@x.test>\r\n\r\n"
    return Envelope(id, "me@x.test", recipients or (ANN,), head.encode() + f"{text}\r\n".encode() * lines)


def arrived(onward: SmtpServer, id: str) -> list[str]:
    """Who got message `id`, as often as they got it."""
    taken = [message for message in onward.messages if message.message_id == f"<{id}@x.test>"]
    return sorted(recipient for message in taken for recipient in message.recipients)


@pytest.fixture
def relay(relays: Relays, exim_port: int, chunking: bool) -> SmtpRelay:
    return relays.at(exim_port, timeouts=Timeouts(), chunking=chunking)


@ways
async def test_mail_arrives_once_on_a_kept_connection(relay: SmtpRelay, onward: SmtpServer, chunking: bool) -> None:
    ids = [f"once-{chunking}-{n}" for n in range(3)]
    for id in ids:
        report = await send(relay, what=letter(id))
        assert kinds(report) == [A], said(report)
        assert ("BDAT" in said(report)) == chunking
    await onward.wait_until(lambda: all(arrived(onward, id) for id in ids))
    assert [arrived(onward, id) for id in ids] == [[ANN]] * 3
    assert (relay.facts().opens, relay.facts().reuses) == (1, 2)
    body = next(m.data for m in onward.messages if m.message_id == f"<{ids[0]}@x.test>")
    assert body.endswith(b"\r\n\r\n.How are you today?\r\n")


@ways
@pytest.mark.parametrize(
    ("recipients", "outcome"),
    (
        ((REFUSED, ANN), [P, A]),
        ((ANN, REFUSED), [A, P]),
        ((ANN, LATER, BOB), [A, T, A]),
        ((REFUSED, LATER, ANN), [P, T, A]),
        ((REFUSED,), [P]),
        ((LATER, REFUSED), [T, P]),
    ),
    ids=lambda value: "-".join(v.partition("@")[0] if isinstance(v, str) else v.value for v in value),
)
async def test_who_is_refused_does_not_get_it_who_is_not_does_and_the_next_message_goes_on_the_same_connection(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool, recipients: tuple[str, ...], outcome: list[Kind]
) -> None:
    id = f"{'-'.join(r.partition('@')[0] for r in recipients)}-{chunking}"
    first, after = await send(relay, what=letter(id, *recipients)), await send(relay, what=letter(f"after-{id}"))
    assert (kinds(first), kinds(after)) == (outcome, [A]), said(first) + said(after)
    assert (relay.facts().opens, relay.facts().reuses) == (1, 1)
    wanted = sorted(r for r, kind in zip(recipients, outcome, strict=True) if kind is A)
    await onward.wait_until(lambda: bool(arrived(onward, f"after-{id}")) and len(arrived(onward, id)) >= len(wanted))
    assert arrived(onward, id) == wanted


@ways
async def test_more_recipients_than_it_takes_at_once_go_in_several_transactions(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id, everybody = f"crowd-{chunking}", [f"r{n}@x.test" for n in range(7)]
    report = await send(relay, what=letter(id, *everybody))
    assert kinds(report) == [A] * len(everybody), said(report)
    await onward.wait_until(lambda: len(arrived(onward, id)) >= len(everybody))
    assert arrived(onward, id) == sorted(everybody)


@ways
async def test_content_it_does_not_want_is_refused_for_good(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id = f"spam-{chunking}"
    first = await send(relay, what=letter(id, text="not this content"))
    after = await send(relay, what=letter(f"after-{id}"))
    assert (kinds(first), kinds(after)) == ([P], [A]), said(first) + said(after)
    await onward.wait_until(lambda: bool(arrived(onward, f"after-{id}")))
    assert arrived(onward, id) == []
    assert relay.facts().opens == 1


@ways
async def test_a_message_too_large_to_be_written_ahead_follows_the_recipients(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    report = await send(relay, what=letter(f"large-{chunking}", lines=(SIZE - 1000) // 21))
    assert kinds(report) == [A], said(report)
    await onward.wait_until(lambda: bool(arrived(onward, f"large-{chunking}")))
    assert kinds(await send(relay, what=letter(f"larger-{chunking}", lines=SIZE // 20))) == [P]


@ways
async def test_many_at_once_over_a_few_connections_arrive_once_each(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    ids = [f"many-{chunking}-{n}" for n in range(100)]
    reports = await asyncio.gather(*(send(relay, what=letter(id)) for id in ids))
    assert Counter(kind for report in reports for kind in kinds(report)) == {A: 100}
    await onward.wait_until(lambda: all(arrived(onward, id) for id in ids), timeout=60.0)
    assert Counter(len(arrived(onward, id)) for id in ids) == {1: 100}
