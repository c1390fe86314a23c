"""Who may come in. A pure decision: the face tells what a request shows, the gate says who it is or why not.

A face without a credential is open on a loopback address and closed on any other. With one it asks for it everywhere.

area        opened by
OPEN        everybody (liveness, static files)
LOGIN       everybody, but closed where the dashboard is
SEND        API key, or an address in EMAILHUB_OPEN_SEND
API         API key, or a dashboard session
DASHBOARD   dashboard session
SHARED      whatever opens the API or the dashboard (live stream, reference, metrics)

Every state change and every live stream must also come from our own pages or from no browser at all, and the Host
asked for must be one of ours: otherwise any page a person visits could act in their name, or read what a loopback
address serves.
"""

from __future__ import annotations

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from emailhub.core.access import ALL, NONE, Kind, Principal, Scope
from emailhub.core.api_key import Use
from emailhub.engine.callers import Area, Caller, Denial, Knock, Way
from emailhub.engine.keyring import Keyring, Pass, digest_of
from emailhub.engine.origins import (
    HostPort,
    Network,
    address,
    client_of,
    host_port,
    same_site,
    scheme_of,
    site_of,
    within,
)

__all__ = ["Access", "Area", "Caller", "Denial", "Gate", "Knock", "People", "Way"]

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REMEMBERED = 1024
_LOCAL = Principal(kind=Kind.OPEN, name="local", scopes=ALL)
_ANYBODY = Principal(kind=Kind.OPEN, name="anybody", scopes=ALL)
_NOBODY = Principal(kind=Kind.NOBODY, name="", scopes=NONE)


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may come in, as configured. `listen` is the address the hub binds, `auth` False opens everything.

    `public_url` is where people reach the hub; its host counts as one of ours, and so do `allowed_hosts` (a leading
    `*.` stands for any subdomain, `*` for any host). `X-Forwarded-*` counts only from `trusted_proxies`.
    """

    listen: str = "127.0.0.1"
    auth: bool = True
    admin_password: str | None = field(default=None, repr=False)
    api_keys: tuple[str, ...] = field(default=(), repr=False)
    open_send: tuple[Network, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    public_url: str | None = None
    trusted_proxies: tuple[Network, ...] = ()

    @property
    def loopback(self) -> bool:
        """Whether only this machine can connect."""
        found = address(self.listen)
        return found.is_loopback if found else self.listen.lower() == "localhost"


class People(Protocol):
    """Those who may log in; `guards` when there is anybody. `changed` is called when who they are has changed."""

    changed: Callable[[], None]

    @property
    def guards(self) -> bool: ...
    def use(self, token: str, now: float) -> Principal | None: ...
    def alive(self, token: str, now: float) -> bool: ...
    def name_of(self, token: str, now: float) -> str: ...


class Gate:
    """Decides by `access`, by `keyring`, which has the keys made meanwhile, and by `people`, who log in.

    No method reads a clock.
    """

    def __init__(self, access: Access, *, people: People | None = None, keyring: Keyring | None = None) -> None:
        self._access = access
        self._settings_keys = tuple(_settings_key(number, key) for number, key in enumerate(access.api_keys, 1))
        self._keyring = keyring
        if keyring is not None:
            keyring.changed = self.forget
        self._people = people
        if people is not None:
            people.changed = self.forget
        self._public = site_of(access.public_url) if access.public_url else None
        self._names = _names(access, self._public)
        self._admitted: dict[Knock, _Admitted] = {}

    @property
    def asks_for_password(self) -> bool:
        """Whether the dashboard has a log-in at all."""
        return self._access.auth and self._has_people

    def admit(self, knock: Knock, now: float) -> Caller | Denial:
        """Who this is, or why it may not come in."""
        if knock.plain_session is not None or knock.secure_session is not None:
            return self._judge(knock, self._key(knock.authorization, now), now)
        # Without a session only keys and configuration decide, and services knock in the same way again and again.
        known = self._admitted.get(knock)
        if known is not None and now < known.until:
            if known.shown is not None:
                known.shown.used(now)
            return known.caller
        shown = self._key(knock.authorization, now)
        found = self._judge(knock, shown, now)
        if isinstance(found, Caller):
            if len(self._admitted) >= _REMEMBERED:
                self._admitted.clear()
            self._admitted[knock] = _Admitted(found, shown.until if shown else math.inf, shown)
        return found

    def whose(self, knock: Knock, now: float) -> tuple[str, str]:
        """The name of whoever shows a key or a log-in, "" when nobody does, and the address it comes from.

        For the record of what was not let in; nothing is opened by it.
        """
        client = client_of(knock.peer, knock.forwarded_for, self._access.trusted_proxies)
        shown = self._key(knock.authorization, now)
        if shown is not None:
            return shown.principal.name, client
        session = knock.secure_session or knock.plain_session
        return (self._people.name_of(session, now) if session and self._people else ""), client

    def forget(self) -> None:
        """Look at everybody anew: keys or people have changed."""
        self._admitted.clear()

    @property
    def settings_keys(self) -> tuple[tuple[Principal, Use], ...]:
        """The keys of the configuration, and how they were used since the hub was started."""
        return tuple((shown.principal, shown.use) for shown in self._settings_keys)

    @property
    def _has_people(self) -> bool:
        return self._access.admin_password is not None or (self._people is not None and self._people.guards)

    @property
    def _has_keys(self) -> bool:
        return bool(self._settings_keys) or (self._keyring is not None and self._keyring.guards)

    def _judge(self, knock: Knock, shown: Pass | None, now: float) -> Caller | Denial:
        host = host_port(knock.host) if knock.host else None
        client = client_of(knock.peer, knock.forwarded_for, self._access.trusted_proxies)
        scheme = self._scheme(knock, host)
        if host is None:
            return Denial(400, "validation_error", "The request needs exactly one Host header with a host in it.")
        if shown is not None:
            shown.used(now)
        denial = self._misdirected(knock, host, client, shown) or self._cross_site(knock, host, scheme)
        if denial:
            return denial
        return self._identify(knock, host, client, scheme, shown, now)

    def still_in(self, caller: Caller, now: float) -> bool:
        """Whether a caller admitted earlier would still be: a long answer ends with what opened it, a log-in, a key, or
        that a face asked for neither."""
        if caller.way is Way.SESSION:
            return self._people is not None and self._people.alive(caller.session or "", now)
        if caller.way is Way.OPEN:
            return not (self._access.auth and self._has_keys and self._has_people)
        return caller.way is not Way.KEY or self._works(caller.shown, now)

    def _works(self, digest: bytes, now: float) -> bool:
        fixed = any(one.digest == digest for one in self._settings_keys)
        return fixed or (self._keyring is not None and self._keyring.holder(digest, now) is not None)

    def _scheme(self, knock: Knock, host: HostPort | None) -> str:
        if self._public and host and self._is_public(host):
            return self._public[0]
        return scheme_of(knock.peer, knock.scheme, knock.forwarded_proto, self._access.trusted_proxies)

    def _is_public(self, host: HostPort) -> bool:
        return self._public is not None and (host.name, host.port) == (self._public[1].name, self._public[1].port)

    def _key(self, authorization: str | None, now: float) -> Pass | None:
        """Whose key is shown, when it is one of ours. Those of the settings are all compared, so that time tells
        nothing."""
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        digest = digest_of(text.strip())
        hits = [hmac.compare_digest(digest, one.digest) for one in self._settings_keys]
        if any(hits):
            return self._settings_keys[hits.index(True)]
        return self._keyring.find(text.strip(), now) if self._keyring else None

    def _misdirected(self, knock: Knock, host: HostPort, client: str, key: Pass | None) -> Denial | None:
        if key or self._ours(host) or (self._may_send(knock, client) and _no_browser(knock)):
            return None
        return Denial(
            421,
            "misdirected_request",
            f"{host.name!r} is not a host of this hub. Add it to EMAILHUB_ALLOWED_HOSTS, or ask for its IP address.",
        )

    def _ours(self, host: HostPort) -> bool:
        # An address cannot be pointed at us by somebody else's DNS, a name can.
        if host.address or host.is_loopback or host.name in self._names or "*" in self._names:
            return True
        return any(name.startswith("*.") and host.name.endswith(name[1:]) for name in self._names)

    def _cross_site(self, knock: Knock, host: HostPort, scheme: str) -> Denial | None:
        if knock.method in SAFE_METHODS and not knock.stream:
            return None
        if knock.fetch_site is not None and knock.fetch_site not in {"same-origin", "none"}:
            return _CROSS_SITE
        if knock.origin is None or same_site(knock.origin, scheme, host) or self._from_public(knock.origin):
            return None
        return _CROSS_SITE

    def _from_public(self, origin: str) -> bool:
        return self._public is not None and same_site(origin, self._public[0], self._public[1])

    def _identify(
        self, knock: Knock, host: HostPort, client: str, scheme: str, key: Pass | None, now: float
    ) -> Caller | Denial:
        area = knock.area
        if key and area is not Area.DASHBOARD:
            return Caller(Way.KEY, key.principal, client, scheme, shown=key.digest)
        if self._is_open(area, knock, host):
            return Caller(Way.OPEN, _LOCAL if self._access.auth else _ANYBODY, client, scheme)
        session = knock.secure_session if scheme == "https" else knock.plain_session
        person = self._people.use(session, now) if self._people and session and area is not Area.SEND else None
        if person is not None:
            # Browsers name the origin of every such request; a cookie without one was not sent by our pages.
            stray = knock.method not in SAFE_METHODS and _no_browser(knock)
            return _CROSS_SITE if stray else Caller(Way.SESSION, person, client, scheme, session)
        if self._may_send(knock, client):
            return Caller(Way.NETWORK, _network(client), client, scheme)
        if area is Area.OPEN or (area is Area.LOGIN and self._has_people):
            return Caller(Way.NOBODY, _NOBODY, client, scheme)
        return self._refusal(knock, scheme)

    def _may_send(self, knock: Knock, client: str) -> bool:
        return knock.area is Area.SEND and (not self._access.auth or within(client, self._access.open_send))

    def _is_open(self, area: Area, knock: Knock, host: HostPort) -> bool:
        if not self._access.auth:
            return True
        # A proxy on this machine makes the whole world look local.
        local = self._access.loopback and not knock.forwarded and (host.is_loopback or not self._is_public(host))
        api, dashboard = local and not self._has_keys, local and not self._has_people
        opened = {Area.SEND: api, Area.API: api, Area.DASHBOARD: dashboard, Area.LOGIN: dashboard}
        return opened.get(area, api or dashboard)

    def _refusal(self, knock: Knock, scheme: str) -> Denial:
        if knock.area in {Area.DASHBOARD, Area.LOGIN}:
            if not self._has_people:
                return Denial(403, "invalid_permission", self._closed("dashboard", "EMAILHUB_ADMIN_PASSWORD"))
            return Denial(401, "not_logged_in", "Log in first.", log_in=True, scheme=scheme)
        log_in = knock.area is Area.SHARED and self._has_people
        if not self._has_keys and not log_in:
            return Denial(403, "invalid_permission", self._closed("API", "EMAILHUB_API_KEYS", _NO_KEY))
        scheme_given, _, key = (knock.authorization or "").partition(" ")
        if scheme_given.lower() != "bearer" or not key.strip():
            text = "This needs an API key: send the header `Authorization: Bearer <key>`."
            return Denial(401, "missing_api_key", text, log_in=log_in, scheme=scheme)
        return Denial(403, "invalid_api_key", _NOT_A_KEY)

    def _closed(self, face: str, variable: str, more: str = "") -> str:
        why = f"the hub listens on {self._access.listen}"
        if self._access.loopback:
            why = "the request came through a proxy, so it does not count as local"
        return f"The {face} is closed: {why} and {variable} is not set. Set it and start the hub again{more}."


class _Admitted(NamedTuple):
    """Who was let in, how long that is sure, and the key that was shown."""

    caller: Caller
    until: float
    shown: Pass | None


_NO_KEY = ", or make a key on the dashboard or with `emailhub keys create`"
_NOT_A_KEY = "The API key is not one of this hub's keys, or it was revoked or has expired."
_CROSS_SITE = Denial(
    403,
    "invalid_permission",
    "The request comes from another site. If it is your own page behind a proxy, set EMAILHUB_PUBLIC_URL.",
    cross_site=True,
)


def _settings_key(number: int, key: str) -> Pass:
    principal = Principal(kind=Kind.KEY, name=f"key {number}", id=f"settings-{number}", scopes=ALL)
    return Pass(principal, math.inf, digest_of(key), Use())


def _network(client: str) -> Principal:
    return Principal(kind=Kind.NETWORK, name=client, id=client, scopes=frozenset({Scope.SEND}))


def _no_browser(knock: Knock) -> bool:
    return knock.origin is None and knock.fetch_site is None


def _names(access: Access, public: tuple[str, HostPort] | None) -> frozenset[str]:
    names = {access.listen, *access.allowed_hosts} | ({public[1].name} if public else set())
    return frozenset(name.lower().rstrip(".") for name in names)
