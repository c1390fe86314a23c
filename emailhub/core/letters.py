"""Dead letters of the queue: bodies that could not be read, kept until somebody has decided about them, and longer."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from emailhub.core.shapes import Properties

NOTE = 500
"""Characters of a reason somebody gives."""
REQUEST_ID = "x-emailhub-request-id"
MESSAGE_ID = "x-emailhub-original-message-id"
ROUTING_KEY = "x-emailhub-original-routing-key"
_OURS = "x-emailhub-"


class LetterStatus(StrEnum):
    """open: nobody has decided yet · resent: it became a message · discarded: it was not worth one."""

    OPEN = "open"
    RESENT = "resent"
    DISCARDED = "discarded"


class Letter(Struct, frozen=True, kw_only=True):
    """A body from the queue that could not be read, and `reason`: why not.

    `body` is None when it is not kept (any more), in a list only its beginning; `size` its bytes as it came. `headers`
    are its publisher's, and ours with what AMQP said of it. Whoever settled it is `actor`, and said why in `note`;
    `message` is the id of the message it became.
    """

    id: int
    at: float
    reason: str
    body: bytes | None
    size: int
    headers: dict[str, str]
    content_type: str
    correlation_id: str
    status: LetterStatus = LetterStatus.OPEN
    settled_at: float | None = None
    actor: str = ""
    note: str = ""
    message: str | None = None

    @property
    def request_id(self) -> str | None:
        """The id its publisher gave the request, where that could be read."""
        return self.headers.get(REQUEST_ID)

    @property
    def routing_key(self) -> str:
        """Under which it was published."""
        return self.headers.get(ROUTING_KEY, "")

    @property
    def given(self) -> dict[str, str]:
        """The headers its publisher set."""
        return {name: value for name, value in self.headers.items() if not name.lower().startswith(_OURS)}

    @property
    def properties(self) -> Properties:
        """What AMQP said of it, to read its body once more."""
        return Properties(
            content_type=self.content_type,
            correlation_id=self.correlation_id,
            message_id=self.headers.get(MESSAGE_ID),
            headers=dict(self.given),
            routing_key=self.routing_key,
        )


class LetterPage(Struct, frozen=True):
    """A page of them, newest first: `older` and `newer` are ids to page from, None at the end."""

    items: tuple[Letter, ...]
    older: int | None
    newer: int | None
