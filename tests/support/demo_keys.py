"""API keys in memory, for the pages over canned messages."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

from emailhub.core.access import ALL, Scope
from emailhub.core.api_key import DAY, ApiKey, Grant, Revocation, Secret, Use
from emailhub.core.limits import Rate
from emailhub.core.records import Scalar
from emailhub.engine.keyring import Keyring

SEND = frozenset({Scope.SEND})


class NothingKept:
    """See `engine.keyring.KeyStore`: the keyring alone remembers."""

    async def all(self) -> list[tuple[ApiKey, Use]]:
        return []

    async def save(self, key: ApiKey, kind: str, at: float, facts: Mapping[str, Scalar]) -> None: ...
    async def note(self, uses: Mapping[str, Use], at: float) -> None: ...


def demo_keyring(now: Callable[[], float], *, empty: bool) -> Keyring:
    """A keyring with a key in every state, or none."""
    ring = Keyring(NothingKept(), now=now, entropy=secrets.token_bytes)
    ring.adopt([] if empty else _keys(now()))
    return ring


def _keys(now: float) -> list[tuple[ApiKey, Use]]:
    quota = Grant(
        name="newsletter", scopes=SEND, from_domains=("news.example.com",), rates=(Rate(10, 1.0),), quota=5000
    )
    return [
        _key(
            1, Grant(name="billing", scopes=SEND, from_domains=("example.com",)), now, starts=("k3vd", "ab12"), used=12
        ),
        _key(2, quota, now, starts=("9qpt",), used=300, given=1204),
        _key(3, Grant(name="monitoring", scopes=frozenset({Scope.READ})), now, starts=("7zwm",)),
        _key(4, Grant(name="contractor", scopes=ALL, expires_at=now - 2 * DAY), now, starts=("m2hx",), used=200000),
        _key(
            5,
            Grant(name="old shop", scopes=SEND),
            now,
            starts=("c6nr",),
            used=900000,
            revoked=Revocation(now - 9 * DAY, "admin from 10.0.0.7", "the shop moved"),
        ),
    ]


def _key(
    number: int,
    grant: Grant,
    now: float,
    *,
    starts: tuple[str, ...],
    used: float | None = None,
    given: int = 0,
    revoked: Revocation | None = None,
) -> tuple[ApiKey, Use]:
    made = now - (30 + number) * DAY
    made_of = [
        Secret(bytes([number, place]) * 16, f"eh_live_{start}", made, now + 0.8 * DAY if place else None)
        for place, start in enumerate(starts)
    ]
    key = ApiKey(
        id=f"01KDEMOKEY{number:016}",
        grant=grant,
        created_at=made,
        created_by="admin from 10.0.0.7",
        secrets=tuple(made_of),
        revoked=revoked,
    )
    return key, Use(int(now // DAY), given, {made_of[0].digest: now - used} if used is not None else {})
