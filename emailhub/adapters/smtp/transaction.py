"""One SMTP transaction (RFC 5321 §3.3): MAIL, RCPT, the body, and a verdict for every recipient.

Where the server offers PIPELINING (RFC 2920), everything up to DATA goes out in one write: two round trips instead of
three and one per recipient. Where it offers CHUNKING too (RFC 3030), the body may ride in that same write: one round
trip. Everything is then handed over before a word is heard, so a connection that turns out dead leaves the outcome
unknown; that is done only for messages that may be sent again, and on a connection that answered a moment ago.
"""

from __future__ import annotations

from collections.abc import Sequence

from emailhub.adapters.smtp import command
from emailhub.adapters.smtp.body import chunk, lines, outgoing
from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.outcome import Ended, Outcome, Task, why_broken, why_over
from emailhub.adapters.smtp.wire import CHUNK, WireError
from emailhub.core.judge import judge, judge_failure
from emailhub.core.reply import Reply
from emailhub.core.verdict import Stage, Verdict

ANSWERED_LATELY = 5.0
"""Seconds after its last answer in which a connection is trusted to be alive without asking."""
LARGEST_AHEAD = CHUNK
"""Bytes of a body that are worth risking for nothing before the recipients are accepted."""


class Transaction:
    """Carries `envelope` to the recipients `due` (indexes of some or all of its own) over `connection`. Use once."""

    __slots__ = (
        "_ahead", "_before_body", "_begun", "_body_sent", "_chunked", "_chunking", "_connection", "_envelope", "_limit",
        "_log", "_offers", "_open", "_pipelined", "_progress", "_stage", "_timeouts", "_verdicts", "_wire",
    )  # fmt: skip

    def __init__(self, connection: Connection, task: Task, due: Sequence[int]) -> None:
        self._connection = connection
        self._wire = connection.wire
        self._offers = offers = connection.offers
        self._envelope = task.envelope
        self._open = list(due)
        self._timeouts = task.options.timeouts
        self._limit = self._timeouts.command
        self._chunking = task.chunking
        self._progress = task.progress
        self._log = task.log
        self._before_body = task.before_body
        self._pipelined = offers.pipelining and task.options.pipelining
        self._chunked = offers.chunking and task.chunking.usable
        self._verdicts: dict[int, Verdict] = {}
        self._ahead = False
        self._body_sent = False
        self._begun = False
        self._stage = Stage.MAIL

    async def run(self) -> Outcome:
        """Raises only what `before_body` raises, and CancelledError; the connection is then in no known state."""
        try:
            self._begin()
            if not self._pipelined or not await self._all_as_hoped():
                await self._mail()
                await self._rcpt()
                if not self._chunked:
                    await self._data()
            if not self._ahead:
                await self._body()
            return await self._final()
        except WireError as error:
            return await self._ended(self._broken(error))
        except Ended as end:
            return await self._ended(end)

    def _begin(self) -> None:
        progress = self._progress
        progress.body_sent = False
        for index in self._open:
            progress.settled.pop(index, None)
        self._log.enter(Stage.MAIL)
        self._enter(Stage.MAIL)
        self._refuse_what_cannot_go()
        if self._pipelined:
            self._write_ahead()

    def _refuse_what_cannot_go(self) -> None:
        for index, verdict in command.obstacles(self._envelope, self._open, self._offers).items():
            self._settle(index, verdict)
        if not self._open:
            raise Ended(self._first_verdict())

    # Written ahead.

    def _write_ahead(self) -> None:
        addresses = self._envelope.recipients
        text, replies = command.mail(self._envelope, self._offers), 1 + len(self._open)
        for index in self._open:
            text += f"\r\n{command.rcpt(addresses[index])}"
        if not self._chunked:
            text += "\r\nDATA"
            replies += 1
        content = self._envelope.content
        small = self._chunked and len(content) <= LARGEST_AHEAD
        body = lines(content) if small and self._may_run_ahead() else b""
        if 0 < len(body) <= LARGEST_AHEAD:
            self._wire.command(b"%b\r\n%b" % (text.encode(), chunk(body)), replies + 1, self._about_to_end)
            self._ahead = True
            text = f"{text}\r\n{told_chunk(len(body))}"
        else:
            self._wire.command(f"{text}\r\n".encode(), replies)
        self._begun = True
        self._log.client(text)

    def _may_run_ahead(self) -> bool:
        quiet = self._log.now() - self._connection.answered_at
        return self._before_body is None and quiet <= ANSWERED_LATELY

    def _about_to_end(self) -> None:
        self._body_sent = self._progress.body_sent = True
        self._progress.stage = Stage.FINAL
        if self._verdicts:
            self._progress.settled.update(self._verdicts)

    # The steps.

    async def _all_as_hoped(self) -> bool:
        """Whether what was written ahead was answered together, and by yes alone; if not, each is still to be read."""
        recipients = len(self._open)
        replies = await self._wire.together(recipients + (1 if self._chunked else 2), self._limit)
        if not replies or (not self._chunked and replies[-1].code != 354):
            return False
        for index in range(recipients + 1):
            if replies[index].code // 100 != 2:
                return False
        self._log.answers(self._wire.heard(replies), recipients)
        return True

    async def _mail(self) -> None:
        if not self._pipelined:
            self._say(command.mail(self._envelope, self._offers))
        reply = self._heard() or self._noted(await self._wire.reply(self._limit))
        if reply.code // 100 != 2:
            await self._refused(Stage.MAIL, reply, stale=reply.code == 421)

    async def _rcpt(self) -> None:
        self._enter(Stage.RCPT)
        for index in self._open.copy():
            if not self._pipelined:
                self._say(command.rcpt(self._envelope.recipients[index]))
            reply = self._heard() or self._noted(await self._wire.reply(self._limit))
            if reply.code // 100 != 2:
                if why_over(reply, Stage.RCPT):
                    await self._refused(Stage.RCPT, reply)
                self._settle(index, judge(Stage.RCPT, reply))
        if not self._open:
            await self._nobody_left()

    async def _data(self) -> None:
        self._enter(Stage.DATA)
        if not self._pipelined:
            self._say("DATA")
        reply = self._heard() or self._noted(await self._wire.reply(self._limit))
        if reply.code != 354:
            await self._refused(Stage.DATA, reply)

    async def _body(self) -> None:
        if self._before_body is not None:
            await self._before_body()
        self._enter(Stage.BODY)
        content, times = self._envelope.content, self._timeouts
        data = await outgoing(content, chunked=self._chunked)
        if len(data) <= CHUNK:
            self._wire.command(data, 1, self._about_to_end)
        else:
            await self._wire.body(data, times.command, times.min_rate, self._about_to_end)
        if self._chunked:
            self._log.client(told_chunk(len(data) - data.index(b"\n") - 1))
        else:
            self._log.client(f"{len(content):,} bytes of message, then the dot")

    async def _final(self) -> Outcome:
        if self._body_sent:
            self._enter(Stage.FINAL)
        reply = self._noted(await self._wire.reply(self._timeouts.final))
        if self._chunked and self._chunk_refused(reply):
            self._progress.body_sent = False
            return Outcome(self._verdicts, "BDAT refused", unchunked=True)
        verdict = self._final_verdict(reply)
        for index in self._open:
            self._verdicts[index] = verdict
        certain = self._body_sent and reply.code // 100 in {2, 4, 5} and reply.code != 421
        return Outcome(self._verdicts, "" if certain else why_over(reply, self._stage) or "refused during the body")

    def _final_verdict(self, reply: Reply) -> Verdict:
        stray = self._wire.stray
        if self._ahead and stray is not None and stray.code != 421:
            # One answer too many: this may be the one to RCPT, and the real one be the stray.
            text = f"the relay answered {reply}, and once more than it was asked"
            return judge_failure(Stage.FINAL, text, body_sent=True)
        return judge(self._stage, reply)

    # Refusals.

    async def _refused(self, stage: Stage, reply: Reply, *, stale: bool = False) -> None:
        close = why_over(reply, stage)
        # Out of step with the whole body handed over, the message may have been taken all the same.
        astray = self._body_sent and reply.code // 100 not in {4, 5}
        verdict = judge(Stage.FINAL if astray else stage, reply)
        if not close and stage is Stage.MAIL and self._pipelined:
            self._settle_rest(verdict)
            close = await self._answers_to_the_rest()
        raise Ended(verdict, close, stale=stale)

    async def _answers_to_the_rest(self) -> str:
        """Read what answers the commands written ahead after a refused MAIL; "" when the conversation can go on."""
        taken = False
        last = Reply(-1)
        try:
            while self._wire.awaited:
                last = await self._wire.reply(self._timeouts.reset)
                self._log.server(last)
                taken = taken or last.code // 100 == 2
            if taken:
                return "out of step after a refusal"
            return await self._lone_dot() if last.code == 354 else why_over(last, Stage.DATA)
        except WireError as error:
            self._log.note(str(error))
            return "lost after a refusal"

    async def _nobody_left(self) -> None:
        """Every recipient was refused: what was written ahead is still answered, and is nobody's verdict."""
        verdict, close = self._first_verdict(), ""
        self._progress.settled.update(self._verdicts)
        if self._ahead:
            self._enter(Stage.FINAL)
            reply = self._noted(await self._wire.reply(self._limit))
            close = "out of step at final reply" if reply.code // 100 == 2 else why_over(reply, Stage.FINAL)
        elif self._pipelined and not self._chunked:
            self._enter(Stage.DATA)
            reply = self._noted(await self._wire.reply(self._limit))
            close = await self._lone_dot() if reply.code == 354 else why_over(reply, Stage.DATA)
        raise Ended(verdict, close)

    async def _lone_dot(self) -> str:
        """End at once a body that nobody is to get (RFC 2920 §3.1); the answer means nothing, only that it came."""
        self._wire.command(b".\r\n")
        self._log.client(".")
        reply = await self._wire.reply(self._timeouts.command)
        self._log.server(reply)
        self._begun = False
        return why_over(reply, Stage.DATA) if reply.code // 100 != 2 else ""

    # CHUNKING that does not work.

    def _chunk_refused(self, reply: Reply) -> bool:
        if self._chunking.refused(reply):
            self._log.note("the relay offers CHUNKING and does not do it: the message goes again, by DATA")
            return True
        if reply.code // 100 in {2, 4, 5}:
            self._chunking.worked()
        else:
            self._chunk_broke(f"it answered BDAT with {reply.text!r}")
        return False

    def _chunk_broke(self, why: str) -> None:
        self._chunking.broke(why)
        if not self._chunking.usable:
            self._log.note("CHUNKING does not seem to work here: from now on messages go by DATA")

    # The end.

    def _broken(self, error: WireError) -> Ended:
        self._log.note(str(error))
        stage, unasked = self._stage, self._wire.stray
        if stage is Stage.BODY and unasked is not None and unasked.code // 100 in {4, 5}:
            # Said right after the go-ahead, before the first byte: the body stayed here, so this is about the message.
            self._log.server(unasked)
            return Ended(judge(stage, unasked), "refused during the body")
        if self._chunked and self._body_sent and self._open:
            self._chunk_broke(str(error))
        verdict = judge_failure(
            Stage.FINAL if self._body_sent else stage, f"{error} (at {stage.value})", body_sent=self._body_sent
        )
        stale = stage is Stage.MAIL and not self._body_sent
        return Ended(verdict, why_broken(error, stage.value), stale=stale)

    async def _ended(self, end: Ended) -> Outcome:
        if end.stale:
            self._progress.body_sent = False
            return Outcome(dict.fromkeys(self._open, end.verdict) | self._verdicts, end.close, stale=True)
        self._settle_rest(end.verdict)
        close = end.close or (await self._reset() if self._begun else "")
        return Outcome(self._verdicts, close)

    async def _reset(self) -> str:
        """Clear the server's mind; what happens here changes no verdict. "" when the connection may be used again."""
        try:
            self._say("RSET")
            reply = await self._wire.reply(self._timeouts.reset)
        except WireError as error:
            self._log.note(str(error))
            return why_broken(error, "RSET")
        self._log.server(reply)
        return "" if reply.code == 250 else "refused at RSET"

    # Small things.

    def _say(self, line: str) -> None:
        self._wire.command(line.encode() + b"\r\n")
        self._begun = True
        self._log.client(line)

    def _heard(self) -> Reply | None:
        """The next reply when it is there already: answers to what was written together come together."""
        reply = self._wire.next()
        return self._noted(reply) if reply is not None else None

    def _noted(self, reply: Reply) -> Reply:
        self._log.server(reply)
        return reply

    def _enter(self, stage: Stage) -> None:
        self._stage = self._log.stage = stage
        if not self._body_sent:
            self._progress.stage = stage

    def _settle(self, index: int, verdict: Verdict) -> None:
        self._open.remove(index)
        self._verdicts[index] = verdict
        if self._body_sent:
            self._progress.settled[index] = verdict

    def _settle_rest(self, verdict: Verdict) -> None:
        for index in self._open:
            self._verdicts[index] = verdict
        self._open.clear()
        self._progress.settled.update(self._verdicts)

    def _first_verdict(self) -> Verdict:
        return next(iter(self._verdicts.values()))


def told_chunk(size: int) -> str:
    return f"BDAT {size} LAST ({size:,} bytes of message)"
