"""Every error emailhub raises on purpose.

EmailhubError
├── InvalidMessage        (ValueError)   what the sender gave breaks a rule; lists every problem
│   ├── TemplateError                    a template cannot be used, or not with these variables
│   └── SenderNotAllowed                 whoever gave it may not send from that domain
├── BadSettings                          settings read anew do not work; lists every problem
├── IdempotencyConflict                  the same key came with other content
├── BatchRefused                         messages of a batch that stands or falls as a whole are not acceptable
├── NotFound              (LookupError)  no such message or relay
├── WrongState                           the verb does not apply to the state the thing is in
├── Outdated                             somebody changed it since it was looked at
├── ReadOnly                             it is kept where the hub does not write
├── KeyEnded                             an API key was revoked or has expired
├── KeyDoubled                           an API key has two secrets that work
├── JobEnded                             a job over many messages is at its end
├── LetterSettled                        somebody decided about a dead letter already
├── Refused                              not now: the hub is full, stopping, or its disk is
│   └── Spent                            the quota of the day is used up
├── LogInRefused                         name or password is not right, or was not looked at
├── BrokerDown                           RabbitMQ did not confirm what was published
├── HookFailed                           a web hook did not take what was posted
├── FetchFailed                          a file was not fetched from its URL
├── TokenFailed                          no access token was given for a login
└── OutboxError                          the database could not be read or written
    ├── OutboxBusy                       another process holds the file
    ├── OutboxFull                       the disk is full
    └── OutboxUnusable                   corrupt, not a database, read-only, or newer than this program
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class EmailhubError(Exception):
    """Base of all errors raised on purpose."""


class Problem(NamedTuple):
    """One broken rule: the `field` as the sender named it (`to[1]`, `subject`) and a sentence with the limit."""

    field: str
    message: str


class InvalidMessage(EmailhubError, ValueError):
    """What the sender gave breaks at least one rule; nothing was stored."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(f"{p.field}: {p.message}" for p in problems))
        self.problems = problems


class TemplateError(InvalidMessage):
    """A template cannot be used, or not with the variables that were given; nothing was stored."""


class SenderNotAllowed(InvalidMessage):
    """Whoever gave it may not send from that domain; nothing was stored."""


class BadSettings(EmailhubError):
    """The settings read anew do not work; nothing was changed. `field` is the variable or key, with its source."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        count = "one setting needs" if len(problems) == 1 else f"{len(problems)} settings need"
        super().__init__(f"nothing was changed: {count} your attention")
        self.problems = problems


class IdempotencyConflict(EmailhubError):
    """The key was used before, for the message `id`, with other content; nothing was stored."""

    def __init__(self, key: str, id: str) -> None:
        super().__init__(f"the key {key!r} was already used with other content, for message {id}")
        self.key = key
        self.id = id


class BatchRefused(EmailhubError):
    """Of a batch that stands or falls as a whole, `reasons` says of which messages, by index, why they are not
    acceptable; nothing was stored."""

    def __init__(self, reasons: Mapping[int, Exception]) -> None:
        super().__init__("; ".join(f"[{index}] {reason}" for index, reason in reasons.items()))
        self.reasons = reasons


class NotFound(EmailhubError, LookupError):
    """There is no `kind` (message, relay) with this id or name."""

    def __init__(self, kind: str, id: str) -> None:
        super().__init__(f"there is no {kind} {id!r}")
        self.kind = kind
        self.id = id


class WrongState(EmailhubError):
    """The verb does not apply to the state the message is in now, or for the reason `why`."""

    def __init__(self, verb: str, id: str, state: str, why: str = "") -> None:
        nothing = f"message {id} is {state}: nothing in it to {verb}"
        super().__init__(f"cannot {verb} message {id}: {why}" if why else nothing)
        self.verb = verb
        self.id = id
        self.why = why or f"it is {state}"


class Outdated(EmailhubError):
    """The template `id` was saved by somebody else meanwhile, as version `newest`; nothing was changed."""

    def __init__(self, id: str, newest: int) -> None:
        super().__init__(f"template {id} was changed meanwhile: its newest version is {newest}")
        self.id = id
        self.newest = newest


class ReadOnly(EmailhubError):
    """The template `id` comes from a file; nothing was changed."""

    def __init__(self, id: str) -> None:
        super().__init__(f"template {id} is kept in files: change it there")
        self.id = id


class Refused(EmailhubError):
    """Not now. `name` is machine-readable, `status` the HTTP status that says it, `retry_after` seconds."""

    def __init__(self, name: str, message: str, *, status: int = 503, retry_after: float = 5.0) -> None:
        super().__init__(message)
        self.name = name
        self.status = status
        self.retry_after = retry_after


class Spent(Refused):
    """`who` gave as many messages today (UTC) as its `quota` allows; nothing was stored."""

    def __init__(self, who: str, quota: int, *, retry_after: float) -> None:
        text = f"The {who} has given the {quota:,} messages it may give in a day (UTC); this one was not accepted."
        super().__init__("daily_quota_exceeded", text, status=429, retry_after=retry_after)


class JobEnded(EmailhubError):
    """The job `id` is at its end (`phase`: done, stopped)."""

    def __init__(self, id: str, phase: str) -> None:
        super().__init__(f"the job {id} is {phase} already")
        self.id = id
        self.phase = phase


class LetterSettled(EmailhubError):
    """The dead letter `id` is `status` (resent, discarded) already; nothing was changed."""

    def __init__(self, id: int, status: str) -> None:
        super().__init__(f"dead letter {id} is {status} already")
        self.id = id
        self.status = status


class KeyEnded(EmailhubError):
    """The key `name` was revoked or has expired (`state`); nothing was changed."""

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"the key {name} is {state} and cannot be changed: create another")
        self.name = name
        self.state = state


class KeyDoubled(EmailhubError):
    """Two secrets of the key work already, the newer beside the `older`; nothing was changed."""

    def __init__(self, newer: str, older: str) -> None:
        super().__init__(
            f"the secret {older}… still works beside {newer}…: wait until it has ended, or rotate with a grace of 0"
        )


class LogInRefused(EmailhubError):
    """Nobody was logged in: `status` 401 when name or password is not right, 429 when it was not even looked at, for
    `retry_after` seconds."""

    def __init__(self, name: str, message: str, *, status: int = 429, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.status = status
        self.retry_after = retry_after


class OutboxError(EmailhubError):
    """The database could not be read or written; what was asked has not happened."""


class OutboxBusy(OutboxError):
    """Another process holds the database file."""


class OutboxFull(OutboxError):
    """The disk that holds the database is full."""


class OutboxUnusable(OutboxError):
    """The file is corrupt, not a database, read-only, or written by a newer emailhub."""


class BrokerDown(EmailhubError):
    """RabbitMQ did not confirm what was published; it is kept and published again."""


class HookFailed(EmailhubError):
    """The receiver of a web hook could not be reached or did not answer 2xx."""


class FetchFailed(EmailhubError):
    """A file was not fetched from its URL; the text says why, to its sender, and nothing of the hub's own network.

    `passing`: it may well be there a moment later.
    """

    def __init__(self, message: str, *, passing: bool = False) -> None:
        super().__init__(message)
        self.passing = passing


class TokenFailed(EmailhubError):
    """No access token was given. `rejected`: our credentials were refused, and asking again would not help."""

    def __init__(self, message: str, *, rejected: bool = False) -> None:
        super().__init__(message)
        self.rejected = rejected
