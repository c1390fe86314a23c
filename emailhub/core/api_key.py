"""API keys: what one may do, the secrets that show it, and what a request for a new one says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from emailhub.core import fields, patterns
from emailhub.core.access import ALL, Kind, Principal, Scope
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import BadValueError
from emailhub.core.limits import Rate

NAME = 50
"""Characters of a name."""
DOMAINS = 50
QUOTA = 10**9
KEYS = 1000
"""Keys a hub keeps, revoked ones too."""
LIVE = 2
"""Secrets of one key that may work at a time: an old one while services change over to the new."""
GRACE = 86400.0
"""Seconds the old secret goes on working after a rotation, when nothing else is said."""
FIELDS = ("name", "permission", "scopes", "from_domains", "rate", "daily_quota", "expires_at", "reason")
PERMISSIONS: Mapping[str, frozenset[Scope]] = {"full_access": ALL, "sending_access": frozenset({Scope.SEND})}

DAY = 86400.0

_T = TypeVar("_T")


class Grant(Struct, frozen=True, kw_only=True):
    """What a key is for. See `core.access.Principal`; `expires_at` in unix seconds, None: never."""

    name: str
    scopes: frozenset[Scope] = ALL
    from_domains: tuple[str, ...] = ()
    rates: tuple[Rate, ...] = ()
    quota: int | None = None
    expires_at: float | None = None


class Secret(Struct, frozen=True):
    """One text that shows a key: its SHA-256 and its first characters. It works until `ends_at`, None: no end of its
    own."""

    digest: bytes
    start: str
    created_at: float
    ends_at: float | None = None


class KeyState(StrEnum):
    """Whether a key works, and why not."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Revocation(Struct, frozen=True):
    """When, by whom and why a key was ended."""

    at: float
    actor: str
    reason: str = ""


class ApiKey(Struct, frozen=True, kw_only=True):
    """A key. `secrets` are those that work or will have worked last, the newest first."""

    id: str
    grant: Grant
    created_at: float
    created_by: str
    secrets: tuple[Secret, ...]
    revoked: Revocation | None = None

    def state(self, now: float) -> KeyState:
        """How it stands."""
        if self.revoked is not None:
            return KeyState.REVOKED
        expired = self.grant.expires_at is not None and self.grant.expires_at <= now
        return KeyState.EXPIRED if expired else KeyState.LIVE

    def live(self, now: float) -> tuple[Secret, ...]:
        """The secrets that work now."""
        if self.state(now) is not KeyState.LIVE:
            return ()
        return tuple(secret for secret in self.secrets if secret.ends_at is None or now < secret.ends_at)

    @property
    def principal(self) -> Principal:
        """Who acts with it."""
        grant = self.grant
        return Principal(
            kind=Kind.KEY,
            name=f"key {grant.name}",
            id=self.id,
            scopes=grant.scopes,
            from_domains=grant.from_domains,
            rates=grant.rates,
            quota=grant.quota,
        )


def grant(given: Mapping[str, object], now: float) -> Grant:
    """What a request for a key asks for. Raises InvalidMessage with everything that is wrong."""
    return _Reader(given, now).grant()


class _Reader:
    def __init__(self, given: Mapping[str, object], now: float) -> None:
        self._given = given
        self._now = now
        hint = f"is not a field of this request; the fields are {', '.join(FIELDS)}"
        self._problems = [Problem(fields.shown(name), hint) for name in given if name not in FIELDS]

    def grant(self) -> Grant:
        found = Grant(
            name=self._read("name", _name, ""),
            scopes=self._scopes(),
            from_domains=self._read("from_domains", _domains, ()),
            rates=self._read("rate", _rates, ()),
            quota=self._read("daily_quota", _quota, None),
            expires_at=self._read("expires_at", self._expiry, None),
        )
        if self._given.get("name") is None:
            self._problems.append(Problem("name", "is required"))
        if self._problems:
            raise InvalidMessage(tuple(self._problems))
        return found

    def _read(self, field: str, parse: Callable[[object], _T], otherwise: _T) -> _T:
        value = self._given.get(field)
        if value is None:
            return otherwise
        try:
            return parse(value)
        except BadValueError as error:
            self._problems.append(Problem(field, str(error)))
            return otherwise

    def _scopes(self) -> frozenset[Scope]:
        if self._given.get("scopes") is None:
            return self._read("permission", _permission, ALL)
        if self._given.get("permission") is not None:
            self._problems.append(Problem("scopes", "is given together with permission; give one of the two"))
        return self._read("scopes", _scopes, ALL)

    def _expiry(self, value: object) -> float:
        found = fields.moment(value, self._now, most=fields.LATEST * 10)
        if found <= self._now:
            raise BadValueError("has passed already")
        return found


def _name(value: object) -> str:
    found = fields.string(value)
    if not (found.isprintable() and found == found.strip() and 1 <= len(found) <= NAME):
        raise BadValueError(f"must be 1 to {NAME} printable characters without space around them")
    # The keys of the settings are called by their numbers.
    if found.isdecimal():
        raise BadValueError("must not be a number alone: keys from the settings are called by number")
    return found


def _permission(value: object) -> frozenset[Scope]:
    if not isinstance(value, str) or value not in PERMISSIONS:
        raise BadValueError(f"must be one of {', '.join(PERMISSIONS)}")
    return PERMISSIONS[value]


def _scopes(value: object) -> frozenset[Scope]:
    known = ", ".join(Scope)
    found = fields.items(value, len(Scope), f"must be a list of {known}")
    if not found:
        raise BadValueError(f"is empty; a key needs at least one of {known}")
    if not all(one in list(Scope) for one in found):
        raise BadValueError(f"may hold {known}")
    return frozenset(Scope(str(one)) for one in found)


def _domains(value: object) -> tuple[str, ...]:
    found = fields.items(value, DOMAINS, "must be a list of domains such as example.com or *.example.com")
    return tuple(dict.fromkeys(_pattern(one) for one in found))


def _pattern(value: object) -> str:
    try:
        return patterns.pattern(fields.string(value)[:300])
    except ValueError as error:
        raise BadValueError(f"must be domains such as example.com or *.example.com: {error}") from None


def _rates(value: object) -> tuple[Rate, ...]:
    try:
        texts = [one.strip() for one in fields.string(value)[:200].split(",")]
        return patterns.distinct(tuple(patterns.rate(text) for text in texts if text))
    except ValueError:
        text = "must be rates such as 10/s or 500/hour, with commas between them and one for each span"
        raise BadValueError(text) from None


def _quota(value: object) -> int:
    if isinstance(value, float) and value.is_integer():
        # JSON knows no whole numbers: 100.0 is one.
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= QUOTA:
        raise BadValueError(f"must be a whole number of messages a day, from 1 to {QUOTA}")
    return value


class Use:
    """How a key was used: the messages it gave in a `day` of the unix epoch (UTC), and when each secret was last."""

    __slots__ = ("day", "given", "secrets")

    def __init__(self, day: int = 0, given: int = 0, secrets: dict[bytes, float] | None = None) -> None:
        self.day = day
        self.given = given
        self.secrets = secrets if secrets is not None else {}

    def give(self, count: int, now: float) -> None:
        """`count` messages were given, or with a minus were not given after all."""
        self._turn(now)
        self.given = max(self.given + count, 0)

    def given_on(self, now: float) -> int:
        """How many were given so far on the day `now` is in."""
        self._turn(now)
        return self.given

    @property
    def last(self) -> float | None:
        """When it was used last."""
        return max(self.secrets.values(), default=None)

    def _turn(self, now: float) -> None:
        # Not back to yesterday when the clock is set back a little: that would give the quota anew.
        if (day := int(now // DAY)) > self.day or day < self.day - 1:
            self.day, self.given = day, 0
