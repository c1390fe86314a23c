"""API keys as the API answers them: never a secret, but once."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.access import Principal, Scope
from emailhub.core.api_key import ApiKey, KeyState, Use
from emailhub.core.patterns import rates_text
from emailhub.engine.keyring import Shown
from emailhub.web.shapes.times import Time, iso, maybe_iso

Id = Annotated[str, Meta(description="the key's id", examples=["01K6ZB3F1VQ4M8Y2T7N5C0WXDE"])]
Start = Annotated[str, Meta(description="the first characters of the secret", examples=["eh_live_ab12"])]


class KeyMade(Struct, frozen=True, kw_only=True):
    """A key with its secret, which is told this once."""

    object: Literal["api_key"] = "api_key"
    id: Id
    token: Annotated[
        str, Meta(description="the secret; send it as `Authorization: Bearer …`", examples=["eh_live_ab12…"])
    ]
    name: Annotated[str, Meta(examples=["billing"])]
    start: Start

    @classmethod
    def of(cls, made: Shown) -> KeyMade:
        return cls(id=made.key.id, token=made.secret, name=made.key.grant.name, start=made.key.secrets[0].start)


class SecretShape(Struct, frozen=True, kw_only=True):
    """One secret of a key."""

    start: Start
    created_at: Time
    ends_at: Annotated[Time | None, Meta(description="until when it works after a rotation")]
    last_used_at: Time | None


class KeyShape(Struct, frozen=True, kw_only=True):
    """A key, what it may do and how it was used."""

    object: Literal["api_key"] = "api_key"
    id: Id
    name: Annotated[str, Meta(examples=["billing"])]
    state: Annotated[KeyState, Meta(description="whether it works")]
    source: Annotated[Literal["hub", "settings"], Meta(description="where it is kept")]
    scopes: Annotated[list[Scope], Meta(description="what it may do", examples=[["send"]])]
    from_domains: Annotated[list[str], Meta(description="domains it may send from, none: any")]
    rate: Annotated[str | None, Meta(description="most requests in a span", examples=["10/s"])]
    daily_quota: Annotated[int | None, Meta(description="most messages in a day (UTC)")]
    given_today: Annotated[int, Meta(description="messages it gave so far today (UTC)")]
    created_at: Time | None
    created_by: Annotated[str, Meta(examples=["admin from 10.0.0.9"])]
    expires_at: Time | None
    last_used_at: Time | None
    revoked_at: Time | None
    revoked_by: str
    reason: Annotated[str, Meta(description="why it was revoked")]
    secrets: Annotated[list[SecretShape], Meta(description="the newest first; two while services change over")]

    @classmethod
    def of(cls, key: ApiKey, use: Use, now: float) -> KeyShape:
        grant, revoked = key.grant, key.revoked
        return cls(
            id=key.id,
            name=grant.name,
            state=key.state(now),
            source="hub",
            scopes=ordered(grant.scopes),
            from_domains=[*grant.from_domains],
            rate=rates_text(grant.rates) or None,
            daily_quota=grant.quota,
            given_today=use.given_on(now),
            created_at=iso(key.created_at),
            created_by=key.created_by,
            expires_at=maybe_iso(grant.expires_at),
            last_used_at=maybe_iso(use.last),
            revoked_at=maybe_iso(revoked.at if revoked else None),
            revoked_by=revoked.actor if revoked else "",
            reason=revoked.reason if revoked else "",
            secrets=[
                SecretShape(
                    start=one.start,
                    created_at=iso(one.created_at),
                    ends_at=maybe_iso(one.ends_at),
                    last_used_at=maybe_iso(use.secrets.get(one.digest)),
                )
                for one in key.secrets
                if one.ends_at is None or now < one.ends_at
            ],
        )

    @classmethod
    def of_settings(cls, principal: Principal, use: Use) -> KeyShape:
        """A key of EMAILHUB_API_KEYS: it has no name of its own, and nobody knows when it was made."""
        return cls(
            id=principal.id,
            name=principal.name,
            state=KeyState.LIVE,
            source="settings",
            scopes=ordered(principal.scopes),
            from_domains=[],
            rate=None,
            daily_quota=None,
            given_today=0,
            created_at=None,
            created_by="EMAILHUB_API_KEYS",
            expires_at=None,
            last_used_at=maybe_iso(use.last),
            revoked_at=None,
            revoked_by="",
            reason="",
            secrets=[],
        )


class KeyList(Struct, frozen=True):
    """All keys: those of the settings, then the others, the newest first."""

    data: list[KeyShape]
    has_more: bool = False
    object: Literal["list"] = "list"


def ordered(scopes: frozenset[Scope]) -> list[Scope]:
    """In the order everything names them."""
    return [scope for scope in Scope if scope in scopes]
