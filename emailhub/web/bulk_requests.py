"""What the API takes about jobs over many messages, as documentation."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Struct, UnsetType

from emailhub.core.bulk import FASTEST, IDS, SLOWEST, Action
from emailhub.core.query import LONGEST
from emailhub.web.kinds import Reason, about, limited, one_of


class BulkRequest(Struct, omit_defaults=True):
    """Something to do to many messages: those of a search, or those named."""

    action: Annotated[
        Action,
        about("retry: what is deferred, held, failed, canceled or suppressed; release: what is held", "retry"),
    ]
    query: Annotated[
        str | UnsetType,
        about(
            "the search, as for `GET /emails`", "state:failed code:550", minLength=1, maxLength=LONGEST, format="search"
        ),
    ] = UNSET
    ids: Annotated[
        list[Annotated[str, limited(pattern="^[!-~]{1,64}$")]] | UnsetType,
        about("1 to 100 messages, instead of a search", ["01M86ZVV9FQESMTXYZCHHA5N7M"], minItems=1, maxItems=IDS),
    ] = UNSET
    pace: Annotated[
        float | UnsetType | None,
        about("messages a second; as fast as it goes when left out", 10, minimum=SLOWEST, maximum=FASTEST),
    ] = UNSET
    dry_run: Annotated[bool | UnsetType, about("only say how many it would be", False)] = UNSET
    reason: Annotated[Reason | UnsetType, about("one line of at most 500 characters", "the mailbox is there again")] = (
        UNSET
    )


SENT: tuple[type[Struct], ...] = (BulkRequest,)
"""Every shape of this module: what is sent, and never answered."""
NEEDS: dict[type[Struct], dict[str, object]] = {BulkRequest: one_of("query", "ids")}
"""What holds beside the types of the fields, as JSON Schema."""
