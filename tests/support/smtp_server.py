"""A real SMTP server that does what a test tells it: refuse, stall, drip, lie, hang up at any step; fast otherwise.

In a test: `async with SmtpServer(chunking=True) as server: server.on("RCPT", "550 5.1.1 no", to="ann@x.test")`.
As a process: `python -m tests.support.smtp_server --port 2525 --log ledger.jsonl` (a JSON line per accepted message).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import json
import re
import signal
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

EXTENSIONS = ("PIPELINING", "SIZE 26214400", "8BITMIME", "ENHANCEDSTATUSCODES", "SMTPUTF8")
SILENCE = b""
"""As a rule's reply: say nothing."""
STEPS = (
    "CONNECT", "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "BDAT", "BODY", "DOT", "RSET", "NOOP", "QUIT"
)  # fmt: skip
_MESSAGE_ID = re.compile(rb"^message-id:\s*(\S+)", re.IGNORECASE | re.MULTILINE)
_END = b"\r\n.\r\n"
_BDAT = re.compile(r"(\d+)( LAST)?", re.IGNORECASE)


@dataclass
class Rule:
    """What to do at `step` instead of, or around, the usual reply.

    BODY: once `after` bytes of the message came; DOT: when all of it is there; both by DATA or BDAT. BDAT: when a chunk
    is there, the last one too; `deaf`: at once, and the chunk is read as if it were commands.

    Only for RCPT to `to`, on the `connection`-th connection, for the first `times` hits, when given. `reply` None: the
    usual one. First `hold` is awaited, then `delay` seconds; `drip` seconds between two bytes of the reply; `close` is
    "fin" or "rst" after it; `taken` records the message though no 250 was said.
    """

    step: str
    reply: str | bytes | None = None
    to: str | None = None
    connection: int | None = None
    times: int | None = None
    hold: asyncio.Event | None = None
    delay: float = 0.0
    drip: float = 0.0
    close: str = ""
    after: int = 0
    taken: bool = False
    deaf: bool = False
    hits: int = 0
    reached: asyncio.Event = field(default_factory=asyncio.Event)

    async def hit(self, timeout: float = 20.0) -> None:
        """Return once the rule was used. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            await self.reached.wait()

    def fits(self, step: str, to: str | None, connection: int) -> bool:
        return (
            step == self.step
            and (self.times is None or self.hits < self.times)
            and self.to in {None, to}
            and self.connection in {None, connection}
        )


@dataclass
class Message:
    """A message the server took responsibility for; `data` as its sender wrote it, dots unstuffed."""

    sender: str
    recipients: list[str]
    options: str
    data: bytes
    connection: int
    at: float

    @property
    def message_id(self) -> str:
        found = _MESSAGE_ID.search(self.data[:16384])
        return found[1].decode("ascii", "replace") if found else ""


@dataclass
class Session:
    """One connection: every command line it sent, in order, and what became of it."""

    number: int
    opened_at: float
    commands: list[str] = field(default_factory=list)
    user: str = ""
    tls: bool = False
    pipelined: bool = False
    body_bytes: int = 0
    quit: bool = False
    closed_at: float | None = None


class SmtpServer:
    """Listens on 127.0.0.1 (a free port unless given) and keeps what it saw.

    `pipelining` and `chunking` offer, or do not, what they are named after. `tls`: "implicit", "starttls" or "", with
    `context` (server side). `users`: AUTH is offered, and demanded, where there are any. With XOAUTH2 among the
    `mechanisms`, `tokens` are those it takes, `tokens_shown` all that came, and `challenge` the JSON that says why one
    was refused. `latency`: every turn of the client is answered that many seconds later.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        extensions: Sequence[str] = EXTENSIONS,
        pipelining: bool | None = None,
        chunking: bool | None = None,
        tls: str = "",
        context: ssl.SSLContext | None = None,
        users: dict[str, str] | None = None,
        mechanisms: str = "PLAIN LOGIN",
        latency: float = 0.0,
        keep: bool = True,
        ledger: IO[str] | None = None,
    ) -> None:
        self.host, self.port = host, port
        self.extensions, self.tls, self.context = tuple(extensions), tls, context
        self.offer("PIPELINING", pipelining)
        self.offer("CHUNKING", chunking)
        self.users, self.mechanisms, self.latency = users or {}, mechanisms, latency
        self.tokens: set[str] = set()
        self.tokens_shown: list[str] = []
        self.challenge = ""
        self.keep, self.ledger = keep, ledger
        self.rules: list[Rule] = []
        self.sessions: list[Session] = []
        self.messages: list[Message] = []
        self.count = 0
        self.open: set[_Connection] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    def offer(self, extension: str, offered: bool | None) -> None:
        """Name `extension` in EHLO, or not, from now on; None leaves it as it is."""
        if offered is not None:
            rest = tuple(name for name in self.extensions if name != extension)
            self.extensions = (*rest, extension) if offered else rest

    async def start(self) -> Self:
        """Listen; `port` is set afterwards."""
        context = self.context if self.tls == "implicit" else None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(self), self.host, self.port, ssl=context, reuse_address=True, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self, *, cut: bool = True) -> None:
        """Stop listening and cut every connection; `start` again uses the same port."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if cut:
            self.cut()
        await self.wait_until(lambda: not self.open)

    def cut(self) -> None:
        """Reset all connections."""
        for connection in list(self.open):
            connection.end("rst")

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def on(self, step: str, reply: str | bytes | None = None, **how: Any) -> Rule:
        """Add a rule (see Rule); the first one that fits is used."""
        assert step in STEPS
        rule = Rule(step, reply, **how)
        self.rules.append(rule)
        return rule

    def script(self, step: str, *replies: str | bytes | None, **how: Any) -> list[Rule]:
        """A rule for each time `step` is reached, in order; None is the usual reply. Later ones are as usual."""
        return [self.on(step, reply, times=1, **how) for reply in replies]

    async def wait_for(self, count: int, timeout: float = 20.0) -> list[Message]:
        """The messages, once there are `count` of them. Raises TimeoutError."""
        await self.wait_until(lambda: self.count >= count, timeout)
        return self.messages

    async def wait_for_sessions(self, count: int, timeout: float = 20.0) -> list[Session]:
        """The sessions, once there are `count` of them. Raises TimeoutError."""
        await self.wait_until(lambda: len(self.sessions) >= count, timeout)
        return self.sessions

    async def wait_until(self, true: Callable[[], bool], timeout: float = 20.0) -> None:
        """Return once `true()` is, looked at whenever something happens here. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while not true():
                self._changed.clear()
                await self._changed.wait()

    def changed(self) -> None:
        self._changed.set()

    def rule_for(self, step: str, to: str | None, connection: int) -> Rule | None:
        rule = next((rule for rule in self.rules if rule.fits(step, to, connection)), None)
        if rule is not None:
            rule.hits += 1
            rule.reached.set()
            self.changed()
        return rule

    def take(self, message: Message) -> None:
        self.count += 1
        if self.keep:
            self.messages.append(message)
        if self.ledger is not None:
            entry = {
                "message_id": message.message_id,
                "from": message.sender,
                "rcpts": message.recipients,
                "bytes": len(message.data),
                "connection": message.connection,
                "at": message.at,
            }
            self.ledger.write(json.dumps(entry) + "\n")
            self.ledger.flush()
        self.changed()


@dataclass
class _Chunk:
    left: int
    last: bool


class _Connection(asyncio.Protocol):
    def __init__(self, server: SmtpServer) -> None:
        self.server = server
        self.loop = asyncio.get_running_loop()
        self.buffer = bytearray()
        self.out = bytearray()
        self.blocked = False
        self.encrypting = False
        self.in_body = False
        self.chunk: _Chunk | None = None
        self.expects_login: list[str] | None = None
        self.session: Session
        self.pending: Message
        self.transport: asyncio.Transport
        self.tasks: set[asyncio.Task[None]] = set()
        self.forget()

    def forget(self) -> None:
        self.sender: str | None = None
        self.options = ""
        self.recipients: list[str] = []
        self.chunks = bytearray()
        self.spoilt = False

    # Transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        server = self.server
        self.session = Session(len(server.sessions) + 1, time.time(), tls=server.tls == "implicit")
        server.sessions.append(self.session)
        server.open.add(self)
        self.act("CONNECT", "220 test.server ESMTP", lambda: None)
        self.flush()
        server.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self.session.closed_at = time.time()
        self.server.open.discard(self)
        self.server.changed()
        for task in self.tasks - {asyncio.current_task()}:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if self.in_body:
            self.session.body_bytes += len(data)
        self.work()

    def end(self, how: str) -> None:
        # A server that has hung up does nothing more about what was written ahead.
        self.blocked = True
        self.buffer.clear()
        if how == "rst":
            sock = self.transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            if self.encrypting:  # the loop does not tell us when that ends a handshake
                self.connection_lost(None)
        else:
            self.transport.close()

    # Turns.

    def work(self) -> None:
        done = 0
        while not self.blocked and self.buffer:
            if self.in_body or self.chunk is not None:
                if not (self.take_body() if self.in_body else self.take_chunk()):
                    break
            else:
                end = self.buffer.find(b"\n")
                if end < 0:
                    break
                line = bytes(self.buffer[:end]).rstrip(b"\r").decode("utf-8", "replace")
                del self.buffer[: end + 1]
                done += 1
                self.session.pipelined |= done > 1
                self.command(line)
        if self.server.latency:
            self.loop.call_later(self.server.latency, self.flush)
        else:
            self.flush()

    def flush(self) -> None:
        if self.out and not self.transport.is_closing():
            self.transport.write(bytes(self.out))
            self.out.clear()

    def act(self, step: str, usual: str, effect: Callable[[], None], to: str | None = None) -> None:
        """Answer at `step`: as usual, or as a rule wants it; `effect` follows an answer that is a success."""
        rule = self.server.rule_for(step, to, self.session.number) if self.server.rules else None
        if rule is None:
            self.say(usual, effect)
        elif rule.hold is not None or rule.delay:
            self.blocked = True
            task = asyncio.create_task(self.later(rule, usual, effect))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        else:
            self.obey(rule, usual, effect)

    async def later(self, rule: Rule, usual: str, effect: Callable[[], None]) -> None:
        if rule.hold is not None:
            # Whoever stands still in the middle of a body reads no more of it.
            if rule.step == "BODY":
                self.transport.pause_reading()
            await rule.hold.wait()
            self.transport.resume_reading()
        await asyncio.sleep(rule.delay)
        self.blocked = False
        self.obey(rule, usual, effect)
        self.flush()
        self.work()

    def obey(self, rule: Rule, usual: str, effect: Callable[[], None]) -> None:
        reply = usual if rule.reply is None else rule.reply
        if rule.taken:
            self.record()
        if rule.drip and not isinstance(reply, bytes):
            self.flush()
            self.blocked = True
            self.drip(reply.encode() + b"\r\n", rule.drip)
        elif isinstance(reply, bytes):
            self.out += reply
            if reply[:1] in {b"2", b"3"}:
                effect()
        else:
            self.say(reply, effect)
        if rule.close:
            self.flush()
            self.end(rule.close)

    def say(self, reply: str, effect: Callable[[], None]) -> None:
        self.out += reply.encode() + b"\r\n"
        if reply[:1] in "23":
            effect()

    def drip(self, data: bytes, pause: float) -> None:
        if self.transport.is_closing():
            return
        if data:
            self.transport.write(data[:1])
            self.loop.call_later(pause, self.drip, data[1:], pause)
        else:
            self.blocked = False
            self.work()

    # Commands.

    def command(self, line: str) -> None:
        self.session.commands.append(line)
        self.server.changed()
        if self.expects_login is not None:
            self.login_step(line)
            return
        verb, _, rest = line.partition(" ")
        handler = getattr(self, f"do_{verb.lower()}", None)
        if handler is None:
            self.act("NOOP", "502 5.5.2 Command not known", lambda: None)
        else:
            handler(rest)

    def do_ehlo(self, rest: str) -> None:
        offers = list(self.server.extensions)
        if self.server.tls == "starttls" and not self.session.tls:
            offers.append("STARTTLS")
        elif self.server.users or "XOAUTH2" in self.server.mechanisms:
            offers.append(f"AUTH {self.server.mechanisms}")
        lines = ["test.server", *offers]
        text = "\r\n".join(f"250{'-' if n < len(lines) - 1 else ' '}{line}" for n, line in enumerate(lines))
        self.act("EHLO", text, self.forget)

    def do_helo(self, rest: str) -> None:
        self.act("HELO", "250 test.server", self.forget)

    def do_noop(self, rest: str) -> None:
        self.act("NOOP", "250 2.0.0 Ok", lambda: None)

    def do_rset(self, rest: str) -> None:
        self.act("RSET", "250 2.0.0 Ok", self.forget)

    def do_quit(self, rest: str) -> None:
        self.session.quit = True
        self.act("QUIT", "221 2.0.0 Bye", lambda: None)
        self.flush()
        self.end("fin")

    def do_starttls(self, rest: str) -> None:
        if self.server.tls != "starttls":
            self.act("STARTTLS", "502 5.5.1 Not here", lambda: None)
        else:
            self.act("STARTTLS", "220 2.0.0 Go ahead", self.upgrade)

    def upgrade(self) -> None:
        self.flush()
        self.buffer.clear()
        self.blocked = self.encrypting = True
        task = asyncio.create_task(self.encrypt())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def encrypt(self) -> None:
        assert self.server.context is not None
        try:
            transport = await self.loop.start_tls(self.transport, self, self.server.context, server_side=True)
        except (OSError, ssl.SSLError):
            self.end("rst")
            return
        assert transport is not None
        self.transport, self.session.tls, self.blocked, self.encrypting = transport, True, False, False
        self.work()

    def do_auth(self, rest: str) -> None:
        mechanism, _, initial = rest.partition(" ")
        self.expects_login = [mechanism.upper()]
        if initial:
            self.login_step(initial)
        else:
            self.out += b"334 \r\n"

    def login_step(self, text: str) -> None:
        assert self.expects_login is not None
        self.expects_login.append(base64.b64decode(text).decode())
        mechanism, *given = self.expects_login
        if mechanism == "XOAUTH2":
            self.token_step(given)
            return
        if mechanism == "LOGIN" and len(given) < 2:
            self.out += b"334 UGFzc3dvcmQ6\r\n"
            return
        self.expects_login = None
        user, password = given if mechanism == "LOGIN" else given[0].split("\0")[1:]
        right = self.server.users.get(user) == password
        usual = "235 2.7.0 Welcome" if right else "535 5.7.8 Username and Password not accepted"
        self.act("AUTH", usual, lambda: setattr(self.session, "user", user))

    def token_step(self, given: list[str]) -> None:
        """XOAUTH2: `user=…\x01auth=Bearer …\x01\x01`; a refusal is explained in a challenge when there is one."""
        user, auth = (part.partition("=")[2] for part in given[0].split("\x01")[:2])
        token = auth.removeprefix("Bearer ")
        if len(given) == 1:
            self.server.tokens_shown.append(token)
            if token not in self.server.tokens and self.server.challenge:
                self.out += b"334 " + base64.b64encode(self.server.challenge.encode()) + b"\r\n"
                return
        self.expects_login = None
        usual = "235 2.7.0 Accepted" if token in self.server.tokens else "535 5.7.3 Authentication unsuccessful"
        self.act("AUTH", usual, lambda: setattr(self.session, "user", user))

    def do_mail(self, rest: str) -> None:
        address, options = self.path(rest)

        def begin() -> None:
            self.forget()
            self.sender, self.options = address, options

        if self.server.users and not self.session.user:
            self.act("MAIL", "530 5.7.0 Authentication required", begin)
        else:
            self.act("MAIL", "250 2.1.0 Ok", begin)

    def do_rcpt(self, rest: str) -> None:
        address, _ = self.path(rest)
        usual = "250 2.1.5 Ok" if self.sender is not None else "503 5.5.1 Need MAIL command"
        self.act("RCPT", usual, lambda: self.recipients.append(address), to=address)

    def do_data(self, rest: str) -> None:
        def begin() -> None:
            self.in_body = True
            self.session.body_bytes += len(self.buffer)

        usual = "354 End data with <CR><LF>.<CR><LF>" if self.recipients else "554 5.5.1 No valid recipients"
        self.act("DATA", usual, begin)

    def do_bdat(self, rest: str) -> None:
        found = _BDAT.fullmatch(rest.strip())
        if found is None or "CHUNKING" not in self.server.extensions:
            self.act("NOOP", "501 5.5.4 Not a chunk" if found is None else "502 5.5.1 Not here", lambda: None)
            return
        rule = next((r for r in self.server.rules if r.fits("BDAT", None, self.session.number)), None)
        if rule is not None and rule.deaf:
            self.act("BDAT", "500 5.5.2 Command not known", lambda: None)
            return
        self.chunk = _Chunk(int(found[1]), bool(found[2]))
        if not self.chunk.left:
            self.end_chunk(self.chunk)

    def take_chunk(self) -> bool:
        """Go on with the chunk in the buffer; False when nobody listens to the rest."""
        assert self.chunk is not None
        piece = self.buffer[: self.chunk.left]
        del self.buffer[: len(piece)]
        self.chunks += piece
        self.chunk.left -= len(piece)
        self.session.body_bytes += len(piece)
        if self.stops_at(len(self.chunks)):
            return False
        if not self.chunk.left:
            self.end_chunk(self.chunk)
        return True

    def end_chunk(self, chunk: _Chunk) -> None:
        self.chunk = None
        rule = next((r for r in self.server.rules if r.fits("BDAT", None, self.session.number)), None)
        if not self.recipients:
            self.act("BDAT", "503 5.5.1 No valid recipients", lambda: None)
            self.chunks.clear()
        elif self.spoilt:
            self.act("BDAT", "503 5.5.1 An earlier chunk was refused", lambda: None)
        elif chunk.last:
            self.pending = self.message(bytes(self.chunks))
            self.act("BDAT" if rule else "DOT", "250 2.0.0 Ok: queued", self.record)
            self.forget()
        else:
            self.spoilt = True
            self.act("BDAT", "250 2.0.0 Ok, more", lambda: setattr(self, "spoilt", False))

    def stops_at(self, size: int) -> bool:
        """True when a rule for BODY was used, after which whatever follows is not listened to."""
        rule = next((r for r in self.server.rules if r.fits("BODY", None, self.session.number)), None)
        if rule is None or size < rule.after:
            return False
        self.act("BODY", "554 5.6.0 Enough of this", lambda: None)
        self.blocked = True
        return True

    def take_body(self) -> bool:
        """Go on with the body in the buffer; False when more of it has to come first."""
        if self.stops_at(len(self.buffer)):
            return False
        end = 0 if self.buffer.startswith(b".\r\n") else self.buffer.find(_END)
        if end < 0:
            return False
        data = bytes(self.buffer[: end + 2]) if end else b""
        del self.buffer[: end + (len(_END) if end else 3)]
        self.in_body = False
        # The first dot of a line goes whatever follows it (RFC 5321 section 4.5.2): one that was not doubled is lost.
        self.pending = self.message(data.removeprefix(b".").replace(b"\n.", b"\n"))
        self.act("DOT", "250 2.0.0 Ok: queued", self.record)
        self.forget()
        return True

    def message(self, data: bytes) -> Message:
        return Message(self.sender or "", self.recipients, self.options, data, self.session.number, time.time())

    def record(self) -> None:
        self.server.take(self.pending)

    @staticmethod
    def path(rest: str) -> tuple[str, str]:
        found = re.match(r"(?:FROM|TO):\s*<([^>]*)>\s*(.*)", rest, re.IGNORECASE)
        return (found[1], found[2]) if found else ("", "")


def _parsed_rule(text: str) -> tuple[str, str, int | None]:
    where, _, reply = text.partition("=")
    step, _, times = where.partition("*")
    return step.upper(), reply, int(times) if times else None


def _ledger(path: str) -> IO[str] | None:
    return Path(path).open("a", encoding="utf-8") if path else None


async def _serve(options: argparse.Namespace) -> None:
    with contextlib.ExitStack() as stack:
        ledger = _ledger(options.log)
        if ledger is not None:
            stack.enter_context(ledger)
        users = dict(user.split(":", 1) for user in options.user)
        context = None
        if options.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(options.cert, options.key)
        server = SmtpServer(
            port=options.port,
            tls=options.tls,
            context=context,
            users=users,
            latency=options.latency / 1000,
            chunking=options.chunking,
            keep=False,
            ledger=ledger,
        )
        for step, reply, times in map(_parsed_rule, options.reply):
            server.on(step, reply, times=times)
        await server.start()
        print(f"listening on {server.port}", flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        await stop.wait()
        await server.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0: a free one, printed as `listening on PORT`")
    parser.add_argument("--log", default="", help="append a JSON line for every accepted message")
    parser.add_argument("--latency", type=float, default=0.0, help="milliseconds before every turn is answered")
    parser.add_argument("--chunking", action="store_true", help="offer CHUNKING")
    parser.add_argument("--user", action="append", default=[], metavar="NAME:PASSWORD")
    parser.add_argument("--tls", default="", choices=("", "implicit", "starttls"))
    parser.add_argument("--cert", default="")
    parser.add_argument("--key", default="")
    parser.add_argument(
        "--reply", action="append", default=[], metavar="STEP[*TIMES]=REPLY", help='such as "DOT*2=451 4.3.0 later"'
    )
    try:
        import uvloop
    except ImportError:
        asyncio.run(_serve(parser.parse_args()))
    else:
        uvloop.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
