"""Files fetched from the URLs that senders give: from public servers only, within bounds of size and time.

A stranger must not reach through the hub what only the hub can reach. So the name is resolved once, every address it
has must be public, and the connection goes to one of those that were checked: a name server that answers differently
the next time gains nothing. No redirect is followed, no proxy is asked, no credential is sent.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

from emailhub import __version__
from emailhub.core.errors import FetchFailed
from emailhub.core.public import is_public

TIMEOUT = 10.0
"""Seconds for a file, from the look-up of the name to the last byte."""
AT_ONCE = 8
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers after which another try is worth while (RFC 9110 §15)."""

Resolve = Callable[[str, int], Awaitable[list[str]]]


async def resolved(host: str, port: int) -> list[str]:
    """The addresses of `host`. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """Fetches files over https. `context` verifies servers, the system's certificates by default."""

    def __init__(
        self,
        *,
        resolve: Resolve = resolved,
        may_connect: Callable[[str], bool] = is_public,
        context: ssl.SSLContext | None = None,
        timeout: float = TIMEOUT,
    ) -> None:
        self._resolve = resolve
        self._may_connect = may_connect
        self._timeout = timeout
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._client = httpx.AsyncClient(
            verify=context or ssl.create_default_context(),
            follow_redirects=False,
            trust_env=False,
            timeout=timeout,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def fetch(self, url: str, most_bytes: int) -> bytes:
        """What is at `url`. Raises FetchFailed, with a sentence that tells nothing about the hub's own network."""
        try:
            async with self._turns, asyncio.timeout(self._timeout):
                return await self._fetched(*_target(url), most_bytes)
        except TimeoutError:
            raise FetchFailed(f"it took longer than {self._timeout:g} s", passing=True) from None

    async def close(self) -> None:
        await self._client.aclose()

    async def _fetched(self, url: httpx.URL, port: int, most_bytes: int) -> bytes:
        addresses = await self._addresses(url.host, port)
        for address in addresses[:-1]:
            try:
                return await self._from(url, address, most_bytes)
            except httpx.ConnectError:
                continue
        try:
            return await self._from(url, addresses[-1], most_bytes)
        except (httpx.HTTPError, OSError) as error:
            sentence = f"{url.host} cannot be reached or does not speak HTTPS: {type(error).__name__}"
            raise FetchFailed(sentence, passing=True) from None

    async def _addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except socket.gaierror as error:
            if error.errno == socket.EAI_AGAIN:
                raise FetchFailed(f"no name server tells now where {host} is", passing=True) from None
            addresses = []
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise FetchFailed(f"there is no host {host}")
        if not all(map(self._may_connect, addresses)):
            raise FetchFailed(f"{host} is not an address of the public internet")
        return addresses

    async def _from(self, url: httpx.URL, address: str, most_bytes: int) -> bytes:
        headers = {
            "host": url.netloc.decode("ascii"),
            "accept": "*/*",
            "accept-encoding": "identity",
            "user-agent": f"emailhub/{__version__}",
        }
        # The certificate is that of the name, whatever address it is shown at.
        request = self._client.build_request(
            "GET",
            url.copy_with(host=address),
            headers=headers,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},
        )
        answer = await self._client.send(request, stream=True)
        try:
            _check(answer, most_bytes)
            return b"".join([part async for part in _bounded(answer, most_bytes)])
        finally:
            await answer.aclose()


def _target(url: str) -> tuple[httpx.URL, int]:
    try:
        found = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise FetchFailed("it is not a URL") from None
    if found.scheme != "https" or not found.host:
        raise FetchFailed("it is not an https URL")
    if found.userinfo:
        raise FetchFailed("it has a user name or password in it, which are not sent")
    port = found.port or 443
    if port > 65535:
        raise FetchFailed("it is not a URL")
    return found, port


def _check(answer: httpx.Response, most_bytes: int) -> None:
    if answer.is_redirect:
        raise FetchFailed(f"the server answered {answer.status_code}, and no redirect is followed")
    if answer.status_code != 200:
        raise FetchFailed(f"the server answered {answer.status_code}", passing=answer.status_code in _PASSING)
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise FetchFailed("the server sent it compressed, though asked not to")
    length = answer.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > most_bytes:
        raise FetchFailed(_too_large(most_bytes))


async def _bounded(answer: httpx.Response, most_bytes: int) -> AsyncIterator[bytes]:
    size = 0
    async for part in answer.aiter_raw():
        size += len(part)
        if size > most_bytes:
            raise FetchFailed(_too_large(most_bytes))
        yield part


def _too_large(most_bytes: int) -> str:
    return f"it is larger than the {most_bytes} bytes there is room for (EMAILHUB_MAX_MESSAGE_SIZE)"
