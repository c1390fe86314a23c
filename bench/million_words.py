"""What the messages of the large outbox are about, whom they are for, and what servers say to them."""

from __future__ import annotations

from typing import NamedTuple


class Mail(NamedTuple):
    """A kind of mail; `name` is the service that sends it."""

    name: str
    domain: str
    subject: str
    files: bool = False
    priority: int = 1


MAIL = (
    Mail("accounts", "example.org", "Reset your password", priority=2),
    Mail("accounts", "example.org", "Your sign-in code is {n}", priority=2),
    Mail("accounts", "example.org", "Confirm your address"),
    Mail("shop", "shop.example", "Your order {n} has shipped"),
    Mail("shop", "shop.example", "We have your order {n}"),
    Mail("shop", "shop.example", "How was order {n}?"),
    Mail("billing", "example.org", "Invoice INV-{n} for you", files=True),
    Mail("billing", "example.org", "Your payment of invoice INV-{n} failed"),
    Mail("support", "example.org", "Re: Ticket {n}: cannot log in"),
    Mail("news", "news.example", "Neuigkeiten für März, Ausgabe {n}", priority=0),
    Mail("news", "news.example", "Weekly digest {n}", priority=0),
)
TAGS = (
    ("category", "welcome"), ("category", "receipt"), ("category", "reset"), ("category", "digest"),
    ("tenant", "acme"), ("tenant", "globex"), ("tenant", "initech"), ("stage", "prod"),
)  # fmt: skip
FIRST = (
    "Ada", "Alan", "Anita", "Barbara", "Claude", "Dennis", "Donald", "Dorothy", "Edsger", "Frances", "Grace", "Hedy",
    "Jean", "John", "Karen", "Katherine", "Ken", "Konrad", "Linus", "Margaret", "Mary", "Niklaus", "Radia", "Sophie",
    "Tim", "Zoe",
)  # fmt: skip
LAST = (
    "Allen", "Berners-Lee", "Borg", "Dijkstra", "Hamilton", "Hopper", "Johnson", "Kernighan", "Knuth", "Lamarr",
    "Liskov", "Lovelace", "McCarthy", "Perlman", "Ritchie", "Sammet", "Shannon", "Thompson", "Torvalds", "Turing",
    "Vaughan", "Wilson", "Wirth", "Zuse", "Keller", "Meyer", "Garcia", "Rossi", "Nowak", "Silva", "Kim", "Tanaka",
)  # fmt: skip
DOMAINS = (
    "gmail.example",
    "gmail.example",
    "outlook.example",
    "yahoo.example",
    "web.example",
    "corp.example",
    "uni.example",
)
REPLIES = {
    "failed": (
        "550 5.1.1 user unknown",
        "550 5.1.1 The email account that you tried to reach does not exist",
        "550 5.7.1 message refused as spam",
        "552 5.2.2 mailbox full",
        "554 5.7.1 relay access denied",
        "expired before it could be delivered",
    ),
    "deferred": (
        "450 4.2.0 greylisted, try again in 300 seconds",
        "451 4.3.0 temporary lookup failure",
        "452 4.2.2 mailbox full",
    ),
}
