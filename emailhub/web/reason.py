"""Why somebody does something, for the history."""

from __future__ import annotations

from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.fields import shown

_REASON = 500


def reason_in(fields: dict[str, object], allowed: tuple[str, ...]) -> str:
    """The optional `reason`, one line. Raises InvalidMessage, also for fields that are not `allowed`."""
    known = ", ".join(allowed)
    hint = f"is not a field of this request; the fields are {known}"
    problems = [Problem(shown(name), hint) for name in fields if name not in allowed]
    reason = fields.get("reason")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= _REASON and reason.isprintable()):
        problems.append(Problem("reason", f"must be one line of at most {_REASON} printable characters"))
    if problems:
        raise InvalidMessage(tuple(problems))
    return reason if isinstance(reason, str) else ""
