"""Talks HTTP to the running hub, with nothing but the standard library, so that every command starts quickly."""

from __future__ import annotations

import contextlib
import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import rich_click as click

from emailhub import __version__
from emailhub.cli import exits
from emailhub.settings import Secret, Settings


class Refused(exits.Stop):
    """The hub answered, and the answer is no. `status` is the HTTP status, `name` the machine-readable reason."""

    def __init__(self, status: int, name: str, message: str, step: str) -> None:
        super().__init__(exits.FAILED, message, step)
        self.status = status
        self.name = name


class Unreachable(exits.Stop):
    """Nobody answers at `url`, or not in time, or not as a hub does."""

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            exits.UNREACHABLE,
            f"no hub answers at {url}: {reason}",
            "start it with `emailhub serve`, or name the right address with --url or EMAILHUB_URL",
        )
        self.reason = reason


class Hub:
    """The hub at `url`. Every call takes at most `timeout` seconds for each wait; raises Refused or Unreachable.

    Without a `key` it logs in with the `password` of the dashboard, if there is one, and out again by `leave`.
    """

    def __init__(
        self, url: str, key: Secret | None = None, *, password: Secret | None = None, timeout: float = 30.0
    ) -> None:
        self.url = url.rstrip("/")
        self._key = key
        self._password = None if key else password
        self._cookie = ""
        self._timeout = timeout

    @classmethod
    def of(cls, settings: Settings, *, timeout: float = 30.0) -> Hub:
        """The hub these settings speak of, with the key they have for it."""
        key = settings.api_key or next(iter(settings.api_keys), None)
        password = settings.admin_password
        # Nobody logs in with the hash of a password; where no key is needed, none of both is.
        known = password if password and not password.reveal().startswith("$argon2id$") else None
        found = cls(settings.hub_url, key, password=known, timeout=timeout)
        context = click.get_current_context(silent=True)
        if context is not None:
            context.call_on_close(found.leave)
        return found

    def get(self, *path: str, query: str = "") -> Any:
        """The JSON answer to a GET of `path`, whose parts are escaped."""
        return self._call("GET", _path(path) + (f"?{query}" if query else ""), None, {})

    def post(self, *path: str, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """The JSON answer to a POST of `document` to `path`."""
        body = json.dumps(document).encode()
        return self._call("POST", _path(path), body, {"Content-Type": "application/json", **(headers or {})})

    def patch(self, *path: str, document: Mapping[str, Any]) -> Any:
        """The JSON answer to a PATCH of `path` with `document`."""
        return self._call("PATCH", _path(path), json.dumps(document).encode(), {"Content-Type": "application/json"})

    def delete(self, *path: str, query: str = "") -> Any:
        """The JSON answer to a DELETE of `path`."""
        return self._call("DELETE", _path(path) + (f"?{query}" if query else ""), None, {})

    def leave(self) -> None:
        """End the log-in, if there was one; whatever the answer is."""
        if self._cookie:
            with contextlib.suppress(Unreachable):
                self._exchange("POST", "/logout", b"", _FORM)
            self._cookie = ""

    def status_of(self, *path: str) -> tuple[int, Any]:
        """HTTP status and answer of a GET, also when it is no success."""
        return self._exchange("GET", _path(path), None, {})

    def _call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Any:
        if self._password and not self._cookie:
            self._log_in(self._password)
        status, answer = self._exchange(method, path, body, headers)
        if status >= 300:
            raise _refusal(status, answer)
        return answer

    def _log_in(self, password: Secret) -> None:
        body = urlencode({"password": password.reveal()}).encode()
        status, answer = self._exchange("POST", "/login", body, _FORM)
        if status >= 400:
            raise _refusal(status, answer)

    def _exchange(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Any]:
        parts = urlsplit(self.url)
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        sent = {"Accept": "application/json", "User-Agent": f"emailhub/{__version__}", **headers}
        if self._key:
            sent["Authorization"] = f"Bearer {self._key.reveal()}"
        if self._password:
            # What only its own pages may ask for, the hub gives to whoever names it as the origin.
            sent["Origin"] = f"{parts.scheme}://{parts.netloc}"
        if self._cookie:
            sent["Cookie"] = self._cookie
        try:
            connection.request(method, parts.path + path, body, sent)
            response = connection.getresponse()
            self._cookie = response.headers.get("Set-Cookie", "").partition(";")[0] or self._cookie
            return response.status, _document(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.url, _reason(error, self._timeout)) from error
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=self._timeout, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=self._timeout)


def _path(parts: tuple[str, ...]) -> str:
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _document(data: bytes) -> Any:
    try:
        return json.loads(data) if data else None
    except ValueError:
        return None


def _reason(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout:g} s"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _refusal(status: int, answer: Any) -> Refused:
    document = answer if isinstance(answer, dict) else {}
    message = str(document.get("message") or f"the answer was HTTP {status}, and not from a hub")
    errors = [item for item in document.get("errors") or () if isinstance(item, dict)]
    problems = [line for item in errors if (line := f"{item.get('field')}: {item.get('message')}") not in message]
    return Refused(status, str(document.get("name") or ""), "\n  ".join([message, *problems]), _STEPS.get(status, ""))


_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_STEPS = {
    401: "set EMAILHUB_API_KEY to a key of the hub",
    403: "set EMAILHUB_API_KEY to a key of the hub that may do this",
    503: "the hub is busy, stopping or full: try again soon; `emailhub check` says more",
}
