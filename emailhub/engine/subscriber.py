"""From deliveries of the request queue to stored messages, or to dead letters that say why not."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from typing import Protocol

import msgspec

from emailhub import logs
from emailhub.core import letters, parse, shapes
from emailhub.core.access import ANYBODY, Principal
from emailhub.core.errors import EmailhubError, IdempotencyConflict, InvalidMessage, OutboxError, Refused
from emailhub.core.message import Limits
from emailhub.core.records import DeadLetter, Origin, Receipt
from emailhub.core.shapes import Properties, Unreadable
from emailhub.engine.intake import Item
from emailhub.engine.keys import QueueFacts

FACE = "amqp"
ENVELOPE = 64 * 1024
"""Bytes a body may have besides the message, which as JSON takes up to twice its size."""
HEAVY = 256 * 1024
"""Bytes from which a body is read in a thread: decoding megabytes would stall every other request."""
STUMBLES = 5
"""How often a body may run into a fault of ours before it makes room for those behind it."""
RUNS = 5
"""In how many processes in a row a body that is never got out of hand is given up: a few ends may be chance."""
_REMEMBERED = 1000
_REASON = 2000
_OURS = "x-emailhub-"

log = logs.get("subscriber")


class Delivery(Protocol):
    """What the adapter hands over."""

    @property
    def body(self) -> bytes: ...
    @property
    def properties(self) -> Properties: ...


class Door(Protocol):
    """The intake."""

    async def accept_many(self, items: Sequence[Item]) -> list[Receipt | Exception]: ...


class Graveyard(Protocol):
    """Where dead letters are kept until RabbitMQ has them."""

    async def bury(self, letters: Sequence[DeadLetter]) -> None: ...


class Marks(Protocol):
    """What survives the process of the bodies it has in hand."""

    async def begin(self, digest: str) -> int:
        """Note that it is in hand; in how many processes it was, with this one, and never got out of it."""
        ...

    async def end(self, digest: str) -> None:
        """It is out of hand."""
        ...


class Unmarked:
    """Marks of nothing."""

    async def begin(self, digest: str) -> int:  # noqa: ARG002 - nothing is marked
        return 1

    async def end(self, digest: str) -> None: ...


class Subscriber:
    """Takes deliveries into the outbox. `new_id` makes a correlation id for those that bring none.

    `principal` is the queue, which is held to its from-domains like everybody who gives mail. By `marks` it is known of
    what came before if that ended the process: RabbitMQ may give it again for ever.
    """

    def __init__(
        self,
        intake: Door,
        graveyard: Graveyard,
        *,
        limits: Limits,
        now: Callable[[], float],
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
        principal: Principal = ANYBODY,
        marks: Marks | None = None,
    ) -> None:
        self._intake = intake
        self._graveyard = graveyard
        self._marks = marks or Unmarked()
        self._limits = limits
        self._now = now
        self._new_id = new_id
        self._principal = principal
        self._most = 2 * limits.size + ENVELOPE
        self._stumbles: OrderedDict[bytes, int] = OrderedDict()
        self._loop_told = False

    async def take(self, deliveries: Sequence[Delivery]) -> list[bool]:
        """For each delivery whether it is settled: stored, or stored as a dead letter, and committed.

        False means that it has to come again, because the hub cannot store now. Raises nothing that the deliveries or
        the outbox cause.
        """
        if not any(delivery.properties.redelivered for delivery in deliveries):
            return await self._take(deliveries)
        settled: list[bool] = []
        for again, found in groupby(deliveries, lambda delivery: delivery.properties.redelivered):
            group = list(found)
            settled += [await self._take_again(one) for one in group] if again else await self._take(group)
        return settled

    async def _take_again(self, delivery: Delivery) -> bool:
        """Take what was delivered before: alone and noted, so that what ends the process is told from others."""
        digest = sha256(delivery.body).hexdigest()
        try:
            runs = await self._marks.begin(digest)
            settled = (await self._take([delivery]))[0] if runs < RUNS else await self._give_up(delivery, runs)
            await self._marks.end(digest)
        except OutboxError as error:
            log.warning("not stored", error=str(error), correlation_id=delivery.properties.correlation_id)
            return False
        return settled

    async def _give_up(self, delivery: Delivery, runs: int) -> bool:
        reason = f"emailhub ended {runs - 1} times in a row while it had this in hand, so it is not looked at any more"
        return (await self._bury([self._letter(delivery, reason)]))[0]

    async def _take(self, deliveries: Sequence[Delivery]) -> list[bool]:
        read = [await self._read(delivery) for delivery in deliveries]
        orders = [order for order in read if isinstance(order, _Order)]
        answers = iter(await self._accept([order.item for order in orders]))
        results = [self._judge(order, next(answers)) if isinstance(order, _Order) else order for order in read]
        return await self._bury(results)

    async def _read(self, delivery: Delivery) -> _Order | DeadLetter | bool:
        """What to store, what to bury, or whether it is settled as it is."""
        if delivery.properties.returned:
            self._came_back(delivery.properties)
            return True
        if len(delivery.body) > self._most:
            return self._letter(delivery, f"the body has {len(delivery.body)} bytes, the limit is {self._most}")
        try:
            if len(delivery.body) > HEAVY:
                return await asyncio.to_thread(self._order, delivery)
            return self._order(delivery)
        except Exception as error:  # noqa: BLE001 - a fault of ours in one body must not stop the others
            return self._stumble(delivery, error, self._new_id())

    def _order(self, delivery: Delivery) -> _Order | DeadLetter:
        request = shapes.read(delivery.body, delivery.properties)
        correlation_id = request.correlation_id or self._new_id()
        if isinstance(request, Unreadable):
            return self._letter(delivery, f"unreadable: {request.reason}", correlation_id, request.request_id)
        try:
            submission = parse.submission(request.fields, self._limits, now=self._now(), key=request.key)
        except InvalidMessage as error:
            kept = request.fields.get("store_body") is not False
            return self._letter(delivery, f"invalid: {error}", correlation_id, request.request_id, kept=kept)
        origin = Origin(FACE, correlation_id, delivery.properties.routing_key, self._principal)
        facts = QueueFacts(delivery.body, request.body_hash, delivery.properties.redelivered)
        return _Order(delivery, (submission, origin, facts))

    async def _accept(self, items: Sequence[Item]) -> Sequence[Receipt | Exception]:
        if not items:
            return ()
        try:
            return await self._intake.accept_many(items)
        except OutboxError as error:
            return [error] * len(items)
        except Exception:  # noqa: BLE001 - one by one, to find which of them it is
            return [await self._accept_one(item) for item in items]

    async def _accept_one(self, item: Item) -> Receipt | Exception:
        try:
            return (await self._intake.accept_many([item]))[0]
        except Exception as error:  # noqa: BLE001 - told with its traceback where the answer is judged
            return error

    def _judge(self, order: _Order, answer: Receipt | Exception) -> DeadLetter | bool:
        delivery, (submission, origin, _) = order.delivery, order.item
        ids, kept = (origin.correlation_id, submission.request_id), submission.store_body
        if isinstance(answer, Receipt):
            return True
        if isinstance(answer, InvalidMessage):
            return self._letter(delivery, f"invalid: {answer}", *ids, kept=kept)
        if isinstance(answer, IdempotencyConflict):
            return self._letter(delivery, f"conflict: {answer}", *ids, kept=kept)
        if isinstance(answer, Refused | OutboxError):
            log.warning("not stored", error=str(answer), correlation_id=origin.correlation_id)
            return False
        return self._stumble(delivery, answer, origin.correlation_id)

    def _stumble(self, delivery: Delivery, error: Exception, correlation_id: str) -> DeadLetter | bool:
        """A fault of ours: the delivery comes again, in case it passes; in the end it must not block the queue."""
        log.error("fault on a delivery", exc=error, correlation_id=correlation_id, size=len(delivery.body))
        body = sha256(delivery.body).digest()
        count = self._stumbles.pop(body, 0) + 1
        if count >= STUMBLES:
            return self._letter(
                delivery,
                f"emailhub failed on it {count} times, which is a fault of emailhub: {error!r}",
                correlation_id,
            )
        self._stumbles[body] = count
        if len(self._stumbles) > _REMEMBERED:
            self._stumbles.popitem(last=False)
        return False

    async def _bury(self, results: Sequence[DeadLetter | bool]) -> list[bool]:
        letters = [result for result in results if isinstance(result, DeadLetter)]
        buried = True
        if letters:
            try:
                await self._graveyard.bury(letters)
            except EmailhubError as error:
                log.warning("dead letters not stored", error=str(error), letters=len(letters))
                buried = False
        return [buried if isinstance(result, DeadLetter) else result for result in results]

    def _letter(
        self,
        delivery: Delivery,
        reason: str,
        correlation_id: str | None = None,
        request_id: str | None = None,
        *,
        kept: bool = True,
    ) -> DeadLetter:
        properties = delivery.properties
        correlation_id = correlation_id or properties.correlation_id or self._new_id()
        reason = reason[:_REASON]
        log.warning(
            "unreadable", reason=reason, size=len(delivery.body), correlation_id=correlation_id, request_id=request_id
        )
        ours = {
            "x-emailhub-reason": reason,
            letters.REQUEST_ID: request_id,
            letters.MESSAGE_ID: properties.message_id,
            letters.ROUTING_KEY: properties.routing_key,
        }
        return DeadLetter(
            id=0,
            at=self._now(),
            reason=reason,
            body=delivery.body,
            headers=_plain(properties.headers) | {name: value for name, value in ours.items() if value},
            content_type=properties.content_type or "application/octet-stream",
            correlation_id=correlation_id,
            keep=kept,
        )

    def _came_back(self, properties: Properties) -> None:
        id = properties.header(shapes.RETURNED)
        say = log.info if self._loop_told else log.warning
        self._loop_told = True
        say(
            "dead letter came back",
            id=id,
            text="it is settled and not buried again; something routes the dead-letter queue into the request queue",
        )


class _Order(msgspec.Struct, frozen=True):
    """A delivery that was understood, and what it asks for."""

    delivery: Delivery
    item: Item


def _plain(headers: Mapping[str, object]) -> dict[str, str]:
    """The sender's headers as text; ours are set anew."""
    return {name: _text(value) for name, value in headers.items() if not name.lower().startswith(_OURS)}


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray):
        return value.decode(errors="replace")
    if isinstance(value, datetime):
        return value.isoformat()
    return msgspec.json.encode(value, enc_hook=str).decode()
