"""One SMTP transaction (RFC 5321 §3.3): MAIL, RCPT, DATA, body and dot, with a verdict for every recipient.

Where the server offers PIPELINING (RFC 2920), everything up to DATA goes out in one write: two round trips instead of
three and one per recipient.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from emailhub.adapters.smtp.options import SmtpOptions
from emailhub.adapters.smtp.session import Connection
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import WireError, stuffed
from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.verdict import Envelope, Kind, Progress, Stage, Verdict

_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0<>\u2028\u2029\ud800-\udfff]")
BeforeBody = Callable[[], Awaitable[None]] | None


class Outcome(Struct, frozen=True):
    """A verdict per recipient asked for. `close`: why the connection must go, "" when it may be used again.

    `stale`: the connection turned out to be dead or dismissed before the server took up this message.
    """

    verdicts: tuple[Verdict, ...]
    close: str = ""
    stale: bool = False


class _Ended(Exception):
    """The transaction is over; every recipient without a verdict gets `verdict`."""

    def __init__(self, verdict: Verdict, close: str = "", *, stale: bool = False) -> None:
        super().__init__(verdict.text)
        self.verdict = verdict
        self.close = close
        self.stale = stale


class Transaction:
    """Carries `envelope` to `recipients` (some or all of its own) over `connection`. Use once."""

    def __init__(
        self,
        connection: Connection,
        envelope: Envelope,
        recipients: Sequence[str],
        *,
        options: SmtpOptions,
        progress: Progress,
        log: Transcript,
        before_body: BeforeBody,
    ) -> None:
        self._wire = connection.wire
        self._extensions = connection.extensions
        self._envelope = envelope
        self._recipients = recipients
        self._timeouts = options.timeouts
        self._progress = progress
        self._log = log
        self._before_body = before_body
        self._pipelined = options.pipelining and "pipelining" in connection.extensions
        self._verdicts: list[Verdict | None] = [None] * len(recipients)
        self._body_sent = False
        self._begun = False
        self._stage = Stage.MAIL

    async def run(self) -> Outcome:
        """Raises only what `before_body` raises, and CancelledError; the connection is then in no known state."""
        try:
            return await self._run()
        except _Ended as end:
            return await self._ended(end)

    async def _run(self) -> Outcome:
        self._enter(Stage.MAIL)
        self._refuse_what_cannot_go()
        self._write_ahead()
        await self._mail()
        await self._rcpt()
        await self._data()
        await self._body()
        return await self._final()

    # Before a byte is sent.

    def _refuse_what_cannot_go(self) -> None:
        envelope = self._envelope
        if envelope.sender and _UNSAFE.search(envelope.sender):
            raise _Ended(_impossible("the sender's address has a character that no SMTP command may carry"))
        limit = self._extensions.get("size", "")
        if limit.isdecimal() and 0 < int(limit) < len(envelope.content):
            raise _Ended(
                _impossible(
                    f"the message has {len(envelope.content):,} bytes and the relay takes {int(limit):,} at most (SIZE)"
                )
            )
        for index, address in enumerate(self._recipients):
            if _UNSAFE.search(address):
                self._verdicts[index] = _impossible("the address has a character that no SMTP command may carry")
        if "smtputf8" not in self._extensions:
            self._refuse_what_needs_smtputf8()
        if all(self._verdicts):
            raise _Ended(self._first_verdict())

    def _refuse_what_needs_smtputf8(self) -> None:
        envelope = self._envelope
        if not envelope.sender.isascii() or (envelope.smtputf8 and not envelope.content.isascii()):
            raise _Ended(_impossible("the message needs SMTPUTF8 (RFC 6531), which the relay does not offer"))
        for index, address in enumerate(self._recipients):
            if not address.isascii():
                self._verdicts[index] = _impossible(
                    "the address needs SMTPUTF8 (RFC 6531), which the relay does not offer"
                )

    # The commands.

    def _commands(self) -> list[str]:
        return [self._mail_command(), *(f"RCPT TO:<{self._recipients[i]}>" for i in self._open()), "DATA"]

    def _mail_command(self) -> str:
        envelope = self._envelope
        parts = [f"MAIL FROM:<{envelope.sender}>"]
        if "size" in self._extensions:
            parts.append(f"SIZE={len(envelope.content)}")
        if "smtputf8" in self._extensions and self._international:
            parts.append("SMTPUTF8")
        if "8bitmime" in self._extensions and not envelope.content.isascii():
            parts.append("BODY=8BITMIME")
        return " ".join(parts)

    @property
    def _international(self) -> bool:
        addresses = (self._envelope.sender, *self._recipients)
        return self._envelope.smtputf8 or not all(address.isascii() for address in addresses)

    def _write_ahead(self) -> None:
        if not self._pipelined:
            return
        commands = self._commands()
        self._write("".join(f"{command}\r\n" for command in commands), len(commands))
        for command in commands:
            self._log.client(command)

    async def _ask(self, stage: Stage, command: str) -> Reply:
        self._enter(stage)
        if not self._pipelined:
            self._write(f"{command}\r\n", 1)
            self._log.client(command)
        reply = await self._reply(self._timeouts.command)
        self._log.server(reply)
        return reply

    def _write(self, text: str, replies: int) -> None:
        try:
            self._wire.command(text.encode("utf-8"), replies)
        except WireError as error:
            raise self._failure(error) from error
        self._begun = True

    async def _reply(self, timeout: float) -> Reply:
        try:
            return await self._wire.reply(timeout)
        except WireError as error:
            raise self._failure(error) from error

    def _failure(self, error: WireError) -> _Ended:
        stage = self._stage
        self._log.note(str(error))
        verdict = judge_failure(stage, f"{error} (at {stage.value})", body_sent=self._body_sent)
        return _Ended(verdict, f"lost at {stage.value}", stale=stage is Stage.MAIL)

    # The steps.

    async def _mail(self) -> None:
        reply = await self._ask(Stage.MAIL, self._mail_command())
        if reply.code // 100 != 2:
            await self._refused(Stage.MAIL, reply, stale=reply.code == 421)

    async def _rcpt(self) -> None:
        for index in self._open():
            reply = await self._ask(Stage.RCPT, f"RCPT TO:<{self._recipients[index]}>")
            if _why_over(reply, Stage.RCPT):
                await self._refused(Stage.RCPT, reply)
            if reply.code // 100 != 2:
                self._verdicts[index] = judge(Stage.RCPT, reply)
        if not self._open():
            await self._nobody_left()

    async def _nobody_left(self) -> None:
        if not self._pipelined:
            raise _Ended(self._first_verdict())
        reply = await self._ask(Stage.DATA, "DATA")
        # After a go-ahead only an empty message could follow; a closed connection is the surer way to send none.
        raise _Ended(
            self._first_verdict(), "go-ahead for nobody" if reply.code == 354 else _why_over(reply, Stage.DATA)
        )

    async def _data(self) -> None:
        reply = await self._ask(Stage.DATA, "DATA")
        if reply.code != 354:
            await self._refused(Stage.DATA, reply)

    async def _refused(self, stage: Stage, reply: Reply, *, stale: bool = False) -> None:
        verdict = judge(stage, reply)
        close = _why_over(reply, stage)
        if not close and reply.code // 100 not in {4, 5}:
            # A success where none fits: the next reply would be paired with the wrong command, perhaps with the dot.
            close = f"{reply.code} at {stage.value}"
        if not close and self._pipelined and stage is Stage.MAIL:
            close = await self._answers_to_the_rest()
        raise _Ended(verdict, close, stale=stale)

    async def _answers_to_the_rest(self) -> str:
        """Read what answers the commands written ahead after a refused MAIL; "" when the conversation can go on."""
        last = Reply(-1)
        try:
            for _ in range(len(self._open()) + 1):
                last = await self._wire.reply(self._timeouts.reset)
                self._log.server(last)
        except WireError as error:
            self._log.note(str(error))
            return "lost after a refusal"
        return "go-ahead after a refusal" if last.code == 354 else _why_over(last, Stage.DATA)

    async def _body(self) -> None:
        if self._before_body is not None:
            await self._before_body()
        self._enter(Stage.BODY)
        try:
            await self._wire.body(stuffed(self._envelope.content), self._timeouts.command, self._about_to_end)
        except WireError as error:
            raise self._failure(error) from error
        self._log.client(f"{len(self._envelope.content):,} bytes of message, then the dot")

    def _about_to_end(self) -> None:
        self._enter(Stage.FINAL)
        self._body_sent = self._progress.body_sent = True

    async def _final(self) -> Outcome:
        reply = await self._reply(self._timeouts.final)
        self._log.server(reply)
        verdict = judge(self._stage, reply)
        sent_whole = self._body_sent and reply.code // 100 in {2, 4, 5} and reply.code != 421
        return Outcome(self._settled(verdict), "" if sent_whole else f"{reply.code} at {verdict.stage.value}")

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        # A second transaction for the recipients left over does not make the first one undone.
        if not self._progress.body_sent:
            self._progress.stage = stage

    # The end.

    async def _ended(self, end: _Ended) -> Outcome:
        close = end.close or (await self._reset() if self._begun else "")
        return Outcome(self._settled(end.verdict), close, end.stale)

    async def _reset(self) -> str:
        """Clear the server's mind; what happens here changes no verdict. "" when the connection may be used again."""
        try:
            self._wire.command(b"RSET\r\n")
            self._log.client("RSET")
            reply = await self._wire.reply(self._timeouts.reset)
        except WireError as error:
            self._log.note(str(error))
            return "lost at RSET"
        self._log.server(reply)
        return "" if reply.code == 250 else f"{reply.code} at RSET"

    def _open(self) -> list[int]:
        return [index for index, verdict in enumerate(self._verdicts) if verdict is None]

    def _first_verdict(self) -> Verdict:
        return next(verdict for verdict in self._verdicts if verdict is not None)

    def _settled(self, verdict: Verdict) -> tuple[Verdict, ...]:
        return tuple(own or verdict for own in self._verdicts)


def _impossible(text: str) -> Verdict:
    return Verdict(Kind.PERMANENT, Stage.MAIL, text)


def _why_over(reply: Reply, stage: Stage) -> str:
    """Why the conversation cannot go on after this reply; "" when it can."""
    return f"{reply.code} at {stage.value}" if reply.code in {421, -1} else ""
