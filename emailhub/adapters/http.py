"""Posting JSON to a web hook."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from emailhub.core.errors import HookFailed

TIMEOUT = 10.0


class Webhook:
    """A receiver of JSON at `url`. Redirects are not followed: an alert goes where the operator said, or nowhere."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._where = urlsplit(url).hostname or "the receiver"
        self._client = httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=False, trust_env=False)

    async def post(self, payload: dict[str, object]) -> None:
        """Raises HookFailed, without the URL's secrets, unless the receiver answers 2xx."""
        try:
            answer = await self._client.post(self._url, json=payload)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise HookFailed(f"{self._where} cannot be reached: {type(error).__name__}") from error
        if not answer.is_success:
            raise HookFailed(f"{self._where} answered {answer.status_code}")

    async def close(self) -> None:
        await self._client.aclose()
