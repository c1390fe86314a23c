"""Users as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.access import Role
from emailhub.core.user import ADMIN, User
from emailhub.web.shapes.times import Time, iso, maybe_iso

Name = Annotated[str, Meta(description="how they log in, and what records call them", examples=["ann"])]


class UserShape(Struct, frozen=True, kw_only=True):
    """Somebody who may log in to the dashboard."""

    object: Literal["user"] = "user"
    name: Name
    role: Annotated[Role, Meta(description="viewer: sees; operator: sees and acts", examples=["operator"])]
    source: Annotated[
        Literal["settings", "database"],
        Meta(description="settings: `admin`, whose password is EMAILHUB_ADMIN_PASSWORD", examples=["database"]),
    ]
    created_at: Annotated[Time | None, Meta(description="null for `admin`")]
    last_login_at: Annotated[Time | None, Meta(description="null before the first log-in, for `admin` of this run")]
    sessions: Annotated[int, Meta(description="log-ins that go on", examples=[1])]

    @classmethod
    def of(cls, user: User, sessions: int) -> UserShape:
        fixed = user.name == ADMIN
        return cls(
            name=user.name,
            role=user.role,
            source="settings" if fixed else "database",
            created_at=None if fixed else iso(user.since),
            last_login_at=maybe_iso(user.last_login),
            sessions=sessions,
        )


class UserList(Struct, frozen=True):
    """Everybody, `admin` first, then by name."""

    data: list[UserShape]
    object: Literal["list"] = "list"


class UserRemoved(Struct, frozen=True, kw_only=True):
    """Somebody who may not log in any more."""

    object: Literal["user"] = "user"
    name: Name
    deleted: bool = True
