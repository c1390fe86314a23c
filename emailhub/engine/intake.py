"""The one door in: builds the final bytes, stores them durably, and only then answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from emailhub.core import header, mime
from emailhub.core.access import Principal
from emailhub.core.address import needs_smtputf8
from emailhub.core.delivery import OnUnknown
from emailhub.core.diversion import NO_RULES, Addressed, Diversion
from emailhub.core.errors import BatchRefused, InvalidMessage, Problem, Refused, SenderNotAllowed
from emailhub.core.fingerprint import fingerprint
from emailhub.core.measure import check_size
from emailhub.core.message import Limits, Mailbox, Priority, Submission
from emailhub.core.records import Origin, Parcel, Receipt
from emailhub.core.routing import domain_of
from emailhub.engine.fetching import Larder, Shelf, fetched, known, names_urls
from emailhub.engine.keys import QueueFacts, key_of, key_since
from emailhub.engine.meter import Meter
from emailhub.engine.parting import sent_on
from emailhub.engine.ports import Broker, Fetcher, Outbox, Seat, Signer
from emailhub.engine.quota import Built, Counter, Quotas
from emailhub.engine.receipts import merged, tell
from emailhub.engine.room import Room
from emailhub.engine.templates import Templates, filled

OWN_WAKE = 5.0
"""Seconds after which a fresh message is due by itself when a hand-off was published: a lost one delays it so long."""
HEAVY = 256 * 1024
"""Characters and bytes from which a message is built in a thread: encoding a megabyte would stall every other request.
"""
EACH = 8 * 1024
"""What building a message costs however small it is, in characters that cost as much."""

_A = TypeVar("_A", bound=Receipt | Exception)
"""What came of a message."""
_Add: TypeAlias = Callable[[Sequence[Parcel]], Awaitable[list[_A]]]


class Defaults(Struct, frozen=True):
    """What applies where the sender gave nothing: seconds for `expire_after`, the name of the first `relay`."""

    sender: Mailbox
    relay: str
    expire_after: float = 86400.0
    on_unknown: OnUnknown = OnUnknown.RETRY


Item = tuple[Submission, Origin, QueueFacts | None]


class Intake:
    """Accepts messages. `wake(relays)` tells their couriers that fresh rows are due; `entropy(n)` gives n random bytes.

    `home(domain)` names the relay a message of that sender's domain belongs to, None: no relay may send it.
    `seat(relay)` keeps a place for a message that would go over that relay at once: it is stored as being sent already.
    `covered(relay)`: another one carries its mail, which does not wait to be handed over then.
    `diversion` says who gets mail, `signer` signs it; these and `defaults` may be replaced while it runs. `fetcher`
    gets the files that are named by URL; None: such messages are refused. `counter` knows who may give how many.
    """

    def __init__(
        self,
        outbox: Outbox,
        broker: Broker,
        *,
        wake: Callable[[Iterable[str]], None],
        room: Room,
        limits: Limits,
        defaults: Defaults,
        meter: Meter,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        diversion: Diversion = NO_RULES,
        signer: Signer | None = None,
        fetcher: Fetcher | None = None,
        home: Callable[[str], str | None] | None = None,
        seat: Callable[[str], Seat | None] = lambda _: None,
        covered: Callable[[str], bool] = lambda _: False,
        templates: Templates | None = None,
        counter: Counter | None = None,
    ) -> None:
        self._outbox = outbox
        self._quotas = Quotas(counter, outbox)
        self._broker = broker
        self._wake = wake
        self._room = room
        self._meter = meter
        self._now, self._entropy = now, entropy
        self.limits = limits
        self.defaults = defaults
        self._home = home or (lambda _domain: self.defaults.relay)
        self._seat, self._covered = seat, covered
        self.templates = templates
        self.diversion = diversion
        self.signer = signer
        self.fetcher = fetcher
        self._larder = Larder()

    async def accept(self, submission: Submission, origin: Origin) -> Receipt:
        """Store one message; its receipt once it is on the disk.

        Raises InvalidMessage (too large), IdempotencyConflict, Refused, OutboxError; then nothing was stored.
        """
        answer = (await self.accept_many([(submission, origin, None)]))[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def accept_many(self, items: Sequence[Item]) -> list[Receipt | Exception]:
        """Store messages, sharing commits; for each its receipt or why it was not stored, in order."""
        try:
            self._check_room()
        except Refused as refused:
            return [refused] * len(items)
        with self._larder.shelf(self.limits.size) as shelf:
            held = await self._quotas.hold(await self._all_built(items, shelf))
            parcels = [parcel for parcel in held if isinstance(parcel, Parcel)]
            stored = await self._store(parcels, self._outbox.add) if parcels else []
            return merged(held, stored)

    async def accept_all(self, items: Sequence[Item]) -> list[Receipt]:
        """Store the messages in one commit, or none of them; their receipts, in order.

        Raises BatchRefused (InvalidMessage, IdempotencyConflict), Refused, OutboxError.
        """
        self._check_room()
        with self._larder.shelf(self.limits.size) as shelf:
            return await self._all_stored(await self._all_built(items, shelf))

    async def _all_stored(self, built: Sequence[Built]) -> list[Receipt]:
        for one in built:
            if isinstance(one, Refused):
                raise one
        refused = {index: one for index, one in enumerate(built) if isinstance(one, Exception)}
        if refused:
            raise BatchRefused(refused)
        known = await self._quotas.hold_all([one for one in built if not isinstance(one, Exception)])
        fresh = [one for one in known if isinstance(one, Parcel)]
        return merged(known, await self._store(fresh, self._outbox.add_all) if fresh else [])

    def _check_room(self) -> None:
        try:
            self._room.check()
        except Refused as refused:
            self._meter.refused(refused.name)
            raise

    async def _store(self, parcels: Sequence[Parcel], add: _Add[_A]) -> list[_A]:
        self._room.spend(sum(len(parcel.content) for one in parcels for parcel in one.parts))
        seats = [self._seat_for(parcel) for parcel in parcels]
        parcels = [
            parcel if seat is None else replace(parcel, go=seat.take)
            for parcel, seat in zip(parcels, seats, strict=True)
        ]
        try:
            stored = await add(parcels)
        except BaseException:
            self._quotas.give_back(parcels)
            raise
        finally:
            for seat in seats:
                if seat is not None:
                    seat.leave()
        self._quotas.settle(parcels, stored)
        self._after(list(zip(parcels, stored, strict=True)))
        return stored

    def _seat_for(self, parcel: Parcel) -> Seat | None:
        # Where RabbitMQ hands work out, it decides who carries what.
        return None if parcel.scheduled_at is not None or self._broker.can_hand_off else self._seat(parcel.relay)

    async def _all_built(self, items: Sequence[Item], shelf: Shelf) -> list[Built]:
        if self.signer is None and not any(submission.template or names_urls(submission) for submission, _, _ in items):
            return await self._one_by_one(items, shelf)
        # Side by side: the threads that sign and the processes that render use every core, and fetching takes long.
        return await asyncio.gather(*(self._built(item, shelf) for item in items))

    async def _one_by_one(self, items: Sequence[Item], shelf: Shelf) -> list[Built]:
        built: list[Built] = []
        load = 0
        for item in items:
            load += item[0].weight + EACH
            if load > HEAVY:
                # A hundred messages, none of which is large, would stall every other request.
                await asyncio.sleep(0)
                load = 0
            built.append(await self._built(item, shelf))
        return built

    async def _built(self, item: Item, shelf: Shelf) -> Built:
        submission, origin, queue = item
        try:
            if submission.template is not None or submission.late is not None or names_urls(submission):
                answer = await known(self._outbox, submission, queue, self._now())
                if answer is not None:
                    return answer
                if submission.late is not None:
                    raise InvalidMessage((submission.late,))
                submission = await filled(submission, self.templates, self.limits)
                if names_urls(submission):
                    submission = await fetched(submission, self.fetcher, self.limits.size * 3 // 4, shelf)
            if self._is_heavy(submission):
                return await asyncio.to_thread(self._build, submission, origin, queue)
            return self._build(submission, origin, queue)
        except (InvalidMessage, Refused) as refused:
            return refused

    def _is_heavy(self, submission: Submission) -> bool:
        if submission.weight > HEAVY or self.signer is None:
            return submission.weight > HEAVY
        return self.signer.costs(domain_of((submission.sender or self.defaults.sender).address))

    def _build(self, submission: Submission, origin: Origin, queue: QueueFacts | None) -> Parcel:
        now = self._now()
        random = self._entropy(20)
        id = mime.new_id(now, random[:10])
        domain = self._check_sender(submission, origin.principal)
        sender = submission.sender or self.defaults.sender
        relay = submission.over or self._relay_for(domain)
        message_id = mime.message_id(id, sender)
        content = mime.build(submission, sender=sender, message_id=message_id, date=now, boundary=random[10:].hex())
        check_size(submission, content, self.limits.size)
        key, explicit, matches = key_of(submission, queue)
        if self.signer is not None:
            content = self.signer.sign(content, domain)
        boxes = (submission.to, submission.cc, submission.bcc)
        named = Addressed(*(tuple(box.address for box in each) for each in boxes))
        course = self.diversion.course(named)
        replies = (box.address for box in submission.reply_to)  # not in the envelope, but in the header
        parcel = Parcel(
            id=id,
            message_id=message_id,
            relay=relay,
            origin=replace(origin, correlation_id=submission.correlation_id or origin.correlation_id),
            sender=sender.address,
            from_header=header.display(sender),
            reply_to=tuple(map(header.display, submission.reply_to)),
            made=submission.made,
            to=named.to,
            cc=named.cc,
            bcc=named.bcc,
            to_header=header.display((submission.to or submission.cc or submission.bcc)[0]),
            subject=submission.subject,
            snippet=mime.snippet(submission.text, submission.html) if submission.store_body else "",
            content=content,
            smtputf8=needs_smtputf8((sender.address, *named.all, *course.out.all, *replies)),
            request_id=submission.request_id,
            key=key,
            key_explicit=explicit,
            key_matches=matches,
            key_since=key_since(submission, queue, now),
            fingerprint=fingerprint(submission),
            queue_body=queue.body if queue and submission.store_body else None,
            store_body=submission.store_body,
            pinned=submission.over is not None,
            files=submission.files,
            again=submission.again,
            tags=submission.tags,
            metadata=submission.metadata,
            on_unknown=submission.on_unknown or self.defaults.on_unknown,
            priority=submission.priority if submission.priority is not None else Priority.NORMAL,
            accepted_at=now,
            scheduled_at=submission.scheduled_at,
            expires_at=submission.expires_at or max(now, submission.scheduled_at or now) + self.defaults.expire_after,
            due_at=self._due_at(submission, now, relay),
        )
        return sent_on(parcel, course, self._entropy) if course.note else parcel

    def _check_sender(self, submission: Submission, principal: Principal) -> str:
        """The domain it is sent from. Raises SenderNotAllowed when `principal` may not send from there."""
        domain = domain_of((submission.sender or self.defaults.sender).address)
        if not principal.may_send_from(domain):
            allowed = ", ".join(principal.from_domains)
            why = f"is at {domain}, and {principal.name} may send only from {allowed}"
            raise SenderNotAllowed((Problem("from", why),))
        return domain

    def _relay_for(self, domain: str) -> str:
        relay = self._home(domain)
        if relay is None:
            why = f"is at {domain}, and no relay may send for it now (from_domains, drain)"
            raise InvalidMessage((Problem("from", why),))
        return relay

    def _due_at(self, submission: Submission, now: float, relay: str) -> float:
        if submission.scheduled_at is not None:
            return submission.scheduled_at
        return now + OWN_WAKE if self._broker.can_hand_off and not self._covered(relay) else now

    def _after(self, stored: Sequence[tuple[Parcel, Receipt | Exception]]) -> None:
        fresh = []
        for parcel, answer in stored:
            if isinstance(answer, Receipt):
                tell("replayed" if answer.replayed else "accepted", parcel, answer)
                fresh += [] if answer.replayed else [parcel]
                self._withheld(parcel, answer)
        if not fresh:
            return
        for parcel in [each for one in fresh for each in one.parts]:
            self._room.waiting += 1
            self._meter.accepted(parcel.origin.face)
        handed = [parcel.id for parcel in fresh if parcel.scheduled_at is None]
        if handed and self._broker.can_hand_off:
            self._broker.hand_off(handed)
        waiting = {each.relay for one in fresh for each in one.parts if each.go is None}
        if waiting:
            self._wake(waiting)

    def _withheld(self, parcel: Parcel, receipt: Receipt) -> None:
        if not receipt.suppressed:
            return
        self._meter.suppressed(receipt.suppressed)
        if receipt.suppressed == sum(one.people for one in parcel.parts):
            self._room.waiting -= len(parcel.parts)
