"""Faults from MAIL to the final reply: who is refused, who is put off, and what nobody can know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from emailhub.core.delivery import OnUnknown
from emailhub.core.message import Mailbox, Submission
from emailhub.core.mime import build
from tests.fault_matrix.matrix import ANN, Cell, Expect, Row, Scene, all_of, depends, first, sent
from tests.fault_matrix.opening import at, mute
from tests.support.mail_line import content
from tests.support.smtp_server import EXTENSIONS, SILENCE

BIG = {"content": content("m", lines=600_000)}
"""12 MB: more than two sockets and two transports hold."""
IDLE = 6.0
"""Seconds after which the last word of a connection is too old to trust it with a body unasked."""
LONG = "\r\n".join([*("250-" + "x" * 7990 for _ in range(4)), "250 2.0.0 Ok"])
ENDLESS = b"451-" + b"x" * 200_000
HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"

unanswered = all_of("unknown", "failure", kept=False)
unanswered_but_taken = all_of("unknown", "failure", kept=False, taken=True)
broken = all_of("trouble", "failure", kept=False)
rebuffed = all_of("trouble", "failure")
after_a_body = depends(fresh_data=broken, pooled_data=broken, chunked=unanswered)


def unheard(expect: Callable[[Cell], Expect], rcpts: int = 0) -> Callable[[Cell], Expect]:
    """The same, but what was written ahead is not read beyond so many recipients."""
    return lambda cell: expect(cell)._replace(rcpts=rcpts)


def at_content(reply: str | bytes, **how: Any) -> Callable[[Scene], None]:
    """A server that answers so to DATA, or to the chunk."""
    return lambda scene: scene.line.server.on("BDAT" if scene.cell.chunked else "DATA", reply, **how) and None


def at_first(reply: str | bytes, **how: Any) -> Callable[[Scene], None]:
    """A server that answers so to the first recipient."""
    return at("RCPT", reply, to=ANN, **how)


async def lost_when_idle(scene: Scene) -> None:
    """A server that drops, at MAIL, a connection it was silent on for a while."""
    if scene.cell.pooled:
        await asyncio.sleep(IDLE)
        scene.line.server.on("MAIL", SILENCE, close="rst", times=1)


def last_one(scene: Scene) -> None:
    """A server that takes all recipients but the last in one transaction."""
    scene.line.server.on("RCPT", "452 4.5.3 Error: too many recipients", to=scene.cell.recipients[-1], times=1)


def in_two(cell: Cell) -> Expect:
    if not cell.many:
        return all_of("transient")(cell)
    return sent(cell, rcpts=cell.n + 1)._replace(taken=(cell.recipients[:-1], cell.recipients[-1:]))


def nobody(scene: Scene) -> None:
    """A server that refuses every recipient, the first for good, the others for now."""
    scene.line.server.on("RCPT", "550 5.1.1 unknown", to=ANN)
    scene.line.server.on("RCPT", "450 4.2.1 busy")


def garbled(cell: Cell) -> Expect:
    """The first recipient's reply was none; a server that has the content may have sent it to the others."""
    others = cell.recipients[1:]
    return unanswered(cell)._replace(taken=(others,) if others else ()) if cell.chunked else broken(cell)


def nobody_but_go_ahead(scene: Scene) -> None:
    """The same, and it wants the content all the same."""
    nobody(scene)
    scene.line.server.on("DATA", "354 go ahead")
    scene.line.server.on("DOT", "554 5.5.1 nobody to send it to")


def refused_or_put_off(cell: Cell) -> Expect:
    return Expect(("refused", *("transient" for _ in cell.recipients[1:])), "well", kept=True, taken=(), rcpts=cell.n)


def dismissed(scene: Scene) -> None:
    """A server that says farewell on the connections nobody uses."""
    for connection in list(scene.line.server.open):
        connection.transport.write(b"421 4.4.2 idle for too long\r\n")
        connection.end("fin")


def silent_at_rset(scene: Scene) -> None:
    scene.line.server.on("MAIL", "451 4.3.0 not now")
    scene.line.server.on("RSET", SILENCE)


def without(*names: str) -> Callable[[Scene], None]:
    """A server that does not offer these."""

    def fault(scene: Scene) -> None:
        for name in names:
            scene.line.server.offer(name, offered=False)

    return fault


def all_offered(scene: Scene) -> None:
    for name in EXTENSIONS:
        scene.line.server.offer(name, offered=True)


def small(scene: Scene) -> None:
    """A server that takes no message of more than 20 bytes."""
    without("SIZE 26214400")(scene)
    scene.line.server.offer("SIZE 20", offered=True)


def nothing_said(scene: Scene) -> None:
    assert not scene.line.commands("MAIL")


def as_it_was(scene: Scene) -> None:
    assert scene.line.server.messages[-1].data == content("m")


def short_lines(scene: Scene) -> None:
    data = scene.line.server.messages[-1].data
    assert data == UNFOLDED["content"]
    assert max(map(len, data.split(b"\r\n"))) <= 998
    assert data.isascii()


UNFOLDED = {
    "content": build(
        Submission(
            to=(Mailbox(ANN, "ä" * 300),),
            subject="long " * 180 + "ü" * 90,
            text="x" * 5000 + "\n.\nß" + "y" * 2000,
            headers=(("X-Long", "word " * 500),),
        ),
        sender=Mailbox("hub@example.org"),
        message_id="<m@x.test>",
        date=1_800_000_000.0,
        boundary="b",
    )
}


def first_needs_utf8(cell: Cell) -> Expect:
    return first("refused")(cell)._replace(rcpts=cell.n - 1)


ROWS = (
    # MAIL
    Row("MAIL that is put off", at("MAIL", "451 4.3.0 not now"), all_of("transient")),
    Row("MAIL that is refused", at("MAIL", "552 5.3.4 Message size exceeds fixed limit"), all_of("refused")),
    Row("a sender that may not send here", at("MAIL", "550 5.7.1 not from you"), all_of("sender")),
    Row("a sender whose domain is not found", at("MAIL", "450 4.1.8 Domain not found"), all_of("sender")),
    Row("a relay that throttles", at("MAIL", "454 4.7.0 Throttling failure: Maximum sending rate exceeded."), rebuffed),
    Row("a quota that is used up", at("MAIL", "550 5.4.5 Daily user sending limit exceeded."), rebuffed),
    Row("a login wanted after all", at("MAIL", "530 5.7.0 Authentication Required."), rebuffed),
    Row(
        "a farewell at MAIL", at("MAIL", "421 4.7.0 later", close="fin"),
        unheard(broken),
    ),
    Row(
        "a farewell at MAIL on one connection", at("MAIL", "421 4.7.0 later", close="fin", times=1),
        lambda cell: sent(cell) if cell.pooled else unheard(broken)(cell),
    ),
    Row(
        "a connection lost at MAIL", at("MAIL", SILENCE, close="rst", times=1),
        depends(fresh_data=unheard(broken), pooled_data=sent, chunked=unheard(unanswered)),
    ),
    Row(
        "a kept connection lost at MAIL after a silence", lost_when_idle,
        sent,
    ),
    Row("silence at MAIL", mute("MAIL"), unheard(after_a_body)),
    Row(
        "a reply to MAIL that drips a byte a minute", at("MAIL", "250 2.1.0 Ok", drip=59.0),
        unheard(after_a_body),
    ),
    Row("no SMTP in reply to MAIL", at("MAIL", HTTP), after_a_body),
    Row("a reply to MAIL without end", at("MAIL", ENDLESS), after_a_body),
    Row("a refusal and silence at RSET", silent_at_rset, all_of("transient", kept=False)),
    Row("a farewell on an idle connection", dismissed, sent),
    Row("an idle connection that is reset", lambda scene: scene.line.server.cut(), sent),
    # RCPT
    Row("a recipient that is greylisted", at_first("450 4.7.1 Greylisted, wait 5 minutes"), first("greylisted")),
    Row("a recipient that is put off", at_first("450 4.2.1 busy"), first("transient")),
    Row("a recipient that does not exist", at_first("550 5.1.1 unknown"), first("refused")),
    Row("a recipient whose mailbox is full", at_first("452 4.2.2 Mailbox full"), first("transient")),
    Row("recipients whose owner wants no mail from us", at("RCPT", "550 5.7.1 Blocked by policy"), all_of("refused")),
    Row("recipients who are refused or put off", nobody, refused_or_put_off),
    Row(
        "a go-ahead although everybody was refused", nobody_but_go_ahead,
        refused_or_put_off,
    ),
    Row("a relay that does not carry for us", at_first("554 5.7.1 Relay access denied"), first("trouble", "failure")),
    Row("a limit on recipients over time", at("RCPT", "450 4.7.1 Error: too many recipients from 1.2.3.4"), rebuffed),
    Row("more recipients than go in one transaction", last_one, in_two),
    Row("a farewell at the first recipient", at_first("421 4.7.0 later", close="fin"), unheard(broken, 1)),
    Row("a connection lost at the first recipient", at_first(SILENCE, close="rst"), unheard(after_a_body, 1)),
    Row("silence at the first recipient", mute("RCPT", to=ANN), unheard(after_a_body, 1)),
    Row("no SMTP in reply to the first recipient", at_first(HTTP), garbled),
    Row("a transient code with a permanent enhanced one", at_first("450 5.1.1 unknown"), first("transient")),
    Row("a permanent code with a transient enhanced one", at_first("550 4.2.2 full"), first("refused")),
    Row("a refusal without an enhanced code", at_first("550 no such user"), first("refused")),
    Row("a refusal without a text", at_first(b"550\r\n"), first("refused")),
    # The content
    Row("content that is put off", at_content("451 4.3.0 not now"), all_of("transient")),
    Row("content that is refused", at_content("554 5.6.0 no"), all_of("refused")),
    Row("a farewell at the content", at_content("421 4.7.0 later", close="fin"), broken),
    Row("a connection lost at the content", at_content(SILENCE, close="rst"), after_a_body),
    Row(
        "a refusal right after the go-ahead", at("DATA", b"354 go ahead\r\n550 5.7.1 not this\r\n"),
        lambda cell: sent(cell) if cell.chunked else all_of("refused", kept=False)(cell),
    ),
    Row(
        "a farewell right after the go-ahead", at("DATA", b"354 go ahead\r\n421 4.3.2 going down\r\n"),
        lambda cell: sent(cell) if cell.chunked else broken(cell),
    ),
    Row(
        "a refusal in the middle of the content", at("BODY", "552 5.3.4 enough", after=1000),
        all_of("refused", kept=False), message=BIG,
    ),
    Row(
        "a connection lost in the middle of the content", at("BODY", SILENCE, after=1000, close="rst"), broken,
        message=BIG,
    ),
    Row(
        "a server that reads no more in the middle of the content", mute("BODY", after=1000),
        broken, message=BIG, slow=True,
    ),
    # The end
    Row("a final reply that is lost", at("DOT", SILENCE, close="fin", taken=True), unanswered_but_taken),
    Row("a connection lost before the final reply", at("DOT", SILENCE, close="rst"), unanswered),
    Row("a final reply that never comes", at("DOT", SILENCE), unanswered),
    Row("a final reply that drips a byte a minute", at("DOT", "250 2.0.0 Ok: queued", drip=59.0), unanswered),
    Row("a final reply that is none", at("DOT", b"whatever\r\n", taken=True), unanswered_but_taken),
    Row("a final reply without end", at("DOT", ENDLESS, taken=True), unanswered_but_taken),
    Row("a message put off at its end", at("DOT", "451 4.3.0 not now"), all_of("transient")),
    Row("a message refused at its end", at("DOT", "554 5.7.1 spam"), all_of("refused")),
    Row(
        "a message whose sender is refused at its end",
        at("DOT", "554 Message rejected: Email address is not verified."), all_of("sender"),
    ),
    Row("a relay that throttles at the end", at("DOT", "454 Throttling failure: Daily quota exceeded."), rebuffed),
    Row("a farewell at the end", at("DOT", "421 4.4.2 later", close="fin"), broken),
    Row("a connection reset right after it was accepted", at("DOT", close="rst"), lambda cell: sent(cell, kept=False)),
    Row("a final reply of many long lines", at("DOT", LONG), sent),
    Row("a final reply without a text", at("DOT", b"250\r\n"), sent),
    Row("a final reply with a contradicting enhanced code", at("DOT", "250 5.0.0 taken all the same"), sent),
    Row("a final reply after nine minutes", at("DOT", delay=540.0), lambda cell: sent(cell, kept=False)),
    Row(
        "a final reply that is lost where the sender wants it held", at("DOT", SILENCE, close="fin", taken=True),
        all_of("held", "failure", kept=False, taken=True), message={"on_unknown": OnUnknown.HOLD},
    ),
    Row(
        "a final reply that is lost where the sender wants no second try", at("DOT", SILENCE, close="fin", taken=True),
        all_of("failed", "failure", kept=False, taken=True), message={"on_unknown": OnUnknown.FAIL},
    ),
    # What the server lacks, and what the message is
    Row("no PIPELINING", without("PIPELINING"), sent, opening=True, heal=all_offered),
    Row("no 8BITMIME", without("8BITMIME"), sent, opening=True, heal=all_offered, check=as_it_was),
    Row("no enhanced codes", without("ENHANCEDSTATUSCODES"), sent, opening=True, heal=all_offered),
    Row("a message above the advertised size", small, all_of("refused", rcpts=0), opening=True, check=nothing_said),
    Row(
        "an address that needs SMTPUTF8 where it is not offered", without("SMTPUTF8"), first_needs_utf8, opening=True,
        heal=all_offered, message={"to": ("jörg@x.test",), "smtputf8": True},
    ),
    Row("lines that are too long for SMTP", lambda _: None, sent, message=UNFOLDED, check=short_lines),
)  # fmt: skip
