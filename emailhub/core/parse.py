"""From the fields a sender gave, over any face, to a Submission: types, limits and safety, every problem at once.

Fields (null means not given): `from`, `to`, `cc`, `bcc`, `reply_to` (a string or a list of strings), `subject`, `text`,
`html`, `body` (html when it contains an HTML tag, otherwise text), `template` {id, variables, language} in place of
these three, `attachments` [{filename, content, content_type, content_id, path}], `headers` {name: value},
`unsubscribe_url` (https), `tags` [{name, value}], `metadata` {name: string or number}, `request_id`, `idempotency_key`,
`on_unknown`, `priority`, `scheduled_at`, `expires_at`, `expires_in`, `correlation_id`, `store_body`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from emailhub.core import attachment
from emailhub.core import fields as read
from emailhub.core.address import parse_list, parse_mailbox
from emailhub.core.delivery import OnUnknown
from emailhub.core.errors import InvalidMessage, Problem
from emailhub.core.message import Attachment, Key, Limits, Mailbox, Priority, Submission, TemplateUse
from emailhub.core.template_use import template_use

PROBLEMS = 100
"""Problems told at once; a list of a million bad addresses is not answered with a million sentences."""

FIELDS = (
    *("from", "to", "cc", "bcc", "reply_to", "subject", "text", "html", "body", "template", "attachments"),
    *("headers", "unsubscribe_url", "tags", "metadata"),
    *("request_id", "idempotency_key", "on_unknown", "priority", "scheduled_at", "expires_at", "expires_in"),
    *("correlation_id", "store_body"),
)
"""Every field a message can have, as senders name it."""
_KNOWN = frozenset(FIELDS)
_TIMES = frozenset({"scheduled_at", "expires_at", "expires_in"})
_POLICIES = {policy.value: policy for policy in OnUnknown}
_PRIORITIES = {priority.name.lower(): priority for priority in Priority}
_ELEMENTS = (
    "a|abbr|b|blockquote|body|br|button|center|code|dd|div|dl|dt|em|font|footer|h[1-6]|head|header|hr|html|i|img|li|link|"
    "main|meta|ol|p|pre|s|section|small|span|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|u|ul"
)
# Known elements only: `Ada <ada@example.org>` and `<name>` in a plain text must stay text.
_TAGGED = re.compile(rf"<(?:!doctype\s|!--|/?(?:{_ELEMENTS})(?:\s[^<>]*)?/?>)", re.IGNORECASE)

_T = TypeVar("_T")


def submission(fields: Mapping[str, object], limits: Limits, *, now: float, key: Key | None = None) -> Submission:
    """The message `fields` describe. Raises InvalidMessage with every problem, at most PROBLEMS of them.

    The idempotency key is `idempotency_key`, else `request_id`; `key`, when the face found one elsewhere (an HTTP
    header, an AMQP property), goes before both. The size of the finished message is the caller's to check.
    """
    form = _Form(fields, limits)
    to, cc, bcc = form.recipients()
    template, (text, html) = form.template(), form.content()
    request_id = form.take("request_id", read.request_id)
    own_key = form.take("idempotency_key", read.idempotency_key) or request_id
    scheduled_at, scheduled_as, expires_at = form.times(now)
    result = Submission(
        to=to,
        cc=cc,
        bcc=bcc,
        sender=form.take("from", _sender),
        reply_to=form.boxes("reply_to"),
        subject=form.subject(),
        text=text,
        html=html,
        template=template,
        attachments=form.attachments(),
        headers=form.headers(),
        tags=form.tags(),
        metadata=form.metadata(),
        request_id=request_id,
        key=key or (Key(own_key) if own_key else None),
        on_unknown=form.take("on_unknown", lambda value: read.choice(value, _POLICIES)),
        priority=form.take("priority", lambda value: read.choice(value, _PRIORITIES)),
        scheduled_at=scheduled_at,
        scheduled_as=scheduled_as,
        expires_at=expires_at,
        correlation_id=form.take("correlation_id", read.correlation_id),
        store_body=form.take("store_body", read.boolean) is not False,
        late=form.late,
    )
    form.unknown()
    if form.problems:
        form.problems += [form.late] if form.late else []
        raise InvalidMessage(tuple(form.problems[:PROBLEMS]))
    return result


def is_html(body: str) -> bool:
    """Whether `body` contains an HTML tag (in its first 65,536 characters, so that no body takes long)."""
    return _TAGGED.search(body, 0, 65_536) is not None


class _Form:
    """The given fields and the problems found in them so far."""

    def __init__(self, fields: Mapping[str, object], limits: Limits) -> None:
        self.fields = fields
        self.limits = limits
        self.problems: list[Problem] = []
        self.late: Problem | None = None

    def problem(self, field: str, sentence: str) -> None:
        self.problems.append(Problem(field, sentence))

    def take(self, field: str, reader: Callable[[object], _T]) -> _T | None:
        """The field as `reader` reads it; None when it is not given, or bad and noted."""
        value = self.fields.get(field)
        return None if value is None else self.read(field, value, reader)

    def read(self, field: str, value: object, reader: Callable[[object], _T]) -> _T | None:
        try:
            return reader(value)
        except read.BadValueError as error:
            self.problem(field, str(error))
        except InvalidMessage as error:
            self.problems += error.problems
        return None

    def boxes(self, field: str) -> tuple[Mailbox, ...]:
        if self.fields.get(field) is None:
            return ()
        return self.take(field, lambda value: _boxes(value, field, self.limits.recipients)) or ()

    def recipients(self) -> tuple[tuple[Mailbox, ...], tuple[Mailbox, ...], tuple[Mailbox, ...]]:
        """To, cc and bcc without repetitions: the first mention of an address counts."""
        before = len(self.problems)
        seen: set[str] = set()
        to, cc, bcc = [_unseen(self.boxes(field), seen) for field in ("to", "cc", "bcc")]
        most = self.limits.recipients
        if len(self.problems) == before and not seen:
            self.problem("to", "is required: one address or a list of addresses")
        elif len(seen) > most:
            self.problem("to", f"has {len(seen)} recipients together with cc and bcc; at most {most} are allowed")
        return to, cc, bcc

    def subject(self) -> str:
        longest = self.limits.subject
        if self.fields.get("subject") is None and self.fields.get("template") is None:
            self.problem("subject", f"is required: 1 to {longest} characters")
        return self.take("subject", lambda value: read.line(value, longest)) or ""

    def template(self) -> TemplateUse | None:
        given = [field for field in ("text", "html", "body") if self.fields.get(field)]
        if self.fields.get("template") is not None and given:
            self.problem(given[0], "is given together with template, which makes it; give one of the two")
        return self.take("template", template_use)

    def content(self) -> tuple[str | None, str | None]:
        if self.fields.get("template") is not None:
            return None, None
        before = len(self.problems)
        text, html, body = [self.take(field, self._document) or None for field in ("text", "html", "body")]
        if body is not None:
            kind, other = ("html", html) if is_html(body) else ("text", text)
            if other is not None:
                self.problem("body", f"is {kind} like the field {kind}; give one of the two")
            text, html = (text, body) if kind == "html" else (body, html)
        if text is None and html is None and len(self.problems) == before:
            self.problem("text", "is required, or html: the message would be empty")
        return text, html

    def _document(self, value: object) -> str:
        return read.document(value, self.limits.size)

    def attachments(self) -> tuple[Attachment, ...]:
        if self.fields.get("attachments") is None:
            return ()
        most = self.limits.size
        given = self.take("attachments", lambda value: attachment.many(value, most)) or []
        found: list[Attachment] = []
        ids: set[str] = set()
        for number, item in enumerate(given):
            file = self._attachment(f"attachments[{number}]", item, ids)
            found += [file] if file else []
        return tuple(found)

    def _attachment(self, field: str, item: object, ids: set[str]) -> Attachment | None:
        file = self.read(field, item, lambda given: attachment.one(given, field, self.limits.size))
        if file and file.content_id:
            if file.content_id in ids:
                self.problem(f"{field}.content_id", "is that of an earlier attachment; each needs its own")
            ids.add(file.content_id)
        return file

    def headers(self) -> tuple[tuple[str, str], ...]:
        return (*self._given_headers(), *self._unsubscribe())

    def _unsubscribe(self) -> tuple[tuple[str, str], ...]:
        """The two headers that make mail programs show a button to unsubscribe with (RFC 2369, RFC 8058 §3.1)."""
        url = self.take("unsubscribe_url", read.web_address)
        if url is None:
            return ()
        given = self.fields.get("headers")
        names = {str(name).lower() for name in given} if isinstance(given, Mapping) else set()
        if names & {"list-unsubscribe", "list-unsubscribe-post"}:
            self.problem("unsubscribe_url", "is given together with the header it makes; give one of the two")
        return ("List-Unsubscribe", f"<{url}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")

    def _given_headers(self) -> tuple[tuple[str, str], ...]:
        if self.fields.get("headers") is None:
            return ()
        given = self.take("headers", lambda value: read.entries(value, read.HEADERS)) or {}
        found: list[tuple[str, str]] = []
        seen: set[str] = set()
        for name, value in given.items():
            field = f"headers.{read.shown(name)}"
            if name.lower() in seen:
                self.problem(field, "is given twice; upper and lower case make no difference in a header's name")
            seen.add(name.lower())
            if self.read(field, name, lambda given: read.header_name(str(given))):
                found.append((name, self.read(field, value, lambda given: read.line(given, read.HEADER_VALUE)) or ""))
        return tuple(found)

    def tags(self) -> tuple[tuple[str, str], ...]:
        if self.fields.get("tags") is None:
            return ()
        given = self.take("tags", lambda value: read.items(value, read.TAGS)) or []
        found = [self.read(f"tags[{number}]", tag, read.tag) for number, tag in enumerate(given)]
        return tuple(tag for tag in found if tag)

    def metadata(self) -> tuple[tuple[str, str], ...]:
        if self.fields.get("metadata") is None:
            return ()
        given = self.take("metadata", lambda value: read.entries(value, read.METADATA)) or {}
        found = [(name, self._metadatum(name, value)) for name, value in given.items()]
        return tuple((name, value) for name, value in found if value is not None)

    def _metadatum(self, name: str, value: object) -> str | None:
        return self.read(f"metadata.{read.shown(name)}", value, lambda given: read.metadatum(name, given))

    def times(self, now: float) -> tuple[float | None, str | None, float | None]:
        """When to send, in which words that was said, and when to give up.

        `expires_in` counts from the later of `now` and `scheduled_at`.
        """
        if _TIMES.isdisjoint(self.fields):
            return None, None, None
        scheduled_at, words = self.take("scheduled_at", lambda value: read.schedule(value, now)) or (None, None)
        if scheduled_at is not None and read.is_over(scheduled_at, words, now):
            self.late = Problem("scheduled_at", read.OVER)
        expires_at = self.take("expires_at", lambda value: read.moment(value, now))
        expires_in = self.take("expires_in", read.duration)
        start = max(now, scheduled_at or now)
        if expires_in is not None and self.fields.get("expires_at") is not None:
            self.problem("expires_in", "is given together with expires_at; give one of the two")
        elif expires_in is not None:
            expires_at = start + expires_in
        elif expires_at is not None and expires_at <= start:
            why = "is in the past, or not after scheduled_at; the message would never be sent"
            self.late = Problem("expires_at", why)
        return scheduled_at, words, expires_at

    def unknown(self) -> None:
        for field, value in self.fields.items():
            if len(self.problems) >= PROBLEMS:
                return
            if field not in _KNOWN and value is not None:
                near = get_close_matches(field[:64], FIELDS, 1)
                hint = f"did you mean {near[0]}?" if near else f"the fields are {', '.join(FIELDS)}"
                self.problem(read.shown(field), f"is not a field of a message; {hint}")


def _boxes(value: object, field: str, most: int) -> tuple[Mailbox, ...]:
    if isinstance(value, str):
        return parse_list(value, field)
    # Duplicates collapse later; here the count is only bounded, before any of a million items is looked at.
    return parse_list(read.items(value, 10 * most, "must be an address or a list of addresses"), field)


def _sender(value: object) -> Mailbox:
    return parse_mailbox(read.string(value), field="from")


def _unseen(boxes: tuple[Mailbox, ...], seen: set[str]) -> tuple[Mailbox, ...]:
    if len(boxes) <= 1 and not seen:
        seen.update(box.address for box in boxes)
        return boxes
    fresh = []
    for box in boxes:
        if box.address not in seen:
            seen.add(box.address)
            fresh.append(box)
    return tuple(fresh)
