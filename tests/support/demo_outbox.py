"""An outbox of canned messages, at least one in every state: to look at the pages and test them without a database."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import msgspec

from emailhub.core import mime
from emailhub.core.delivery import OnUnknown, Reason, State, summarize
from emailhub.core.errors import NotFound
from emailhub.core.figures import Latency, Minute, Totals
from emailhub.core.message import Mailbox, Submission
from emailhub.core.query import Count
from emailhub.core.records import (
    AttemptRecord,
    AttemptResult,
    Detail,
    Event,
    Filter,
    Page,
    RecipientRecord,
    Scalar,
    Summary,
)
from emailhub.core.spread import Timing, Timings
from emailhub.core.status import OutboxStatus
from emailhub.core.verdict import Line, Session

NOW = 1_795_490_640.0
"""24 November 2026, 03:24 UTC."""
_UNDELIVERED = "the relay rejected our login: 535 5.7.8 Username and Password not accepted"
_HTML = """<!doctype html><html><head><style>body{font-family:Georgia,serif;padding:18px;color:#1b1f24;line-height:1.5}
h1{font-size:21px}</style></head><body><h1>Invoice 2026-1187</h1><p>Dear Linus, thank you for your order. The invoice
over € 129.00 is attached and due on 8 December.</p><p>Kind regards,<br>Billing</p>
<img src="https://tracker.example/open.gif" alt=""><script>document.title='stolen'</script></body></html>"""


class Canned:
    """One message to be, `ago` seconds old; a recipient is (address, kind, state, reason, last, due in seconds)."""

    def __init__(
        self,
        subject: str,
        people: list[tuple[str, str, State, Reason, str, float | None]],
        *,
        ago: float,
        request: str | None = None,
        relay: str = "gmail",
        face: str = "contract",
        html: str | None = None,
        tags: tuple[tuple[str, str], ...] = (),
        diverted: tuple[str, ...] = (),
        companion: int | None = None,
    ) -> None:
        self.subject, self.people, self.ago, self.request = subject, people, ago, request
        self.relay, self.face, self.html, self.tags = relay, face, html, tags
        self.diverted, self.companion = diverted, companion


_S, _R = State, Reason
MESSAGES = (
    Canned(
        "Reset your password",
        [("ada@example.org", "to", _S.DEFERRED, _R.RELAY_TROUBLE, _UNDELIVERED, 42)],
        ago=12,
        request="pw-88121",
    ),
    Canned(
        "Your invoice 2026-1187",
        [
            ("linus@example.net", "to", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok: queued as 4F2A", None),
            ("grace@exmaple.com", "cc", _S.FAILED, _R.REFUSED, "550 5.1.1 user unknown", None),
        ],
        ago=48,
        request="inv-1187",
        relay="ses",
        face="amqp",
        html=_HTML,
        tags=(("kind", "invoice"), ("region", "eu")),
    ),
    Canned(
        "Weekly report",
        [
            ("linus@example.net", "to", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok 0102018f", None),
            ("barbara@example.net", "to", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok 0102018f", None),
            ("grete@example.net", "cc", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok 0102018f", None),
        ],
        ago=65,
        request="rep-w47-3",
        relay="ses",
    ),
    Canned(
        "Payment confirmation",
        [("treasury@example.com", "to", _S.HELD, _R.UNKNOWN, "no answer after the final dot · may have arrived", None)],
        ago=545,
        request="pay-5521",
    ),
    Canned(
        "Standup summary", [("team@example.com", "to", _S.SCHEDULED, _R.ACCEPTED, "", 7300)], ago=900, request="cal-77"
    ),
    Canned(
        "Welcome aboard",
        [("edsger@example.org", "to", _S.QUEUED, _R.ACCEPTED, "", 2)],
        ago=1,
        request="hi-1",
        relay="ses",
    ),
    Canned(
        "Your ticket 4711 was answered",
        [("margaret@example.org", "to", _S.SENDING, _R.ACCEPTED, "", None)],
        ago=2,
        request="t-4711",
        relay="ses",
        face="http",
    ),
    Canned(
        "Newsletter 11/2026: everything new in the autumn release, and a few words about the long nights to come",
        [
            (
                "a.very.long.local.part.that.goes.on.and.on@subdomain.of.a.rather.long.domain.example.org",
                "to",
                _S.CANCELED,
                _R.OPERATOR,
                "canceled by admin",
                None,
            )
        ],
        ago=4000,
        request="nl-2026-11-0000000000000000018238123",
        face="http",
    ),
    Canned(
        "Offer for you",
        [
            (
                "unsubscribed@example.org",
                "to",
                _S.SUPPRESSED,
                _R.SUPPRESSED,
                "on the suppression list (unsubscribed)",
                None,
            )
        ],
        ago=5000,
        request=None,
        face="http",
    ),
    Canned(
        "<script>alert(1)</script> & <b>bold</b>",
        [("eve@example.org", "to", _S.SENT, _R.CAPTURED, "captured", None)],
        ago=7000,
        request='"><img src=x>',
        relay="capture",
        face="dashboard",
        html="<h1>Hi</h1><p>A captured one.</p>",
    ),
    Canned(
        "Your order has shipped",
        [
            (
                "alan@example.org",
                "to",
                _S.FAILED,
                _R.EXPIRED,
                "expired after 24 h of trying: 451 4.3.0 mailbox busy",
                None,
            )
        ],
        ago=90000,
        request="ship-9",
    ),
    Canned(
        "Please confirm your address",
        [
            (
                "alonzo@example.org",
                "to",
                _S.DEFERRED,
                _R.TRANSIENT,
                "greylisted: 451 4.7.1 Greylisting in action, please try later",
                290,
            )
        ],
        ago=70,
        request="conf-31",
        face="amqp",
    ),
    Canned(
        "Your order 4711",
        [("staging@example.com", "to", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok: queued as 9C41", None)],
        ago=8000,
        request="ord-4711",
        relay="ses",
        diverted=("ann@example.org", "bob@example.net"),
    ),
    Canned(
        "Minutes of Tuesday",
        [("team@example.com", "to", _S.SENT, _R.ACCEPTED, "250 2.0.0 Ok: queued as 9C42", None)],
        ago=8100,
        request="min-2",
        relay="ses",
        diverted=("customer@example.org",),
        companion=14,
    ),
    Canned(
        "Minutes of Tuesday",
        [("customer@example.org", "to", _S.SENT, _R.CAPTURED, "captured", None)],
        ago=8100.1,
        request="min-2",
        relay="capture",
        companion=13,
    ),
)


def message_id(number: int) -> str:
    """The id of the canned message at that place in MESSAGES."""
    return f"01KAT5ZQ4D8XH3{number:02}M4QZ7W0PRD"[:26]


class DemoOutbox:
    """What the pages read, over MESSAGES. `trouble` False leaves only what went well."""

    def __init__(self, now: Callable[[], float], *, trouble: bool = True, empty: bool = False) -> None:
        self.now = now
        kept = [] if empty else [(i, one) for i, one in enumerate(MESSAGES) if trouble or _went_well(one)]
        self._details = [_detail(i, one, now()) for i, one in kept]
        self._canned = {message_id(i): one for i, one in kept}
        self.trouble = trouble and not empty
        self.empty = empty
        self.started = now()

    def change(self, detail: Detail) -> None:
        """Put `detail` in the place of the message it describes."""
        self._details = [detail if one.summary.id == detail.summary.id else one for one in self._details]

    def add(self, detail: Detail, canned: Canned) -> None:
        """One more message, the newest."""
        self._details.insert(0, detail)
        self._canned[detail.summary.id] = canned

    async def page(
        self, filter: Filter, *, before: str | None, after: str | None, limit: int, patience: float = 0.0
    ) -> Page:
        rows = [one.summary for one in self._details if _matches(one, filter)]
        rows.sort(key=lambda row: -row.accepted_at)
        ids = [row.id for row in rows]
        start = ids.index(before) + 1 if before in ids else 0
        if after in ids:
            start = max(0, ids.index(after) - limit)
            limit = min(limit, ids.index(after))
        items = rows[start : start + limit]
        older = items[-1].id if items and start + limit < len(rows) else None
        return Page(tuple(items), older, items[0].id if items and start > 0 else None)

    async def count(self, filter: Filter, most: int, *, patience: float = 0.0) -> Count:
        return Count(min(sum(_matches(one, filter) for one in self._details), most))

    async def not_searchable(self) -> int:
        return 0

    async def find(self, id: str) -> Detail:
        found = next((one for one in self._details if one.summary.id == id), None)
        if found is None:
            raise NotFound("message", id)
        return found

    async def content(self, id: str) -> bytes | None:
        detail = await self.find(id)
        one = self._canned[id]
        to = tuple(Mailbox(who.address) for who in detail.recipients if who.kind == "to")
        text = "Dear Linus,\n\nthank you for your order. <b>This is text</b>, so no tag counts.\n\n" + "long " * 60
        submission = Submission(to=to, subject=one.subject, text=text, html=one.html, request_id=one.request)
        sender = Mailbox("billing@example.com", "Billing")
        return mime.build(
            submission, sender=sender, message_id=detail.summary.message_id, date=NOW, boundary="b0undary"
        )

    async def attempts(self, id: str) -> tuple[AttemptRecord, ...]:
        detail = await self.find(id)
        return _attempts(detail)

    async def events(self, id: str) -> tuple[Event, ...]:
        detail = await self.find(id)
        at = detail.summary.accepted_at
        canned = self._canned[id]
        came: dict[str, Scalar] = {"face": detail.summary.face}
        if canned.companion is not None:
            came["companion"] = message_id(canned.companion)
        if canned.diverted or canned.companion is not None:
            came["text"] = "diverted to staging@example.com (EMAILHUB_DIVERT_TO)"
        found = [Event(1, at, "accepted", id, None, came)]
        for who in detail.recipients:
            if who.state is State.FAILED:
                facts = {"recipient": who.address, "recipients": 1, "reason": "550 5.1.1 user unknown"}
                found.append(Event(9, who.changed_at + 0.18, "dead_letter", id, None, facts))
            if who.state is State.CANCELED:
                found.append(
                    Event(
                        10,
                        who.changed_at,
                        "canceled",
                        id,
                        None,
                        {"actor": "admin", "recipients": 1, "recipient": who.address},
                    )
                )
        return tuple(found)

    async def events_since(self, event_id: int, limit: int) -> tuple[Event, ...]:
        return ()

    async def last_event_id(self) -> int:
        return 100

    async def relay_events(self, relay: str, limit: int) -> tuple[Event, ...]:
        facts: dict[str, Scalar]
        if relay == "mailgun" and self.trouble:
            facts = {"domain": "news.example.org", "text": "554 5.7.1 Sender address rejected: domain is not verified"}
            return (Event(48, self.started - 1500, "sender_suspended", None, relay, facts),)
        if relay != "gmail" or not self.trouble:
            return ()
        facts = {
            "phase": "open",
            "mode": "auto",
            "text": _UNDELIVERED,
            "note": "",
            "actor": "",
        }
        t = self.started
        forced = {
            "phase": "open",
            "mode": "open",
            "note": "maintenance at the provider",
            "actor": "admin",
            "until": t - 60000.0,
        }
        carried = {"by": "ses", "text": "login refused"}
        return (
            Event(51, t - 660, "relay_covered", None, relay, carried),
            Event(50, t - 720, "breaker_opened", None, relay, facts),
            Event(43, t - 51990, "relay_returned", None, relay, carried | {"text": "the breaker closed"}),
            Event(42, t - 52000, "breaker_closed", None, relay, facts | {"phase": "closed", "text": ""}),
            Event(41, t - 52060, "breaker_probing", None, relay, facts | {"phase": "half-open"}),
            Event(
                40, t - 53000, "breaker_opened", None, relay, facts | {"text": "connection refused (192.0.2.25:587)"}
            ),
            Event(
                31, t - 61000, "breaker_auto", None, relay, facts | {"phase": "closed", "text": "", "actor": "admin"}
            ),
            Event(30, t - 64000, "breaker_forced", None, relay, facts | forced),
        )

    async def relay_attempts(self, relay: str, limit: int) -> tuple[AttemptRecord, ...]:
        found = (one for detail in self._details for one in _attempts(detail))
        return tuple(one for one in found if one.relay == relay and one.finished_at is not None)[:limit]

    async def states_of_request(self, request_id: str) -> tuple[State, ...] | None:
        return None

    async def totals(self) -> Totals:
        states = Counter(one.summary.state for one in self._details)
        if self.trouble:
            states.update(
                {State.DEFERRED: 24, State.SCHEDULED: 11, State.SENT: 12_311, State.FAILED: 39, State.CANCELED: 6}
            )
        waiting = sum(states[state] for state in (State.QUEUED, State.SENDING, State.DEFERRED))
        return Totals(dict(states), waiting, self.now() - 660 if waiting else None, states[State.SCHEDULED])

    async def waiting_at(self, relay: str, most: int) -> int:
        return min((await self.totals()).waiting, most)

    async def minutes(self, since: float, until: float, step: float) -> tuple[Minute, ...]:
        count = round((until - since) / step)
        return tuple(self._minute(since + i * step, step) for i in range(count))

    def _minute(self, at: float, step: float) -> Minute:
        if self.empty or at > self.now():
            return Minute(at)
        age = self.started - at
        wave = 21 + 5 * math.sin(at / 700) + 3 * math.sin(at / 173) + 2 * math.sin(at / 61)
        scale = step / 60
        failed = (int(41 * (at + step) / 3600) - int(41 * at / 3600)) * self.trouble
        if self.trouble and 600 < age < 720:
            # The first relay has failed, and the other carries its mail only after a while; then it catches up.
            sent = 3 if age > 660 else 1.8 * wave
            return Minute(at, int(wave * scale), int(sent * scale), int(18 * scale * (age > 660)), failed)
        return Minute(at, int(wave * scale), int(wave * 0.97 * scale), int(scale * (wave > 26)), failed)

    async def timings(self, since: float, until: float, step: float) -> Timings:
        count = round((until - since) / step)
        return Timings(
            Timing(since) if self.empty else Timing(since, 1204, 0.12, 0.41),
            tuple(self._timing(since + i * step) for i in range(count)),
        )

    def _timing(self, at: float) -> Timing:
        if self.empty or at > self.now():
            return Timing(at)
        wave = 1 + 0.3 * math.sin(at / 400)
        slow = 60.0 if self.trouble and 600 < self.started - at < 720 else 1.0
        return Timing(at, 20, 0.12 * wave, 0.41 * wave * slow)

    async def latency(self, since: float) -> Latency:
        return Latency(0, None, None) if self.empty else Latency(1204, 0.12, 0.41)

    async def causes(self, since: float, limit: int) -> tuple[tuple[str, int], ...]:
        return (("550 5.1.1 user unknown", 39), ("552 5.2.2 mailbox full", 2))[:limit] if self.trouble else ()

    def status(self) -> OutboxStatus:
        return OutboxStatus(path="/data/emailhub.db", size=52_000_000, free_disk=8_000_000_000)


def _went_well(one: Canned) -> bool:
    return all(who[2] in {State.SENT, State.SCHEDULED, State.SENDING, State.QUEUED} for who in one.people)


def _matches(detail: Detail, filter: Filter) -> bool:
    row = detail.summary
    seen = " ".join(
        [row.subject, row.to_header, row.request_id or "", row.id, *(one.address for one in detail.recipients)]
    )
    return (
        (filter.state is None or row.state is filter.state)
        and all((term.value.lower() in seen.lower()) is not term.negated for term in filter.terms)
        and filter.request_id in {None, row.request_id}
        and filter.correlation_id in {None, row.correlation_id}
        and filter.relay in {None, row.relay}
    )


def _detail(number: int, one: Canned, now: float) -> Detail:
    id, accepted = message_id(number), now - one.ago
    people = tuple(
        RecipientRecord(
            id=number * 10 + i,
            address=address,
            kind=kind,
            state=state,
            reason=reason,
            attempts=0 if reason in {_R.RELAY_TROUBLE, _R.ACCEPTED} and state is not State.SENT else 1,
            due_at=None if due is None else now + due,
            changed_at=accepted + 0.4,
            last=last,
        )
        for i, (address, kind, state, reason, last, due) in enumerate(one.people)
    )
    state = summarize(who.state for who in people)
    shown = next(who for who in people if who.state is state)
    summary = Summary(
        seq=1000 - number,
        id=id,
        message_id=f"<{id}@example.com>",
        state=state,
        reason=shown.reason,
        relay=one.relay,
        face=one.face,
        from_header="Billing <billing@example.com>",
        to_header=", ".join(who.address for who in people if who.kind == "to"),
        recipients=len(people),
        subject=one.subject,
        request_id=one.request,
        correlation_id=f"9f2c61aa{number:02}",
        priority=1,
        accepted_at=accepted,
        scheduled_at=shown.due_at if state is State.SCHEDULED else None,
        expires_at=accepted + 86400,
        due_at=shown.due_at,
        final_at=accepted + 0.4
        if shown.due_at is None and state in {State.SENT, State.FAILED, State.CANCELED, State.SUPPRESSED}
        else None,
        changed_at=accepted + 0.4,
        attempts=1,
        last=shown.last,
        size=2386,
        diverted=bool(one.diverted),
    )
    return Detail(
        summary=summary,
        sender="billing@example.com",
        detail="email.queue" if one.face == "amqp" else "billing-api",
        snippet="",
        on_unknown=OnUnknown.RETRY,
        tags=one.tags,
        metadata=(),
        has_content=True,
        recipients=people,
        diverted=one.diverted,
    )


def _attempts(detail: Detail) -> tuple[AttemptRecord, ...]:
    row = detail.summary
    if row.state in {State.QUEUED, State.SCHEDULED, State.SUPPRESSED, State.CANCELED}:
        return ()
    start = row.accepted_at + 0.008
    results = tuple(
        AttemptResult(who.address, _kind(who), "rcpt", who.last, who.state, 250 if who.state is State.SENT else 550)
        for who in detail.recipients
    )
    running = row.state is State.SENDING
    record = AttemptRecord(
        id=2,
        message=row.id,
        number=2,
        relay=row.relay,
        started_at=start + (0 if running else 0.2),
        body_at=None,
        finished_at=None if running else start + 0.376,
        counted=True,
        results=results,
        transcript=() if running else _talk(detail),
        session=_SESSION if row.relay == "ses" else Session(),
    )
    if len(detail.recipients) < 2:
        return (msgspec.structs.replace(record, number=1, started_at=start),)
    trouble = tuple(
        AttemptResult(
            who.address,
            "relay trouble",
            "greeting",
            "the relay closes the connection: 421 4.7.0 try again later",
            State.DEFERRED,
            421,
        )
        for who in detail.recipients
    )
    record = msgspec.structs.replace(record, why="relay gmail is not sending since 03:12: login refused")
    first = AttemptRecord(
        id=1,
        message=row.id,
        number=1,
        relay="gmail",
        started_at=start,
        body_at=None,
        finished_at=start + 0.094,
        counted=False,
        results=trouble,
        session=Session("192.0.2.25:587", "", 1, "gmail-7", (("connect", 11.6), ("greeting", 0.4), ("ehlo", 82.0))),
        transcript=(
            Line(12, "server", "220 mx.example.com ESMTP"),
            Line(12, "client", "EHLO hub.example.com"),
            Line(94, "server", "421 4.7.0 try again later, closing connection"),
        ),
    )
    return (first, record)


_STAGES = (("mail", 37.9), ("rcpt", 0.1), ("data", 1.3), ("body", 0.2), ("final reply", 136.4))
_SESSION = Session("198.51.100.7:587", "TLSv1.3", 41, "ses-12", _STAGES)


def _kind(who: RecipientRecord) -> str:
    return {State.SENT: "accepted", State.FAILED: "permanent", State.HELD: "unknown"}.get(who.state, "transient")


def _talk(detail: Detail) -> tuple[Line, ...]:
    lines = [Line(0.2, "client", f"MAIL FROM:<{detail.sender}> SIZE={detail.summary.size}")]
    lines += [Line(0.2, "client", f"RCPT TO:<{who.address}>") for who in detail.recipients]
    lines += [Line(0.2, "client", "DATA"), Line(38.1, "server", "250 2.1.0 Ok")]
    for who in detail.recipients:
        lines.append(Line(38.1, "server", "550 5.1.1 user unknown" if who.state is State.FAILED else "250 2.1.5 Ok"))
    if any(who.state is State.SENT for who in detail.recipients):
        lines += [
            Line(39.4, "server", "354 End data with <CR><LF>.<CR><LF>"),
            Line(39.6, "client", f"{detail.summary.size:,} bytes of message, then the dot"),
            Line(176.0, "server", "250 2.0.0 Ok: queued as 4F2A"),
        ]
    return tuple(lines)
