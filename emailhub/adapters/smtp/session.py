"""Opens a session: TCP, TLS, greeting, EHLO, STARTTLS and login, with the stage of every failure known."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import partial

import aiosmtplib
from aiosmtplib import SMTPResponse

from emailhub.adapters.smtp.batch import Batch
from emailhub.adapters.smtp.connection import Connection
from emailhub.adapters.smtp.dial import Dialer, Trouble, trouble
from emailhub.adapters.smtp.hiding import Hiding
from emailhub.adapters.smtp.login import (
    LoginGate,
    StaleToken,
    TokenRefused,
    bearer,
    by_password,
    by_token,
    token_verdict,
)
from emailhub.adapters.smtp.options import SmtpOptions, TlsMode, Tokens
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.adapters.smtp.wire import Wire
from emailhub.core.judge import judge
from emailhub.core.reply import Reply
from emailhub.core.verdict import Progress, Stage

_HOSTNAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class SessionOpener:
    """Opens sessions to one server; raises Trouble for whatever network or server do."""

    def __init__(self, options: SmtpOptions, clock: Callable[[], float]) -> None:
        self._options = options
        self._clock = clock
        self._dialer = Dialer(options.host, options.port, options.timeouts.connect, clock)
        self._context = options.tls_context()
        self._gate = LoginGate(options.login_pause, clock)
        self._batch = Batch()

    async def open(self, progress: Progress, log: Transcript) -> Connection:
        """A session ready for MAIL. Raises Trouble."""
        if self._options.user:
            self._gate.check()
        if self._options.token is not None:
            # Before anything else: without a token there is nothing to say to the server.
            await self._got_token(self._options.token)
        try:
            return await self._session(progress, log)
        except StaleToken as stale:
            log.note(stale.verdict.text)
            log.note("trying once more with a fresh access token")
            return await self._session(progress, log)

    async def _got_token(self, tokens: Tokens) -> None:
        try:
            await bearer(tokens)
        except Trouble as failed:
            self._gate.refused(failed.verdict)
            raise

    async def _session(self, progress: Progress, log: Transcript) -> Connection:
        progress.stage = Stage.CONNECT
        log.enter(Stage.CONNECT)
        sock = await self._dialer.dial(log)
        handshake = _Handshake(self._options, self._context, self._gate, sock, progress, log)
        try:
            return await handshake.run(self._clock(), self._batch)
        except BaseException:
            handshake.close()
            raise

    async def close(self) -> None:
        """Stop what runs in the background."""
        await self._dialer.close()
        if self._options.token is not None:
            await self._options.token.close()


class _Handshake:
    def __init__(
        self,
        options: SmtpOptions,
        context: ssl.SSLContext,
        gate: LoginGate,
        sock: socket.socket,
        progress: Progress,
        log: Transcript,
    ) -> None:
        self._options = options
        self._gate = gate
        self._sock = sock
        self._sock_is_ours = True
        self._progress = progress
        self._log = log
        self._hiding = Hiding(options.password)
        self._client = aiosmtplib.SMTP(
            hostname=options.host,
            sock=sock,
            use_tls=options.implicit,
            start_tls=False,
            tls_context=context,
            local_hostname=_our_name(options, sock),
            timeout=options.timeouts.command,
        )

    async def run(self, now: float, batch: Batch) -> Connection:
        peer = _peer(self._sock)
        self._log.note(f"connected to {peer}")
        await self._greet()
        await self._hello()
        await self._secure()
        if self._options.user:
            await self._log_in()
        return self._handed_over(peer, now, batch)

    def close(self) -> None:
        self._client.close()
        if self._sock_is_ours:
            self._sock.close()

    def _enter(self, stage: Stage) -> None:
        self._progress.stage = stage
        self._log.enter(stage)

    async def _greet(self) -> None:
        self._enter(Stage.TLS if self._options.implicit else Stage.GREETING)
        # From here the loop's transport closes the socket; closing it here too would hit whoever gets the same number.
        self._sock_is_ours = False
        try:
            greeting = await self._client.connect(timeout=self._options.timeouts.greeting)
        except aiosmtplib.SMTPException as error:
            raise self._not_greeted(error) from error
        self._log_tls()
        self._say(greeting)

    async def _hello(self) -> None:
        self._enter(Stage.EHLO)
        self._log.client(f"EHLO {self._client.local_hostname}")
        try:
            self._say(await self._step(self._client.ehlo()))
        except Trouble as refused:
            reply = refused.verdict.reply
            if reply is None or reply.code < 500 or not self._client.is_connected:
                raise
            self._log.server(reply)
            self._log.client(f"HELO {self._client.local_hostname}")
            self._say(await self._step(self._client.helo()))

    async def _secure(self) -> None:
        if self._encrypted or self._options.tls is TlsMode.NONE:
            return
        self._enter(Stage.TLS)
        if not self._client.supports_extension("starttls"):
            if self._options.tls_required:
                raise trouble(
                    Stage.TLS,
                    f"{self._options.host} does not offer STARTTLS: nothing is sent unencrypted; use the port that "
                    "offers it (587), or 465 with implicit TLS",
                )
            return
        self._log.client("STARTTLS")
        self._say(await self._step(self._client.starttls()))
        self._log_tls()
        await self._hello()

    async def _log_in(self) -> None:
        self._enter(Stage.AUTH)
        if not self._encrypted:  # cannot happen: kept so that no later change can send a password in clear text
            raise trouble(Stage.AUTH, "the connection is not encrypted: the login is not sent")
        log_in = self._way_in()
        async with self._gate.turn:
            self._gate.check()
            try:
                self._say(await self._step(log_in()))
            except StaleToken:
                raise
            except Trouble as refused:
                self._gate.refused(refused.verdict)
                raise
            self._gate.took()

    def _way_in(self) -> Callable[[], Awaitable[SMTPResponse]]:
        options, client = self._options, self._client
        others = ", ".join(client.server_auth_methods) or "none"
        if options.token is not None:
            if "xoauth2" not in client.server_auth_methods:
                raise trouble(Stage.AUTH, f"{options.host} offers no login by token, XOAUTH2 (it offers: {others})")
            return partial(self._by_token, options.token)
        log_in = by_password(client, options.user, options.password, self._log)
        if log_in is None:
            raise trouble(Stage.AUTH, f"{options.host} offers no login we can do (it offers: {others})")
        return log_in

    async def _by_token(self, tokens: Tokens) -> SMTPResponse:
        try:
            return await by_token(self._client, self._options.user, tokens, self._log, self._hiding)
        except TokenRefused as refused:
            verdict = token_verdict(refused)
            # Only 535 speaks of the credentials themselves (RFC 4954 §6); other refusals a fresh token cannot mend.
            if refused.reply.code == 535:
                tokens.drop(refused.token)
                if self._gate.renews():
                    raise StaleToken(verdict) from refused
            raise Trouble(verdict) from refused

    async def _step(self, step: Awaitable[SMTPResponse]) -> SMTPResponse:
        stage, limit = self._progress.stage, self._options.timeouts.command
        try:
            return await step
        except aiosmtplib.SMTPResponseException as error:
            raise Trouble(judge(stage, self._reply(error.code, error.message))) from error
        except aiosmtplib.SMTPTimeoutError as error:
            raise self._late(stage, limit) from error
        except aiosmtplib.SMTPServerDisconnected as error:
            raise self._lost(stage, error) from error
        except ssl.SSLError as error:
            raise self._no_tls(error) from error
        except (OSError, aiosmtplib.SMTPException) as error:
            raise trouble(stage, self._hiding(f"{stage.value} failed: {error}")) from error

    def _not_greeted(self, error: aiosmtplib.SMTPException) -> Trouble:
        """With TCP connected, what can fail is the handshake of implicit TLS, then the greeting."""
        limit, cause = self._options.timeouts.greeting, error.__cause__
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return Trouble(judge(Stage.GREETING, self._reply(error.code, error.message)))
        if isinstance(cause, aiosmtplib.SMTPTimeoutError):
            return self._late(Stage.GREETING, limit)
        if isinstance(cause, aiosmtplib.SMTPServerDisconnected):
            return self._lost(Stage.GREETING, cause)
        if isinstance(error, aiosmtplib.SMTPTimeoutError):
            return self._late(self._progress.stage, limit)
        return self._no_tls(cause or error)

    def _no_tls(self, error: BaseException) -> Trouble:
        if isinstance(error, ssl.SSLCertVerificationError):
            return self._certificate(error)
        reason = getattr(error, "reason", None) or error
        return trouble(Stage.TLS, f"the TLS handshake with {self._options.host} failed: {reason}")

    def _certificate(self, error: ssl.SSLCertVerificationError) -> Trouble:
        return trouble(
            Stage.TLS,
            f"the certificate of {self._options.host} is not trusted: {error.verify_message.rstrip('.')}; "
            "for a private authority name its certificate file as the relay's ca (EMAILHUB_SMTP_CA)",
        )

    def _late(self, stage: Stage, limit: float) -> Trouble:
        return trouble(stage, f"{self._options.host} did not answer at {stage.value} within {limit:g} s")

    def _lost(self, stage: Stage, error: Exception) -> Trouble:
        detail = f": {error.__cause__}" if error.__cause__ else ""
        return trouble(stage, f"{self._options.host} closed the connection at {stage.value}{detail}")

    @property
    def _encrypted(self) -> bool:
        return self._client.is_connected and self._client.get_transport_info("sslcontext") is not None

    def _say(self, response: SMTPResponse) -> None:
        self._log.server(self._reply(response.code, response.message))

    def _reply(self, code: int, message: str) -> Reply:
        text = self._hiding(message.encode("utf-8", "replace").decode("utf-8"))
        return Reply.of(code, _CONTROLS.sub(" ", text)[:2000])

    def _tls(self) -> str:
        cipher = self._client.get_transport_info("cipher") if self._encrypted else None
        return str(cipher[1]) if cipher else ""

    def _log_tls(self) -> None:
        if self._encrypted:
            cipher = self._client.get_transport_info("cipher")
            context = self._client.get_transport_info("sslcontext")
            trust = "" if context.verify_mode is ssl.CERT_REQUIRED else ", certificate not verified"
            self._log.note(f"encrypted: {cipher[1]}, {cipher[0]}{trust}" if cipher else f"encrypted{trust}")

    def _handed_over(self, peer: str, now: float, batch: Batch) -> Connection:
        """From here on the connection is ours alone and the library's object is not used any more."""
        tls = self._tls()
        extensions = dict(self._client.esmtp_extensions)
        transport = self._client.transport
        if transport is None:
            raise trouble(self._progress.stage, f"{self._options.host} closed the connection")
        wire = Wire(batch)
        wire.connection_made(transport)
        transport.set_protocol(wire)
        return Connection(wire, extensions, peer, tls, now)


def _peer(sock: socket.socket) -> str:
    try:
        host, port = sock.getpeername()[:2]
    except OSError as error:
        raise trouble(Stage.CONNECT, f"the connection was lost at once: {error.strerror}") from error
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _our_name(options: SmtpOptions, sock: socket.socket) -> str:
    name = options.local_hostname or socket.gethostname()
    if options.local_hostname or _HOSTNAME.fullmatch(name):
        return name
    address = sock.getsockname()[0]
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
