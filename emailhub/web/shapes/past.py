"""What happened to a message: its events and attempts as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.delivery import State
from emailhub.core.records import AttemptRecord, Event
from emailhub.web.shapes.times import Time, iso, maybe_iso


class EventShape(Struct, frozen=True, kw_only=True):
    """Something that happened. `data` holds short facts, never a body."""

    id: int
    at: Time
    kind: str
    data: dict[str, str | int | float | bool | None]

    @classmethod
    def of(cls, event: Event) -> EventShape:
        return cls(id=event.id, at=iso(event.at), kind=event.kind, data=event.data)


class EventList(Struct, frozen=True):
    """All that happened to a message, oldest first."""

    data: list[EventShape]
    object: Literal["list"] = "list"


class ResultShape(Struct, frozen=True, kw_only=True):
    """What an attempt came to for one recipient; `code` and `enhanced` are of the server's reply."""

    address: str
    verdict: str
    stage: str
    state: State
    code: int | None
    enhanced: str
    text: str


class LineShape(Struct, frozen=True, kw_only=True):
    """One line of the SMTP conversation, secrets and body masked; `milliseconds` since the attempt began."""

    milliseconds: float
    side: str
    text: str


class StageShape(Struct, frozen=True):
    """How long one stage of the conversation took."""

    stage: Annotated[str, Meta(description="connect, tls, login, mail, rcpt, data, body, final …")]
    milliseconds: float


class AttemptShape(Struct, frozen=True, kw_only=True):
    """One SMTP transaction. `finished_at` is null while it runs; `counted` says if it used an attempt.

    `results` has the reply for every recipient.
    """

    number: int
    relay: str
    why: Annotated[str, Meta(description="why this relay carried it; empty when the message belongs to it anyhow")]
    started_at: Time
    finished_at: Time | None
    counted: bool
    peer: str
    tls: str
    connection: Annotated[str, Meta(description="the connection's name among all of this process")]
    message_on_connection: Annotated[int, Meta(description="1 on a new connection")]
    stages: list[StageShape]
    results: list[ResultShape]
    transcript: list[LineShape]

    @classmethod
    def of(cls, record: AttemptRecord) -> AttemptShape:
        return cls(
            number=record.number,
            relay=record.relay,
            why=record.why,
            started_at=iso(record.started_at),
            finished_at=maybe_iso(record.finished_at),
            counted=record.counted,
            peer=record.session.peer,
            tls=record.session.tls,
            connection=record.session.id,
            message_on_connection=record.session.uses,
            stages=[StageShape(stage, took) for stage, took in record.session.stages],
            results=[
                ResultShape(
                    address=result.address,
                    verdict=result.kind,
                    stage=result.stage,
                    state=result.state,
                    code=result.code,
                    enhanced=result.enhanced,
                    text=result.text,
                )
                for result in record.results
            ],
            transcript=[LineShape(milliseconds=line.at, side=line.side, text=line.text) for line in record.transcript],
        )


class AttemptList(Struct, frozen=True):
    """All attempts of a message, oldest first."""

    data: list[AttemptShape]
    object: Literal["list"] = "list"
