"""What the API takes about its keys, as documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Struct, UnsetType

from emailhub.core.access import Scope
from emailhub.core.api_key import DOMAINS, QUOTA
from emailhub.web.kinds import Duration, Instant, Reason, about, limited

_Pattern = Annotated[str, limited(minLength=1, maxLength=255, format="domain-pattern")]


class NewKeyRequest(Struct, omit_defaults=True):
    """A key to make: without `permission` and `scopes` it may do everything."""

    name: Annotated[
        str,
        about(
            "what it is called in records, in printable characters; no other key that works has it",
            "billing",
            minLength=1,
            maxLength=50,
            format="key-name",
        ),
    ]
    permission: Annotated[
        Literal["full_access", "sending_access"] | UnsetType,
        about("full_access: all scopes; sending_access: `send` alone; instead of scopes", "sending_access"),
    ] = UNSET
    scopes: Annotated[
        list[Scope] | UnsetType,
        about("what it may do; none includes another", ["send"], minItems=1, maxItems=3),
    ] = UNSET
    from_domains: Annotated[
        list[_Pattern] | UnsetType,
        about("domains it may send from, none: any; `*.` for sub-domains", ["example.com"], maxItems=DOMAINS),
    ] = UNSET
    rate: Annotated[
        Annotated[str, limited(format="rates")] | UnsetType,
        about("most requests in a span, with commas between several", "10/s"),
    ] = UNSET
    daily_quota: Annotated[int | UnsetType, about("most messages in a day (UTC)", 5000, minimum=1, maximum=QUOTA)] = (
        UNSET
    )
    expires_at: Annotated[
        Instant | UnsetType, about("when it ends, at most ten years ahead", "2027-01-31T09:30:00Z")
    ] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "for the new service")] = UNSET


class RotateRequest(Struct, omit_defaults=True):
    """How a key gets its new secret."""

    grace: Annotated[
        Duration | Literal[0, "0"] | UnsetType, about("how long the old secret still works, 24h when left out", "24h")
    ] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "yearly")] = UNSET


SENT: tuple[type[Struct], ...] = (NewKeyRequest, RotateRequest)
"""Every shape of this module: what is sent, and never answered."""
