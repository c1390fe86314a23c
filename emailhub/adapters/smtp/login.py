"""Logging in: one at a time, never again at once after a rejection, by password or by an access token (XOAUTH2)."""

from __future__ import annotations

import asyncio
import binascii
import re
from binascii import a2b_base64
from collections.abc import Awaitable, Callable

import aiosmtplib
import msgspec
from aiosmtplib import SMTPResponse
from aiosmtplib.auth import auth_xoauth2_encode
from msgspec.structs import replace

from emailhub.adapters.smtp.dial import Trouble
from emailhub.adapters.smtp.hiding import MASK, Hiding
from emailhub.adapters.smtp.options import Tokens
from emailhub.adapters.smtp.transcript import Transcript
from emailhub.core.errors import TokenFailed
from emailhub.core.judge import judge, shortened
from emailhub.core.reply import Reply
from emailhub.core.verdict import Kind, Stage, Verdict

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_LONGEST_CHALLENGE = 4096


class LoginGate:
    """One login at a time; after a rejected one no other for `pause` seconds, so that no account is locked out."""

    def __init__(self, pause: float, clock: Callable[[], float]) -> None:
        self.turn = asyncio.Lock()
        self._pause = pause
        self._clock = clock
        self._rejected: tuple[float, Verdict] | None = None
        self._renewed = False

    def check(self) -> None:
        """Raises the Trouble of the last rejection while it is too soon to try again."""
        if self._rejected is None:
            return
        at, verdict = self._rejected
        if self._clock() - at < self._pause:
            raise Trouble(replace(verdict, text=f"{verdict.text} (not tried again within {self._pause:g} s)"))

    def took(self) -> None:
        """The server took the login."""
        self._rejected = None
        self._renewed = False

    def refused(self, verdict: Verdict) -> None:
        """The server refused it."""
        if verdict.login_rejected:
            self._rejected = (self._clock(), verdict)

    def renews(self) -> bool:
        """Whether a refused token may be replaced by a fresh one: once, until a login was taken again."""
        first, self._renewed = not self._renewed, True
        return first


class StaleToken(Trouble):
    """The server refused a token that may only have been withdrawn early: a fresh one may do."""


class TokenRefused(Exception):
    """The server's `reply` to a login by `token`, and what it said of the reason (`why`, maybe empty)."""

    def __init__(self, token: str, reply: Reply, why: str) -> None:
        super().__init__(str(reply))
        self.token = token
        self.reply = reply
        self.why = why


def by_password(
    client: aiosmtplib.SMTP, user: str, password: str, log: Transcript
) -> Callable[[], Awaitable[SMTPResponse]] | None:
    """The login by password that `client`'s server offers and we do best; None when it offers none we can do."""
    # Inside TLS the plain mechanism is as safe as CRAM-MD5 and the one that servers get right.
    ways = {"plain": client.auth_plain, "login": client.auth_login, "cram-md5": client.auth_crammd5}
    name = next((way for way in ways if way in client.supported_auth_methods), None)
    if name is None:
        return None

    def log_in() -> Awaitable[SMTPResponse]:
        log.client(f"AUTH {name.upper()} {MASK}")
        return ways[name](user, password)

    return log_in


async def by_token(client: aiosmtplib.SMTP, user: str, tokens: Tokens, log: Transcript, hiding: Hiding) -> SMTPResponse:
    """Log in by XOAUTH2. Raises TokenRefused, Trouble when there is no token, and what `client` raises.

    A server may say why it refuses in a challenge, base64 of JSON, which is answered with an empty line before the
    final reply comes.
    """
    token = await bearer(tokens)
    hiding.add(token)
    log.client(f"AUTH XOAUTH2 {MASK}")
    response = await client.execute_command(b"AUTH", b"XOAUTH2", auth_xoauth2_encode(user, token))
    why = ""
    if response.code == 334:
        why = hiding(challenge(response.message))
        log.server(Reply(334, "", why))
        response = await client.execute_command(b"")
    if response.code != 235:
        reply = Reply.of(response.code, _CONTROLS.sub(" ", hiding(response.message))[:2000])
        raise TokenRefused(token, reply, why)
    return response


async def bearer(tokens: Tokens) -> str:
    """A token that is good now. Raises Trouble at the login, rejected when our credentials were."""
    try:
        return await tokens()
    except TokenFailed as failed:
        text = shortened(str(failed))
        raise Trouble(Verdict(Kind.RELAY, Stage.AUTH, text, no_token=failed.rejected)) from failed


def token_verdict(refused: TokenRefused) -> Verdict:
    """What the refusal means: the judgement of the reply, in words that name the token and not a password."""
    verdict = judge(Stage.AUTH, refused.reply)
    if not verdict.login_rejected:
        return verdict
    why = f" ({refused.why})" if refused.why else ""
    text = f"the relay refused our access token{why}, check its scope and the mailbox it is for: {refused.reply}"
    return replace(verdict, text=shortened(text))


def challenge(text: str) -> str:
    """What the challenge after a refused token says, such as `status 401, scope https://mail.google.com/`."""
    try:
        said = msgspec.json.decode(a2b_base64(text[:_LONGEST_CHALLENGE].encode("ascii", "replace")))
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return "no reason that could be read"
    if not isinstance(said, dict):
        return "no reason that could be read"
    facts = [f"{name} {said[name]}" for name in ("status", "schemes", "scope") if isinstance(said.get(name), str | int)]
    return _CONTROLS.sub(" ", ", ".join(facts))[:200] or "no reason that could be read"
