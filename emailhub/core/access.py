"""Who may do what: scopes, roles, and the principal on whose behalf something is asked."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from emailhub.core.limits import Rate
from emailhub.core.routing import matches


class Scope(StrEnum):
    """A kind of thing one may do; none includes another.

    send: give messages, and ask after those by their request id · read: see messages, relays, lists and what happens ·
    admin: change anything, and see who may
    """

    SEND = "send"
    READ = "read"
    ADMIN = "admin"


ALL = frozenset(Scope)
NONE: frozenset[Scope] = frozenset()


class Role(StrEnum):
    """What a person who logs in may do."""

    VIEWER = "viewer"
    OPERATOR = "operator"

    @property
    def scopes(self) -> frozenset[Scope]:
        """A viewer reads, an operator does everything."""
        return ALL if self is Role.OPERATOR else frozenset({Scope.READ})


class Kind(StrEnum):
    """What a principal is: a key, a person, the queue, a network that may send, whoever comes where nothing is asked
    for, or somebody unknown at a public place."""

    KEY = "key"
    ACCOUNT = "account"
    QUEUE = "queue"
    NETWORK = "network"
    OPEN = "open"
    NOBODY = "nobody"


class Principal(Struct, frozen=True, kw_only=True):
    """On whose behalf something is asked. `name` is for records (`admin`, `key billing`), `id` counts what it uses.

    `from_domains` are patterns (`core.routing.matches`) the sender's domain must match, none: any. `rates` hold its
    requests, `quota` the messages it may give in a day (UTC); both on top of what holds everybody.
    """

    kind: Kind
    name: str
    id: str = ""
    scopes: frozenset[Scope] = NONE
    from_domains: tuple[str, ...] = ()
    rates: tuple[Rate, ...] = ()
    quota: int | None = None

    def may(self, needed: frozenset[Scope]) -> bool:
        """Whether it has one of the scopes `needed`."""
        return not self.scopes.isdisjoint(needed)

    def may_send_from(self, domain: str) -> bool:
        """Whether a message may come from `domain` (lower case, ASCII)."""
        return not self.from_domains or any(matches(pattern, domain) for pattern in self.from_domains)


ANYBODY = Principal(kind=Kind.OPEN, name="", scopes=ALL)
"""Whoever nothing is asked of, and who is held to nothing."""
