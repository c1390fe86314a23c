"""What goes into the gate and what comes out of it: a knock, and a caller or a denial."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from emailhub.core.access import Principal


class Area(StrEnum):
    """What a request is for; see the table of `gate`."""

    OPEN = "open"
    LOGIN = "login"
    SEND = "send"
    API = "api"
    DASHBOARD = "dashboard"
    SHARED = "shared"


class Knock(Struct, frozen=True, kw_only=True):
    """What a request shows of itself. Headers as sent, None when absent; `host` is None when there is not exactly one.

    `secure_session` is the token of the cookie that counts under HTTPS, `plain_session` of the one under plain HTTP,
    `forwarded` says that some header of a proxy is there, `stream` that the answer is a live stream.
    """

    area: Area
    method: str = "GET"
    peer: str = ""
    scheme: str = "http"
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    authorization: str | None = None
    secure_session: str | None = None
    plain_session: str | None = None
    forwarded_for: str | None = None
    forwarded_proto: str | None = None
    forwarded: bool = False
    stream: bool = False


class Way(StrEnum):
    """How a caller came in: nothing asked, a key, a log-in, a network that may send, or unknown (public areas only)."""

    OPEN = "open"
    KEY = "key"
    SESSION = "session"
    NETWORK = "network"
    NOBODY = "nobody"


class Caller(Struct, frozen=True):
    """Who came in: on whose behalf, and from which address (`client`).

    `scheme` is what the client used (http or https), `session` the token of a log-in, `shown` what the keyring knows
    the key by.
    """

    way: Way
    principal: Principal
    client: str
    scheme: str
    session: str | None = None
    shown: bytes = b""

    @property
    def name(self) -> str:
        """For records of actions: `admin`, `key 1`, `local`."""
        return self.principal.name

    @property
    def trusted(self) -> bool:
        """Whether details of the hub may be shown."""
        return self.way in {Way.OPEN, Way.KEY, Way.SESSION}


class Denial(Struct, frozen=True):
    """Why not: an HTTP `status`, a machine-readable `name`, a sentence with the next step.

    `log_in` says that a log-in would help, `retry_after` how many seconds to wait, `scheme` what the browser used;
    `cross_site`, that the page of another site asked.
    """

    status: int
    name: str
    message: str
    log_in: bool = False
    retry_after: float | None = None
    scheme: str = "http"
    cross_site: bool = False
