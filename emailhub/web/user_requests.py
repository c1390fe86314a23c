"""What the API takes about users, as documentation."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from emailhub.core.access import Role
from emailhub.core.user import LEAST, LONGEST
from emailhub.web.kinds import Reason, about, one_of

_PASSWORD = about(
    "what they log in with", "correct horse battery", format="password", minLength=LEAST, maxLength=LONGEST
)
_WHY = about("one line of at most 500 characters", "joined the team")


class NewUserRequest(Struct, omit_defaults=True):
    """Somebody who may log in to the dashboard."""

    name: Annotated[
        str, about("how they log in, and what records call them", "ann", pattern="^[a-z0-9][a-z0-9._@+-]{0,63}$")
    ]
    role: Annotated[Role, about("viewer: sees; operator: sees and acts", "operator")]
    password: Annotated[str, _PASSWORD]
    reason: Annotated[Reason | UnsetType, _WHY] = UNSET


class UserRequest(Struct, omit_defaults=True):
    """What changes about a user; either ends all their log-ins."""

    role: Annotated[Role | UnsetType, about("viewer: sees; operator: sees and acts", "viewer")] = UNSET
    password: Annotated[str | UnsetType, _PASSWORD] = UNSET
    reason: Annotated[Reason | UnsetType, _WHY] = UNSET


SENT: tuple[type[Struct], ...] = (NewUserRequest, UserRequest)
"""Every shape of this module: what is sent, and never answered."""
NEEDS: dict[type[Struct], dict[str, object]] = {UserRequest: one_of("role", "password")}
"""What holds beside the types of the fields, as JSON Schema."""
