"""The API keys that are made while the hub runs: who shows one, made, rotated, revoked, and how they are used.

All of them are in memory, where the gate asks for one at every new kind of request; the store is read once. So what is
changed counts at once, for the next request too.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from base64 import b32encode
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from emailhub import logs
from emailhub.core import mime
from emailhub.core.access import Principal
from emailhub.core.api_key import DAY, GRACE, KEYS, LIVE, ApiKey, Grant, KeyState, Revocation, Secret, Use
from emailhub.core.errors import InvalidMessage, KeyDoubled, KeyEnded, NotFound, OutboxError, Problem, Spent
from emailhub.core.records import Scalar
from emailhub.engine.desk import Actor

PREFIX = "eh_live_"
_RANDOM = 20
"""Bytes of a secret. With 160 random bits nobody finds one by trying, so a fast hash keeps it as well as a slow one
would, and a slow one would cost every service that time at every start of a connection (OWASP, Password Storage: slow
hashes are for what people choose)."""
_SHOWN = len(PREFIX) + 4
"""Characters of a secret that are shown for ever, to tell keys apart: 140 of its bits stay unknown."""
NOTE_SECONDS = 5.0

log = logs.get("keys")


class KeyStore(Protocol):
    """Where keys are kept."""

    async def all(self) -> list[tuple[ApiKey, Use]]: ...
    async def save(self, key: ApiKey, kind: str, at: float, facts: Mapping[str, Scalar]) -> None: ...
    async def note(self, uses: Mapping[str, Use], at: float) -> None: ...


class Shown(Struct, frozen=True):
    """A key just made, with its secret: the only time that is told to anybody."""

    key: ApiKey
    secret: str


class Pass(Struct, frozen=True):
    """Who shows a secret that works, until `until` (unix seconds; infinite: no end is known)."""

    principal: Principal
    until: float
    digest: bytes
    use: Use

    def used(self, now: float) -> None:
        """The secret was shown."""
        self.use.secrets[self.digest] = now


class Keyring:
    """Keys in `store`. `entropy(n)` gives n random bytes; `changed` is called when who may come in has changed."""

    def __init__(self, store: KeyStore, *, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._store = store
        self._now, self._entropy = now, entropy
        self.changed: Callable[[], None] = lambda: None
        self._keys: dict[str, ApiKey] = {}
        self._uses: dict[str, Use] = {}
        self._by_digest: dict[bytes, str] = {}
        self._noted: dict[str, tuple[object, ...]] = {}
        self._changing = asyncio.Lock()

    async def load(self) -> None:
        """Read what is stored. To be called before anything else."""
        self.adopt(await self._store.all())

    def adopt(self, stored: Iterable[tuple[ApiKey, Use]]) -> None:
        """Know these keys from now on."""
        for key, use in stored:
            self._keep(key, use)
        self._noted = {id: _state(use) for id, use in self._uses.items()}

    @property
    def guards(self) -> bool:
        """Whether there is a key that was not revoked: an expired one still closes what a key is asked for."""
        return any(key.revoked is None for key in self._keys.values())

    def find(self, text: str, now: float) -> Pass | None:
        """Who shows `text`, if it works now."""
        return self.holder(digest_of(text), now)

    def holder(self, digest: bytes, now: float) -> Pass | None:
        """The same of a secret that hashes to `digest`."""
        # The lookup tells by its time at most something about the hash of a guess, from which no better guess follows.
        key = self._keys.get(self._by_digest.get(digest, ""))
        if key is None:
            return None
        for secret in key.live(now):
            if hmac.compare_digest(secret.digest, digest):
                ends = [end for end in (secret.ends_at, key.grant.expires_at) if end is not None]
                return Pass(key.principal, min(ends, default=float("inf")), digest, self._uses[key.id])
        return None

    def all(self) -> list[tuple[ApiKey, Use]]:
        """Every key, the newest first, and how it was used."""
        found = [(key, self._uses[key.id]) for key in self._keys.values()]
        return sorted(found, key=lambda pair: (pair[0].created_at, pair[0].id), reverse=True)

    def get(self, id: str) -> tuple[ApiKey, Use]:
        """One key. Raises NotFound."""
        if id not in self._keys:
            raise NotFound("API key", id)
        return self._keys[id], self._uses[id]

    async def create(self, grant: Grant, actor: Actor, reason: str = "") -> Shown:
        """Make a key. Raises InvalidMessage: the name is taken, or there are too many."""
        async with self._changing:
            self._demand_room(grant)
            now = self._now()
            secret, text = self._secret(now)
            id = mime.new_id(now, self._entropy(10))
            key = ApiKey(id=id, grant=grant, created_at=now, created_by=str(actor), secrets=(secret,))
            scopes = " ".join(sorted(grant.scopes))
            await self._save(key, "key_created", actor, reason, {"start": secret.start, "scopes": scopes})
            return Shown(key, text)

    async def rotate(self, id: str, actor: Actor, reason: str = "", *, grace: float = GRACE) -> Shown:
        """Give the key a second secret; the one it has works `grace` seconds longer, 0: not at all.

        Raises NotFound; KeyEnded when it was revoked or has expired; KeyDoubled when two work already.
        """
        async with self._changing:
            key, now = self._changeable(id), self._now()
            live = key.live(now)
            if grace > 0 and len(live) >= LIVE:
                raise KeyDoubled(live[0].start, live[-1].start)
            secret, text = self._secret(now)
            old = tuple(_ended(one, now + grace) for one in live) if grace > 0 else ()
            rotated = replace(key, secrets=(secret, *old))
            await self._save(rotated, "key_rotated", actor, reason, {"start": secret.start, "grace": grace})
            return Shown(rotated, text)

    async def revoke(self, id: str, actor: Actor, reason: str = "") -> ApiKey:
        """End the key at once and for good; one that has ended stays as it is. Raises NotFound."""
        async with self._changing:
            key, _ = self.get(id)
            if key.revoked is not None:
                return key
            ended = replace(key, revoked=Revocation(self._now(), str(actor), reason))
            await self._save(ended, "key_revoked", actor, reason, {})
            return ended

    def spend(self, principal: Principal, count: int = 1) -> None:
        """Count `count` messages that `principal` gives. Raises Spent when that is more than its quota of the day."""
        use = self._uses.get(principal.id)
        if use is None:
            return
        now = self._now()
        if principal.quota is not None and use.given_on(now) + count > principal.quota:
            raise Spent(principal.name, principal.quota, retry_after=DAY - now % DAY)
        use.give(count, now)

    def give_back(self, principal: Principal, count: int = 1) -> None:
        """They were not given after all."""
        use = self._uses.get(principal.id)
        if use is not None:
            use.give(-count, self._now())

    async def run(self) -> None:
        """Note now and then how the keys are used, until cancelled."""
        while True:
            await asyncio.sleep(NOTE_SECONDS)
            try:
                await self.note()
            except OutboxError as error:
                log.warning("use of keys not noted", error=str(error))

    async def note(self) -> None:
        """Note how the keys were used since the last time."""
        states = {id: _state(use) for id, use in self._uses.items()}
        changed = {id: self._uses[id] for id, state in states.items() if self._noted.get(id) != state}
        if changed:
            await self._store.note(changed, self._now())
            self._noted |= {id: states[id] for id in changed}

    def _secret(self, now: float) -> tuple[Secret, str]:
        text = PREFIX + b32encode(self._entropy(_RANDOM)).decode().lower()
        return Secret(digest_of(text), text[:_SHOWN], now), text

    def _demand_room(self, grant: Grant) -> None:
        if len(self._keys) >= KEYS:
            raise InvalidMessage((Problem("name", f"would make one more than {KEYS} keys"),))
        if any(key.revoked is None and key.grant.name == grant.name for key in self._keys.values()):
            raise InvalidMessage((Problem("name", "is the name of another key; rotate that, or revoke it first"),))

    def _changeable(self, id: str) -> ApiKey:
        key, _ = self.get(id)
        state = key.state(self._now())
        if state is not KeyState.LIVE:
            raise KeyEnded(key.grant.name, state)
        return key

    async def _save(self, key: ApiKey, kind: str, actor: Actor, reason: str, facts: Mapping[str, Scalar]) -> None:
        told: dict[str, Scalar] = {**facts, "actor": str(actor), "face": actor.face, "note": reason}
        await self._store.save(key, kind, self._now(), told)
        self._keep(key, self._uses.get(key.id) or Use())
        self.changed()
        log.warning(kind.replace("_", " "), key=key.grant.name, id=key.id, actor=str(actor), note=reason)

    def _keep(self, key: ApiKey, use: Use) -> None:
        before = self._keys.get(key.id)
        for secret in before.secrets if before else ():
            self._by_digest.pop(secret.digest, None)
        self._keys[key.id], self._uses[key.id] = key, use
        use.secrets = {one.digest: use.secrets[one.digest] for one in key.secrets if one.digest in use.secrets}
        self._by_digest |= {secret.digest: key.id for secret in key.secrets}


def digest_of(text: str) -> bytes:
    """What is kept of a secret."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _ended(secret: Secret, at: float) -> Secret:
    return replace(secret, ends_at=at if secret.ends_at is None else min(at, secret.ends_at))


def _state(use: Use) -> tuple[object, ...]:
    return (use.day, use.given, *sorted(use.secrets.items()))
