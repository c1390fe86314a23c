"""What the adapter is told, and what it hands on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote, unquote, urlsplit

from msgspec import Struct, field

from emailhub.core.limits import Rate
from emailhub.core.shapes import Properties

Declare = Literal["auto", "passive", "never"]


DELIVERY_LIMIT = 20
"""What RabbitMQ 4 takes where nothing is said."""


class Delivery(Struct, frozen=True):
    """A message from the request queue as RabbitMQ delivered it. `tag` is only meaningful on its channel."""

    body: bytes
    properties: Properties
    tag: int


class RabbitOptions(Struct, frozen=True, kw_only=True):
    """Where RabbitMQ is and what we use of it.

    `declare`: auto joins the queue and creates what is absent; passive joins it and waits while it is absent; never
    also leaves bindings, our own hand-off queue and the dead-letter queue to others. `arguments` are used when we
    create the queue. With `exchange` the queue is bound to it once for each of `routing_keys` (without any: the
    queue's name). Dead letters go to `dead_letter_queue` through `dead_letter_exchange` ("" is the default exchange).

    `outbox_id` names our own queue, so that only hubs on the same outbox share it. `prefetch` bounds the deliveries
    that are taken and not yet settled, `rates` how many are taken in a span. All other numbers are seconds:
    `first_wait` doubles up to `longest_wait` while RabbitMQ is away, `refused_wait` is the longest wait after a refused
    login or permission, `watchdog` the time between two looks at the queue, `connect` and `confirm` how long connecting
    and publishing may take.
    """

    url: str
    outbox_id: str
    queue: str = "email.queue"
    declare: Declare = "auto"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    exchange: str = ""
    exchange_type: str = "direct"
    exchange_durable: bool = True
    routing_keys: tuple[str, ...] = ()
    prefetch: int = 200
    rates: tuple[Rate, ...] = ()
    dead_letter_queue: str = "failed.queue"
    dead_letter_exchange: str = ""
    watchdog: float = 15.0
    first_wait: float = 1.0
    longest_wait: float = 30.0
    refused_wait: float = 60.0
    connect: float = 10.0
    confirm: float = 10.0

    def __repr__(self) -> str:
        """Without the password, wherever it may be printed."""
        return f"RabbitOptions(place={self.place!r}, user={self.user!r}, queue={self.queue!r})"

    @property
    def handoff_queue(self) -> str:
        """Our own queue, through which accepted messages reach the couriers of every hub on this outbox."""
        return f"emailhub.handoff.{self.outbox_id}"

    @property
    def returns(self) -> int:
        """How often the queue lets a message come back before it drops it: quorum queues since RabbitMQ 4.0."""
        limit = self.arguments.get("x-delivery-limit")
        return limit if isinstance(limit, int) and limit > 0 else DELIVERY_LIMIT

    @property
    def user(self) -> str:
        return unquote(urlsplit(self.url).username or "guest")

    @property
    def vhost(self) -> str:
        return unquote(urlsplit(self.url).path[1:]) or "/"

    @property
    def place(self) -> str:
        """The server and vhost as a human names them, without the password."""
        parts = urlsplit(self.url)
        port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
        return f"{parts.hostname or 'localhost'}:{port}/{quote(self.vhost, safe='') if self.vhost != '/' else ''}"
