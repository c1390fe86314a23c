"""Made-up mail, as the services of a small shop would send it, under domains nobody can own (RFC 2606)."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from emailhub.core.delivery import OnUnknown
from emailhub.core.message import Mailbox, Priority, Submission
from emailhub.core.records import Origin

SHOP, NEWS, PARTNER = "example.com", "news.example.org", "partner.example"
REFUSED_SENDER = NEWS
_FIRST = (
    "ada", "alan", "alonzo", "barbara", "dennis", "donald", "edsger", "frances", "grace", "hedy", "jean", "joan",
    "john", "kathleen", "ken", "linus", "margaret", "mary", "radia", "sophie", "tim",
)  # fmt: skip
_HOSTS = ("example.org", "example.net", "mail.example.org", "post.example.net", "example.edu")


class Kind(NamedTuple):
    """A kind of mail: how often it comes, who sends it over which face, and what it says; `{n}` is a number."""

    weight: float
    sender: str
    face: str
    origin: str
    request: str
    subject: str
    text: str
    people: int = 1


KINDS = (
    Kind(
        30, f"accounts@{SHOP}", "contract", "accounts", "pw-{n}", "Reset your password",
        "somebody asked to reset your password. If it was you, go on at https://shop.example.com/reset/{n}.",
    ),
    Kind(
        26, f"billing@{SHOP}", "amqp", "email.queue", "inv-{n}", "Your invoice {n}",
        "thank you for your order. The invoice over € 129.00 is due in 14 days.",
    ),
    Kind(
        18, f"orders@{SHOP}", "http", "key orders", "ord-{n}", "Your order {n} is on its way",
        "your parcel was handed to the carrier and arrives within two days.",
    ),
    Kind(
        10, f"digest@{NEWS}", "amqp", "email.queue", "news-{n}", "What is new this week",
        "four things changed this week, and one of them is about you.", 3,
    ),
    Kind(
        9, f"support@{SHOP}", "http", "key helpdesk", "t-{n}", "Your ticket {n} was answered",
        "we have answered your question. You find the answer below.",
    ),
    Kind(
        5, f"edi@{PARTNER}", "amqp", "email.queue", "edi-{n}", "Delivery note {n}",
        "please find the delivery note of today's shipment attached to your account.",
    ),
    Kind(
        2, f"reports@{SHOP}", "http", "key reports", "rep-{n}", "Weekly report",
        "the numbers of last week, compared with those of the week before.", 4,
    ),
)  # fmt: skip


class Mail:
    """Messages in an order that `random` decides alone."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._number = 4700

    def next(self) -> tuple[Submission, Origin]:
        """The next one, for now."""
        kind = self._random.choices(KINDS, [one.weight for one in KINDS])[0]
        return self.of(kind)

    def of(
        self,
        kind: Kind,
        *,
        scheduled_at: float | None = None,
        on_unknown: OnUnknown | None = None,
        to: str | None = None,
    ) -> tuple[Submission, Origin]:
        """One of this kind; to `to`, when that is given."""
        self._number += 1
        name = self._random.choice(_FIRST)
        people = self._random.randint(1, kind.people)
        to_all = tuple(Mailbox(to or self._address(name if i == 0 else None)) for i in range(people))
        submission = Submission(
            to=tuple({one.address: one for one in to_all}.values()),
            sender=Mailbox(kind.sender, kind.sender.partition("@")[0].capitalize()),
            subject=kind.subject.format(n=self._number),
            text=f"Hello {name.capitalize()},\n\n{kind.text.format(n=self._number)}\n\nKind regards",
            html=_page(kind.subject.format(n=self._number), name.capitalize(), kind.text.format(n=self._number)),
            request_id=kind.request.format(n=self._number),
            tags=(("kind", kind.origin.split()[-1].replace(".", "-")),),
            priority=Priority.HIGH if kind.request.startswith("pw") else None,
            scheduled_at=scheduled_at,
            on_unknown=on_unknown,
        )
        return submission, Origin(kind.face, self._random.randbytes(8).hex(), kind.origin)

    def _address(self, name: str | None) -> str:
        name = name or self._random.choice(_FIRST)
        return f"{name}{self._random.choice(('', '', '.m', '1', '77'))}@{self._random.choice(_HOSTS)}"


def _page(title: str, name: str, text: str) -> str:
    return (
        '<!doctype html><html><body style="font-family:Georgia,serif;padding:24px;color:#1b1f24;line-height:1.5">'
        f'<h1 style="font-size:21px">{title}</h1><p>Hello {name},</p><p>{text}</p><p>Kind regards</p></body></html>'
    )
