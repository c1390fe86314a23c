"""Access tokens for logins (RFC 6749 §4.4 and §6): got over HTTPS, kept, and renewed before they run out."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus, urlsplit

import httpx
import msgspec

from emailhub import logs
from emailhub.core.errors import TokenFailed

TIMEOUT = 20.0
AHEAD = 300.0
"""Seconds before a token's end at which a new one is fetched, while logins go on with the old one."""
_SPREAD = 60.0
_MARGIN = 10.0
"""Seconds before its end from which a token is not used any more: it has to be valid when the server looks at it."""
_LIFE = 600.0
"""Seconds a token is taken to live when the answer does not say (RFC 6749 §5.1 only recommends it)."""
_PAUSE = 30.0
"""Seconds between tries to renew a token that is still good."""
_LARGEST = 64 * 1024
_TOKEN = re.compile(r"[\x21-\x7e]+")
_LINE = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# RFC 6749 §5.2, and what OpenID Connect says when a person has to act.
_REJECTED = {
    "invalid_request": "check the grant and the scope",
    "invalid_client": "check the client id and its secret",
    "invalid_grant": "the refresh token is expired or was revoked: grant access anew and set the new one",
    "unauthorized_client": "this client may not use this grant",
    "unsupported_grant_type": "check the grant",
    "invalid_scope": "check the scope",
    "interaction_required": "the account's owner has to sign in and grant access anew",
    "login_required": "the account's owner has to sign in and grant access anew",
    "consent_required": "the account's owner or an administrator has to consent",
}

log = logs.get("oauth")


class OAuthOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how tokens are given out. `grant`: refresh_token acts for one mailbox, client_credentials for the
    application itself. Raises ValueError for what cannot work together."""

    token_url: str
    client_id: str
    client_secret: str = ""
    refresh_token: str = ""
    scope: str = ""
    grant: str = "refresh_token"

    def __post_init__(self) -> None:
        if self.grant == "refresh_token" and not self.refresh_token:
            raise ValueError("the grant refresh_token needs a refresh token")
        if self.grant == "client_credentials" and not self.client_secret:
            raise ValueError("the grant client_credentials needs a client secret")
        if self.grant not in {"refresh_token", "client_credentials"}:
            raise ValueError(f"the grant is refresh_token or client_credentials, not {self.grant!r}")

    def __repr__(self) -> str:
        return f"OAuthOptions({self.host}, grant={self.grant})"

    @property
    def host(self) -> str:
        """The name of the server that gives out tokens."""
        return urlsplit(self.token_url).hostname or "the token endpoint"


class _Answer(msgspec.Struct):
    """What an endpoint may answer, of all we use of it (RFC 6749 §5.1 and §5.2)."""

    access_token: str = ""
    token_type: str = "bearer"  # noqa: S105 - a scheme's name
    expires_in: float | str | None = None
    refresh_token: str | None = None
    error: str = ""
    error_description: str | None = None


class _Token(msgspec.Struct, frozen=True):
    """A token: from `renew_at` on a new one is fetched, from `end` on it is not used."""

    value: str
    renew_at: float
    end: float


class TokenSource:
    """The tokens of one account, shared by all its connections: `await source()` is a token that is good now.

    A refresh token that comes with an answer replaces the one before (some providers renew it each time); it is kept in
    memory only. `clock` is monotonic seconds; `jitter()` gives numbers in [-1, 1], so that many hubs do not ask at the
    same time.
    """

    def __init__(
        self, options: OAuthOptions, *, jitter: Callable[[], float], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._options = options
        self._jitter = jitter
        self._clock = clock
        self._refresh_token = options.refresh_token
        self._token: _Token | None = None
        self._failed_at: float | None = None
        self._fetching: asyncio.Task[_Token] | None = None
        self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    async def __call__(self) -> str:
        """A token that is good now; fetched when there is none, by one request however many ask. Raises TokenFailed."""
        token, now = self._token, self._clock()
        if token is None or now >= token.end:
            # Shielded: one connection that is given up must not take the token from the others.
            return (await asyncio.shield(self._fetch())).value
        if now >= token.renew_at and (self._failed_at is None or now - self._failed_at >= _PAUSE):
            self._fetch()
        return token.value

    def drop(self, token: str) -> None:
        """The server refused `token`: the next one asked for is fetched anew. Of no effect once there is another."""
        if self._token is not None and self._token.value == token:
            self._token = None

    async def close(self) -> None:
        """Give up a request under way. Idempotent."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait([self._fetching])
        await self._client.aclose()

    def _fetch(self) -> asyncio.Task[_Token]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._renew(), name=f"token of {self._options.host}")
            self._fetching.add_done_callback(self._seen)
        return self._fetching

    def _seen(self, task: asyncio.Task[_Token]) -> None:
        """Whoever waited may be gone, and asyncio would complain of an error that was "never retrieved"."""
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("no token", host=self._options.host, error=str(error))

    async def _renew(self) -> _Token:
        try:
            status, body = await self._ask()
            answer = self._read(status, body)
        except BaseException:
            self._failed_at = self._clock()
            raise
        self._failed_at = None
        if answer.refresh_token and answer.refresh_token != self._refresh_token:
            self._refresh_token = answer.refresh_token
            log.info("refresh token replaced", host=self._options.host)
        self._token = self._dated(answer)
        log.info("token renewed", host=self._options.host, seconds=round(self._token.end - self._clock()))
        return self._token

    def _dated(self, answer: _Answer) -> _Token:
        life, now = _seconds(answer.expires_in), self._clock()
        ahead = min(AHEAD + self._jitter() * _SPREAD, life / 2)
        return _Token(answer.access_token, now + life - ahead, now + life - min(_MARGIN, life / 10))

    async def _ask(self) -> tuple[int, bytes]:
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client.stream(
                    "POST", self._options.token_url, data=self._form(), headers={"accept": "application/json"}
                ) as answer,
            ):
                return answer.status_code, await self._bounded(answer)
        except TimeoutError as error:
            raise TokenFailed(f"{self._options.host} did not answer within {TIMEOUT:g} s: no access token") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = str(error) or type(error).__name__
            raise TokenFailed(f"{self._options.host} cannot be reached for an access token: {why}") from error

    async def _bounded(self, answer: httpx.Response) -> bytes:
        body = b""
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > _LARGEST:
                raise TokenFailed(f"{self._options.host} answers with more than {_LARGEST // 1024} KiB: no token")
        return body

    def _form(self) -> dict[str, str]:
        options = self._options
        form = {"grant_type": options.grant, "client_id": options.client_id}
        if options.grant == "refresh_token":
            form["refresh_token"] = self._refresh_token
        if options.client_secret:
            form["client_secret"] = options.client_secret
        if options.scope:
            form["scope"] = options.scope
        return form

    def _read(self, status: int, body: bytes) -> _Answer:
        try:
            answer = msgspec.json.decode(body, type=_Answer)
        except msgspec.DecodeError:
            answer = _Answer()
        if status == 200 and _TOKEN.fullmatch(answer.access_token) and answer.token_type.lower() == "bearer":
            return answer
        raise self._refusal(status, answer)

    def _refusal(self, status: int, answer: _Answer) -> TokenFailed:
        host = self._options.host
        if not answer.error:
            what = "without a bearer token" if status == 200 else "and gives no reason"
            return TokenFailed(f"{host} answered {status} {what}: no access token")
        name = self._masked(answer.error)[:60]
        said = self._masked(answer.error_description or "")
        text = f"{host} gives no access token: {name}{f' ({said})' if said else ''}"
        # 429 and 5xx are the endpoint's own trouble, whatever it calls it.
        if name in _REJECTED and 400 <= status < 500 and status != 429:
            return TokenFailed(f"{text}; {_REJECTED[name]}", rejected=True)
        return TokenFailed(text)

    def _masked(self, text: str) -> str:
        """What the endpoint says, on one line, with nothing of ours that is secret."""
        ours = (self._options.client_secret, self._options.refresh_token, self._refresh_token)
        for secret in filter(None, ours):
            # Some repeat the form as it came, where it is percent-encoded.
            for form in (secret, quote_plus(secret), quote(secret, safe=""), quote(secret)):
                text = text.replace(form, "•••")
        return " ".join(_LINE.sub(" ", text).split())[:200]


def _seconds(value: float | str | None) -> float:
    """`expires_in`; some providers write it as a string."""
    try:
        life = float(value) if value is not None else _LIFE
    except ValueError:
        life = _LIFE
    return life if 0 < life < 10 * 365 * 86400 else _LIFE
