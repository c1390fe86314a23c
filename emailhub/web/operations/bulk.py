"""Operations on many messages at once."""

from __future__ import annotations

from emailhub.web import bulk_requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, STRING, Input, Operation
from emailhub.web.requests import VerbRequest

_ID = Input("job_id", "path", "the job's id", STRING, required=True)

BULK: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/emails/bulk",
        group="Many messages",
        summary="Do one thing to many messages",
        meaning="A job that goes on in the background, also after a restart, one job at a time. It touches what "
        "matches by then of the messages accepted before this request. With `dry_run` there is none.",
        body=asked.BulkRequest,
        answer=told.BulkAnswer,
        errors=BODY,
    ),
    Operation(
        method="get", path="/bulk", group="Many messages", summary="List the latest jobs", answer=told.BulkJobList
    ),
    Operation(
        method="get",
        path="/bulk/{job_id}",
        group="Many messages",
        summary="Read how far a job is",
        inputs=(_ID,),
        answer=told.BulkJobShape,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/bulk/{job_id}/stop",
        group="Many messages",
        summary="Stop a job",
        meaning="What is done stays so.",
        inputs=(_ID,),
        body=VerbRequest,
        body_optional=True,
        answer=told.BulkJobShape,
        errors=(*BODY, 404, 409),
    ),
)
