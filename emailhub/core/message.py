"""A message as its sender gave it, every field parsed and within its limits."""

from __future__ import annotations

from enum import IntEnum

from msgspec import Struct, field

from emailhub.core.delivery import OnUnknown
from emailhub.core.errors import Problem


class Mailbox(Struct, frozen=True):
    """An address: `address` is the addr-spec with an ASCII domain, `name` the display name or ""."""

    address: str
    name: str = ""


class Priority(IntEnum):
    """Which due message goes first; the smaller number."""

    HIGH = 0
    NORMAL = 1
    LOW = 2


class Limits(Struct, frozen=True):
    """What intake allows: recipients over to+cc+bcc, bytes of MIME, characters of the subject."""

    recipients: int = 50
    size: int = 10 * 1024 * 1024
    subject: int = 998


class Key(Struct, frozen=True):
    """An idempotency key. `explicit` keys conflict on other content; implicit ones (`message_id`,
    `notification_id`) only match together with the same content.

    `batch` is the fingerprint of the batch the key was given for: it stands for all its messages, in their order.
    """

    value: str
    explicit: bool = True
    batch: bytes = b""


class Attachment(Struct, frozen=True, kw_only=True):
    """A file that goes with a message. `content_type` None: what `filename` says.

    With a `content_id` the html shows it in its place (`cid:…`). `path` is the URL that its content is fetched from
    before the message is built, None when it was given.
    """

    filename: str = ""
    content: bytes = b""
    content_type: str | None = None
    content_id: str = ""
    path: str | None = None


class TemplateUse(Struct, frozen=True, kw_only=True):
    """The template a message asks for, the language it wants ("": any), and the values it brings, as given."""

    id: str
    language: str = ""
    variables: dict[str, object] = field(default_factory=dict)


class Made(Struct, frozen=True):
    """What a message was made from: the template's `id`, the `version` of its words and the `language` of a file's.

    The id of a stored template, or the name of one in files, whose version is the beginning of a hash.
    """

    id: str
    version: str
    language: str = ""


class Again(Struct, frozen=True, kw_only=True):
    """The message that is sent again: its `id`, its bytes, and how many `files` are in them; who wants it and why.

    `renamed`: its header is to name others than it does.
    """

    id: str
    content: bytes
    renamed: bool = False
    files: int = 0
    actor: str = ""
    note: str = ""


class Submission(Struct, frozen=True, kw_only=True):
    """What a sender gave. None means "not given": the hub's default applies and the fingerprint leaves it out.

    `scheduled_as`: the words that `scheduled_at` was given in, which mean another time when they are given again.
    With a `template` there is no text and no html until it is rendered, and the subject may be "". `original` is the
    message before that, what its sender gave, and `made` says from which words it was made. `late`: why it can be no
    new message, as a time it names is over; the one that was accepted under its key in time is still its answer. `over`
    names the one relay that may carry it, `again` the message whose content it has; no sender can ask for either.
    """

    to: tuple[Mailbox, ...]
    cc: tuple[Mailbox, ...] = ()
    bcc: tuple[Mailbox, ...] = ()
    sender: Mailbox | None = None
    reply_to: tuple[Mailbox, ...] = ()
    subject: str
    text: str | None = None
    html: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    template: TemplateUse | None = None
    original: Submission | None = None
    made: Made | None = None
    attachments: tuple[Attachment, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    metadata: tuple[tuple[str, str], ...] = ()
    request_id: str | None = None
    key: Key | None = None
    on_unknown: OnUnknown | None = None
    priority: Priority | None = None
    scheduled_at: float | None = None
    scheduled_as: str | None = None
    expires_at: float | None = None
    correlation_id: str | None = None
    store_body: bool = True
    late: Problem | None = None
    over: str | None = None
    again: Again | None = None

    @property
    def files(self) -> int:
        """How many attachments it has."""
        return len(self.attachments) if self.again is None else self.again.files

    @property
    def weight(self) -> int:
        """About how much work its bytes are, as characters of text: those of its texts and the bytes of its files.

        A long header is folded word by word, at about five times the price, and what is not ASCII in it or in a name
        is encoded character by character, at fifty times.
        """
        found = len(self.text or "") + len(self.html or "")
        if self.again is not None:
            found += len(self.again.content)
        if self.attachments:
            found += sum(len(file.content) for file in self.attachments)
        if self.headers:
            found += sum(_price(value) for _, value in self.headers)
        for boxes in (self.to, self.cc, self.bcc, self.reply_to):
            if len(boxes) > 1:
                found += sum(100 + _price(box.name) for box in boxes)
        return found


def _price(value: str) -> int:
    return len(value) * (5 if value.isascii() and "=?" not in value else 50)
