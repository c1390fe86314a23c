"""What we publish: hand-offs to our own queue, and dead letters; every one confirmed by RabbitMQ."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Sequence

import msgspec
from aio_pika.exceptions import DeliveryError
from faststream.rabbit import RabbitExchange

from emailhub import logs
from emailhub.adapters.rabbit.connection import Connection
from emailhub.adapters.rabbit.errors import FAILURES, amqp_call, plain
from emailhub.adapters.rabbit.options import RabbitOptions
from emailhub.adapters.rabbit.topology import prepare_dead_letters
from emailhub.core.errors import BrokerDown
from emailhub.core.records import DeadLetter

IDS = 64
"""Ids in one hand-off."""
_WAITING = 64 * IDS
_SHORT = 255
"""Bytes of an AMQP short string, such as a correlation id or a header's name."""
_HEADERS = 32 * 1024
"""Bytes of headers: they must fit into one frame, or RabbitMQ closes the connection."""
_VALUE = 4096
_BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count")

_TOO_LARGE = re.compile(r"larger than configured max size (\d+)")
"""How RabbitMQ tells its max_message_size: 128 MiB before 4.0, 16 MiB since."""

_log = logs.get("rabbit")


class Publisher:
    """Publishes on the connection it is attached to, if any. Outlives connections."""

    def __init__(self, options: RabbitOptions) -> None:
        self._options = options
        self._connection: Connection | None = None
        self._ids: deque[str] = deque()
        self._filled = asyncio.Event()
        self._dead_letters_ready = False
        self._handing_off = False
        self._blocked = False
        self._largest: int | None = None

    @property
    def can_hand_off(self) -> bool:
        return self._connection is not None and self._handing_off and not self._blocked

    @property
    def blocked(self) -> bool:
        """Whether RabbitMQ reads nothing from us at the moment."""
        return self._blocked

    @blocked.setter
    def blocked(self, blocked: bool) -> None:
        self._blocked = blocked
        if blocked:
            self._ids.clear()

    def attach(self, connection: Connection, *, handing_off: bool) -> None:
        self._connection = connection
        self._handing_off = handing_off
        self._dead_letters_ready = False
        self.blocked = False

    def detach(self) -> None:
        self._connection = None
        self._ids.clear()

    def hand_off(self, ids: Sequence[str]) -> None:
        """Keep `ids` for the next hand-off; forget them without a connection, or when too many wait: rows come due."""
        if self.can_hand_off and len(self._ids) + len(ids) <= _WAITING:
            self._ids.extend(ids)
            self._filled.set()

    async def send_hand_offs(self) -> None:
        """Publish hand-offs, one after the other, as long as the connection lasts. Raises one of FAILURES."""
        while True:
            await self._filled.wait()
            if not self._ids:
                self._filled.clear()
                continue
            ids = [self._ids.popleft() for _ in range(min(IDS, len(self._ids)))]
            await self._send_hand_off(msgspec.json.encode(ids))

    async def _send_hand_off(self, body: bytes) -> None:
        try:
            await self._publish(body, queue=self._options.handoff_queue, content_type="application/json")
        except TimeoutError:
            # While RabbitMQ blocks us nothing is confirmed and the connection is well; the rows come due by themselves.
            if not self.blocked:
                raise
        except DeliveryError as error:
            self._handing_off = False
            _log.warning("hand-offs refused", detail=plain(error))

    async def publish(self, letter: DeadLetter) -> None:
        """Publish a dead letter and wait until RabbitMQ has it. Raises BrokerDown.

        `message_id` is the same every time, so that a repeat after a lost confirm can be recognised.
        """
        if self.blocked:
            raise BrokerDown("RabbitMQ takes nothing at the moment (memory or disk alarm)")
        if self._largest is not None and len(letter.body) > self._largest:
            # Trying would close the connection again, with every other letter on its way.
            raise BrokerDown(
                f"dead letter {letter.id} has {len(letter.body)} bytes and RabbitMQ takes {self._largest}: "
                "raise max_message_size there and restart emailhub"
            )
        message_id = f"{self._options.outbox_id}.{letter.id}"
        try:
            await self._ready_for_dead_letters()
            await self._publish(
                letter.body,
                queue=self._options.dead_letter_queue,
                exchange=self._options.dead_letter_exchange,
                headers=dead_letter_headers(letter, message_id),
                content_type=_short(letter.content_type),
                correlation_id=_short(letter.correlation_id),
                message_id=message_id,
            )
        except FAILURES as error:
            # Perhaps the queue was deleted: look for it again next time.
            self._dead_letters_ready = False
            self._learn(plain(error))
            raise BrokerDown(f"dead letter {letter.id} was not confirmed: {plain(error)}") from error

    def _learn(self, refusal: str) -> None:
        if found := _TOO_LARGE.search(refusal):
            self._largest = int(found[1])

    async def _ready_for_dead_letters(self) -> None:
        if not self._dead_letters_ready:
            await prepare_dead_letters(self._attached(), self._options)
            self._dead_letters_ready = True

    async def _publish(
        self,
        body: bytes,
        *,
        queue: str,
        content_type: str,
        exchange: str = "",
        headers: dict[str, str] | None = None,
        correlation_id: str | None = None,
        message_id: str | None = None,
    ) -> None:
        # The library's own timeout does not cover waiting for a channel that is being reopened.
        with amqp_call():
            async with asyncio.timeout(self._options.confirm):
                await self._attached().broker.publish(
                    body,
                    queue=queue,
                    exchange=RabbitExchange(exchange, declare=False) if exchange else None,
                    routing_key=queue,
                    mandatory=True,
                    persist=True,
                    headers=dict(headers) if headers else None,
                    content_type=content_type,
                    correlation_id=correlation_id,
                    message_id=message_id,
                )

    def _attached(self) -> Connection:
        if self._connection is None:
            raise ConnectionError("not connected to RabbitMQ")
        return self._connection


def dead_letter_headers(letter: DeadLetter, fallback_id: str) -> dict[str, str]:
    """The headers a dead letter is published with: its own, and always whose it is and why.

    RabbitMQ's own bookkeeping stays behind, as do `CC` and `BCC`, which would route copies to other queues, or close
    the channel when they are not lists. Ours go first, so that the sender's give way when there are too many.
    """
    always = {
        "x-emailhub-id": letter.message or fallback_id,
        "x-emailhub-reason": letter.reason,
        "x-emailhub-recipient": letter.recipient or "",
    }
    given = sorted(letter.headers.items(), key=lambda header: not header[0].startswith("x-emailhub-"))
    kept = {name: value[:_VALUE] for name, value in always.items() if value}
    room = _HEADERS
    for name, value in given:
        room -= len(name.encode()) + len(value.encode())
        if room >= 0 and not _reserved(name) and len(name.encode()) <= _SHORT:
            kept[name] = value
    return kept


def _reserved(name: str) -> bool:
    return name in {"CC", "BCC"} or name.lower().startswith(_BROKERS_OWN)


def _short(text: str) -> str:
    """`text` as an AMQP short string: at most 255 bytes."""
    return text.encode()[:_SHORT].decode(errors="ignore")
