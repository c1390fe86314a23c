"""What the API answers, as values; the reference and the OpenAPI document are made from these."""

from emailhub.web.shapes.breakers import BreakerList, BreakerShape
from emailhub.web.shapes.messages import Accepted, Changed, Email, EmailList, EmailSummary, RecipientShape, Tag
from emailhub.web.shapes.original import Health, Queued, RequestStatus
from emailhub.web.shapes.past import AttemptList, AttemptShape, EventList, EventShape, LineShape, ResultShape

__all__ = [
    "Accepted",
    "AttemptList",
    "AttemptShape",
    "BreakerList",
    "BreakerShape",
    "Changed",
    "Email",
    "EmailList",
    "EmailSummary",
    "EventList",
    "EventShape",
    "Health",
    "LineShape",
    "Queued",
    "RecipientShape",
    "RequestStatus",
    "ResultShape",
    "Tag",
]
