"""Every error as one answer: `{"statusCode", "name", "message", "errors": [{"field", "message"}]}`, never a trace."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from litestar.exceptions import HTTPException
from msgspec import Struct

from emailhub import logs
from emailhub.core import errors
from emailhub.core.errors import EmailhubError, Problem
from emailhub.engine.gate import Denial

log = logs.get("http")


class FieldError(Struct, frozen=True):
    """One broken rule: the `field` as the sender named it, and a sentence with the limit."""

    field: str
    message: str


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success. `name` is machine-readable and stable."""

    statusCode: int  # noqa: N815 - the name clients of the API know
    name: str
    message: str
    errors: tuple[FieldError, ...] = ()


class Answer(Struct, frozen=True):
    """An error body with the headers that go with it."""

    body: ErrorBody
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.body.statusCode

    def json(self) -> bytes:
        """The body as sent."""
        return msgspec.json.encode(self.body)


ErrorPage: TypeAlias = Callable[[ErrorBody, bool], str]
"""Makes the HTML page of an error, given whether its reader may see the dashboard."""


class WebError(EmailhubError):
    """An answer a face gives itself: the request, not the message in it, is not acceptable."""

    def __init__(self, status: int, name: str, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.name = name
        self.problems = problems


class BadParameters(EmailhubError, ValueError):
    """Parameters of the path or the query break rules; lists every problem."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


class MissingFields(errors.InvalidMessage):
    """Nothing is wrong with what was given, but required fields are not there."""


def missing(error: errors.InvalidMessage, fields: Mapping[str, object]) -> errors.InvalidMessage:
    """`error`, or MissingFields when all that is wrong is that something was not given in `fields`."""
    given = {name for name, value in fields.items() if value is not None}
    absent = all(problem.field.partition("[")[0].partition(".")[0] not in given for problem in error.problems)
    return MissingFields(error.problems) if absent else error


NAMES = {
    400: "validation_error",
    401: "missing_api_key",
    403: "invalid_permission",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_timeout",
    409: "invalid_state",
    413: "payload_too_large",
    415: "unsupported_media_type",
    421: "misdirected_request",
    422: "validation_error",
    429: "rate_limit_exceeded",
    500: "application_error",
    503: "service_unavailable",
}
_SENTENCES = {
    404: "There is nothing at this address. The addresses are listed at /docs.",
    413: "The request body is too large.",
}
_BUSY = "The outbox cannot take or read anything right now; nothing was changed. Try again."


def answer_of(error: BaseException) -> Answer:
    """What the client is told. Only errors raised on purpose say why; anything else is an `application_error`."""
    if isinstance(error, HTTPException):
        return _routed(error)
    if isinstance(error, WebError):
        return answer(error.status, error.name, str(error), error.problems)
    if isinstance(error, BadParameters):
        return _invalid("invalid_parameter", error.problems)
    if isinstance(error, errors.InvalidMessage):
        return _invalid(_invalid_name(error), error.problems)
    if isinstance(error, EmailhubError):
        return _meant(error)
    return answer(500, "application_error", "emailhub failed on this request. Its log says why, under the request id.")


def forbidden(error: BaseException, reply: Answer) -> str | None:
    """What the audit log is to say of it: not allowed, or not as things stand. None: a mistake, or trouble of ours."""
    refused = reply.status in {403, 409} or isinstance(error, errors.SenderNotAllowed)
    return reply.body.message if refused else None


def note(error: BaseException, reply: Answer, method: str, path: str) -> None:
    """Log what an operator should know of: faults, and what the hub refuses because it is not well."""
    if reply.status == 500:
        log.error("request failed", exc=error, method=method, path=path[:200])
    elif isinstance(error, EmailhubError) and reply.status > 500:
        log.warning("request refused", name=reply.body.name, status=reply.status, error=str(error))


def denied(denial: Denial) -> Answer:
    """The answer to a request that was not let in."""
    headers = (("www-authenticate", "Bearer"),) if denial.status == 401 else ()
    return answer(denial.status, denial.name, denial.message, retry_after=denial.retry_after, headers=headers)


def answer(
    status: int,
    name: str,
    message: str,
    problems: tuple[Problem, ...] = (),
    *,
    retry_after: float | None = None,
    headers: tuple[tuple[str, str], ...] = (),
) -> Answer:
    """An answer from its parts; `retry_after` in seconds, rounded up to whole ones (RFC 9110 §10.2.3)."""
    if retry_after is not None:
        headers = (*headers, ("retry-after", str(max(1, math.ceil(retry_after)))))
    fields = tuple(FieldError(problem.field, problem.message) for problem in problems)
    return Answer(ErrorBody(statusCode=status, name=name, message=message, errors=fields), headers)


def allow(methods: Iterable[str]) -> str:
    """The value of the header Allow: whatever is answered to GET is answered to HEAD."""
    found = set(methods)
    return ", ".join(sorted(found | {"HEAD"} if "GET" in found else found))


def _invalid(name: str, problems: tuple[Problem, ...]) -> Answer:
    return answer(422, name, "; ".join(f"{p.field}: {p.message}" for p in problems[:3]), problems)


_CONFLICTS = (
    errors.WrongState,
    errors.Outdated,
    errors.ReadOnly,
    errors.KeyEnded,
    errors.KeyDoubled,
    errors.JobEnded,
    errors.LetterSettled,
)
"""What cannot be done as things stand."""


def _meant(error: EmailhubError) -> Answer:
    match error:
        case errors.BadSettings():
            return answer(422, "invalid_settings", f"{str(error).capitalize()}.", error.problems)
        case errors.IdempotencyConflict():
            text = f"The key was used before with other content, for message {error.id}. New content needs a new key."
            return answer(409, "invalid_idempotent_request", text)
        case errors.NotFound():
            return answer(404, "not_found", f"There is no {error.kind} {error.id!r}.")
        case _ if isinstance(error, _CONFLICTS):
            return answer(409, "invalid_state", _why_not(error))
        case errors.Refused():
            return answer(error.status, error.name, str(error), retry_after=error.retry_after)
        case errors.OutboxFull():
            text = "The disk of the outbox is full; nothing was accepted. Free some space and try again."
            return answer(503, "disk_full", text, retry_after=60)
        case errors.OutboxError() | errors.BrokerDown():
            return answer(503, "service_unavailable", _BUSY, retry_after=5)
    return answer(400, "validation_error", str(error))


def _invalid_name(error: errors.InvalidMessage) -> str:
    if isinstance(error, MissingFields):
        return "missing_required_field"
    # Clients of the API know one name more: for messages of which only the files are wrong.
    only_files = all(problem.field.startswith("attachments") for problem in error.problems)
    return "invalid_attachment" if only_files else "validation_error"


def _why_not(error: errors.EmailhubError) -> str:
    if isinstance(error, errors.WrongState):
        return f"Cannot {error.verb} message {error.id}: {error.why}."
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


def _routed(error: HTTPException) -> Answer:
    status = error.status_code
    name = NAMES.get(status, "validation_error" if status < 500 else "application_error")
    given = {key.lower(): value for key, value in (error.headers or {}).items()}
    if "allow" in given:
        given["allow"] = allow(given["allow"].split(", "))
    headers = tuple(given.items())
    return answer(status, name, _routed_text(status, dict(headers)), headers=headers)


def _routed_text(status: int, headers: dict[str, str]) -> str:
    if status == 405:
        return f"This address does not know the method; it knows {headers.get('allow', 'others')}."
    return _SENTENCES.get(status) or f"{HTTPStatus(status).phrase}."
