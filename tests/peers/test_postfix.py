"""A real Postfix, with STARTTLS and a login, by DATA and by BDAT: mail arrives once, refusals are understood."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from emailhub.adapters.smtp import SmtpRelay, Timeouts, TlsMode
from emailhub.core.verdict import Envelope, Kind, Stage
from tests.support.mtas import LIMIT, PASSWORD, SIZE, USER
from tests.support.smtp_relays import Authority, Relays, kinds, said, send
from tests.support.smtp_server import SmtpServer

pytestmark = [pytest.mark.nightly]
A, T, P, R, S = Kind.ACCEPTED, Kind.TRANSIENT, Kind.PERMANENT, Kind.RELAY, Kind.SENDER
ways = pytest.mark.parametrize("chunking", (False, True), ids=("DATA", "BDAT"))


def letter(id: str, *recipients: str, sender: str = "me@x.test", lines: int = 1) -> Envelope:
    head = f"From: {sender}\r\nTo: ann@x.test\r\nSubject: {id}\r\nMessage-ID: <{id}@x.test>\r\n\r\n"
    return Envelope(id, sender, recipients or ("ann@x.test",), head.encode() + b".How are you today?\r\n" * lines)


def arrived(onward: SmtpServer, id: str) -> list[str]:
    """Who got message `id`, as often as they got it."""
    taken = [message for message in onward.messages if message.message_id == f"<{id}@x.test>"]
    return sorted(recipient for message in taken for recipient in message.recipients)


@pytest.fixture
def relay(relays: Relays, postfix_port: int, authority: Authority, chunking: bool) -> SmtpRelay:
    return relays.at(
        postfix_port, timeouts=Timeouts(), user=USER, password=PASSWORD, ca=authority.file, chunking=chunking
    )


@ways
async def test_mail_goes_over_tls_and_a_login_and_arrives_once(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    ids = [f"once-{chunking}-{n}" for n in range(3)]
    for id in ids:
        report = await send(relay, what=letter(id))
        assert kinds(report) == [A], said(report)
        assert ("BDAT" in said(report)) == chunking
        assert report.session.tls.startswith("TLSv1")
    await onward.wait_until(lambda: all(arrived(onward, id) for id in ids))
    assert [arrived(onward, id) for id in ids] == [["ann@x.test"]] * 3
    assert (relay.facts().opens, relay.facts().reuses) == (1, 2)
    body = next(m.data for m in onward.messages if m.message_id == f"<{ids[0]}@x.test>")
    assert body.endswith(b"\r\n\r\n.How are you today?\r\n")


@ways
async def test_many_at_once_over_a_few_connections_arrive_once_each(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    ids = [f"many-{chunking}-{n}" for n in range(200)]
    reports = await asyncio.gather(*(send(relay, what=letter(id)) for id in ids))
    assert Counter(kind for report in reports for kind in kinds(report)) == {A: 200}
    await onward.wait_until(lambda: all(arrived(onward, id) for id in ids), timeout=60.0)
    assert Counter(len(arrived(onward, id)) for id in ids) == {1: 200}
    assert relay.facts().opens <= 20


@ways
async def test_some_recipients_are_refused_and_the_others_get_it(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id = f"some-{chunking}"
    report = await send(relay, what=letter(id, "refused@x.test", "ann@x.test", "later@x.test"))
    assert kinds(report) == [P, A, T], said(report)
    await onward.wait_until(lambda: bool(arrived(onward, id)))
    assert arrived(onward, id) == ["ann@x.test"]
    assert relay.facts().idle == 1


@ways
async def test_when_all_recipients_are_refused_nothing_is_taken_and_the_next_message_goes_on_the_same_connection(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id, after = f"none-{chunking}", f"after-none-{chunking}"
    report = await send(relay, what=letter(id, "refused@x.test", "later@x.test"))
    assert kinds(report) == [P, T], said(report)
    assert kinds(await send(relay, what=letter(after))) == [A]
    await onward.wait_until(lambda: bool(arrived(onward, after)))
    assert arrived(onward, id) == []
    assert (relay.facts().opens, relay.facts().reuses) == (1, 1)


@ways
async def test_more_recipients_than_it_takes_at_once_go_in_several_transactions(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id, everybody = f"crowd-{chunking}", [f"r{n}@x.test" for n in range(2 * LIMIT + 1)]
    report = await send(relay, what=letter(id, *everybody))
    assert kinds(report) == [A] * len(everybody), said(report)
    await onward.wait_until(lambda: len(arrived(onward, id)) >= len(everybody))
    assert arrived(onward, id) == sorted(everybody)


@ways
async def test_a_message_above_its_limit_is_refused_without_asking(relay: SmtpRelay, chunking: bool) -> None:
    report = await send(relay, what=letter(f"big-{chunking}", lines=SIZE // 20))
    assert kinds(report) == [P]
    assert "SIZE" in report.verdicts[0].text
    assert "MAIL FROM" not in said(report)


@ways
async def test_a_sender_that_belongs_to_another_login_is_sender_trouble(relay: SmtpRelay, chunking: bool) -> None:
    report = await send(relay, what=letter(f"sender-{chunking}", sender="other@x.test"))
    assert kinds(report) == [S], said(report)
    assert kinds(await send(relay, what=letter(f"after-sender-{chunking}"))) == [A]


@ways
async def test_content_it_does_not_want_is_the_messages_own_fault(
    relay: SmtpRelay, onward: SmtpServer, chunking: bool
) -> None:
    id, after = f"spam-{chunking}", f"after-spam-{chunking}"
    report = await send(relay, what=letter(id))
    assert kinds(report) == [P], said(report)
    assert kinds(await send(relay, what=letter(after))) == [A]
    await onward.wait_until(lambda: bool(arrived(onward, after)))
    assert arrived(onward, id) == []


async def test_a_wrong_password_is_a_rejected_login(relays: Relays, postfix_port: int, authority: Authority) -> None:
    relay = relays.at(postfix_port, user=USER, password="wrong", ca=authority.file)
    verdict = (await send(relay, what=letter("wrong"))).verdicts[0]
    assert (verdict.kind, verdict.stage, verdict.login_rejected) == (R, Stage.AUTH, True)


async def test_without_a_login_the_relay_does_not_carry_and_nothing_is_lost(
    relays: Relays, postfix_port: int, authority: Authority
) -> None:
    relay = relays.at(postfix_port, tls=TlsMode.STARTTLS, ca=authority.file)
    report = await send(relay, what=letter("nobody", sender="stranger@x.test"))
    assert kinds(report) == [R], said(report)


async def test_a_certificate_of_another_authority_is_not_trusted(relays: Relays, postfix_port: int) -> None:
    relay = relays.at(postfix_port, user=USER, password=PASSWORD)
    verdict = (await send(relay, what=letter("untrusted"))).verdicts[0]
    assert (verdict.kind, verdict.stage) == (R, Stage.TLS)
