"""Jobs over many messages as the API answers them."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.bulk import Action, Job, Phase, Preview
from emailhub.core.delivery import State
from emailhub.web.shapes.times import Time, iso, maybe_iso


class BulkJobShape(Struct, frozen=True, kw_only=True):
    """A job. `total` messages were to be changed when it began; `done` are, `skipped` could not be any more."""

    object: Literal["bulk_job"] = "bulk_job"
    id: Annotated[str, Meta(description="the job's id", examples=["01M86ZVV9FQESMTXYZCHHB0001"])]
    action: Action
    query: Annotated[str, Meta(description="the search, empty when messages were named", examples=["state:failed"])]
    status: Annotated[Phase, Meta(description="running also while it waits for the job before it")]
    total: Annotated[int, Meta(examples=[1384])]
    done: Annotated[int, Meta(examples=[312])]
    skipped: Annotated[int, Meta(examples=[2])]
    left: Annotated[int, Meta(examples=[1070])]
    last_skip: Annotated[str, Meta(description="why the last one was skipped", examples=[""])]
    pace: Annotated[float | None, Meta(description="messages a second", examples=[10])]
    reason: Annotated[str, Meta(examples=["the mailbox is there again"])]
    actor: Annotated[str, Meta(examples=["key billing from 10.0.0.9"])]
    created_at: Time
    ended_at: Time | None
    ended_by: Annotated[str, Meta(description="who stopped it", examples=[""])]

    @classmethod
    def of(cls, job: Job) -> BulkJobShape:
        return cls(
            id=job.id,
            action=job.order.action,
            query=job.order.query,
            status=job.phase,
            total=job.total,
            done=job.done,
            skipped=job.skipped,
            left=job.left if job.phase is Phase.RUNNING else 0,
            last_skip=job.why,
            pace=job.order.pace,
            reason=job.order.reason,
            actor=job.order.actor,
            created_at=iso(job.made_at),
            ended_at=maybe_iso(job.ended_at),
            ended_by=job.ended_by,
        )


class BulkAnswer(Struct, frozen=True, kw_only=True):
    """What was asked for: how many messages by state would be changed, how many stay, and the job unless it is dry."""

    object: Literal["bulk"] = "bulk"
    changed: Annotated[dict[State, int], Meta(description="messages the action applies to, by state")]
    unchanged: Annotated[dict[State, int], Meta(description="messages that match and stay as they are, by state")]
    job: BulkJobShape | None

    @classmethod
    def of(cls, preview: Preview, action: Action, job: Job | None) -> BulkAnswer:
        shown = BulkJobShape.of(job) if job else None
        return cls(changed=preview.touched(action), unchanged=preview.untouched(action), job=shown)


class BulkJobList(Struct, frozen=True):
    """The latest jobs, the newest first."""

    data: list[BulkJobShape]
    object: Literal["list"] = "list"
