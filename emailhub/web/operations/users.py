"""Operations on users."""

from __future__ import annotations

from emailhub.web import shapes as told
from emailhub.web import user_requests as asked
from emailhub.web.operations.operation import BODY, STRING, Input, Operation

_NAME = Input("name", "path", "the user's name", STRING, required=True)
_WORDS: dict[str, object] = {"type": "string", "maxLength": 320}
_REASON = Input("reason", "query", "why, for the history", _WORDS)

USERS: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/users",
        group="Users",
        summary="List the users",
        meaning="Who may log in to the dashboard. With `Accept: text/html` this address is its page.",
        answer=told.UserList,
    ),
    Operation(
        method="post",
        path="/users",
        group="Users",
        summary="Add a user",
        meaning="On a hub whose dashboard is open, the first user closes it to whoever does not log in, and must "
        "therefore be an operator.",
        body=asked.NewUserRequest,
        answer=told.UserShape,
        errors=BODY,
    ),
    Operation(
        method="patch",
        path="/users/{name}",
        group="Users",
        summary="Change a user",
        meaning="Another role or password. All their log-ins end at once. `admin` is changed in the settings.",
        inputs=(_NAME,),
        body=asked.UserRequest,
        answer=told.UserShape,
        errors=(*BODY, 404),
    ),
    Operation(
        method="delete",
        path="/users/{name}",
        group="Users",
        summary="Remove a user",
        meaning="All their log-ins end at once. What they did stays in the audit log.",
        inputs=(_NAME, _REASON),
        answer=told.UserRemoved,
        errors=(404, 422),
    ),
    Operation(
        method="delete",
        path="/users/{name}/sessions",
        group="Users",
        summary="Log a user out everywhere",
        inputs=(_NAME, _REASON),
        answer=told.UserShape,
        errors=(404, 422),
    ),
)
