"""The operations of the API, one row each: the OpenAPI document and the reference page are made from this table."""

from __future__ import annotations

from emailhub.web.operations.audit import AUDIT
from emailhub.web.operations.bulk import BULK
from emailhub.web.operations.hub import HUB
from emailhub.web.operations.keys import KEYS
from emailhub.web.operations.letters import LETTERS
from emailhub.web.operations.messages import MESSAGES
from emailhub.web.operations.operation import Input, Operation
from emailhub.web.operations.original import ORIGINAL
from emailhub.web.operations.suppressions import SUPPRESSIONS
from emailhub.web.operations.templates import TEMPLATES
from emailhub.web.operations.users import USERS
from emailhub.web.operations.watching import DOCUMENT, STREAM, TEXT, WATCHING

__all__ = ["DOCUMENT", "OPERATIONS", "STREAM", "TEXT", "Input", "Operation"]

OPERATIONS: tuple[Operation, ...] = (
    *MESSAGES,
    *BULK,
    *LETTERS,
    *TEMPLATES,
    *SUPPRESSIONS,
    *KEYS,
    *HUB,
    *USERS,
    *AUDIT,
    *ORIGINAL,
    *WATCHING,
)
