"""What the API answers, as values; the reference and the OpenAPI document are made from these."""

from emailhub.web.shapes.breakers import BreakerList, BreakerShape
from emailhub.web.shapes.messages import (
    Accepted,
    AcceptedBatch,
    BatchError,
    Changed,
    Email,
    EmailList,
    EmailSummary,
    RecipientShape,
    Tag,
)
from emailhub.web.shapes.original import Health, Queued, RequestStatus
from emailhub.web.shapes.past import (
    AttemptList,
    AttemptShape,
    EventList,
    EventShape,
    LineShape,
    ResultShape,
    StageShape,
)
from emailhub.web.shapes.relays import (
    BehaviourShape,
    ConnectionsShape,
    LimitShape,
    RelayList,
    RelayShape,
    SuspensionShape,
)
from emailhub.web.shapes.reloaded import ChangeShape, ReloadedShape
from emailhub.web.shapes.suppressions import (
    SuppressionLifted,
    SuppressionListShape,
    SuppressionsAdded,
    SuppressionShape,
    SuppressionsLifted,
)

__all__ = [
    "Accepted",
    "AcceptedBatch",
    "AttemptList",
    "AttemptShape",
    "BatchError",
    "BehaviourShape",
    "BreakerList",
    "BreakerShape",
    "ChangeShape",
    "Changed",
    "ConnectionsShape",
    "Email",
    "EmailList",
    "EmailSummary",
    "EventList",
    "EventShape",
    "Health",
    "LimitShape",
    "LineShape",
    "Queued",
    "RecipientShape",
    "RelayList",
    "RelayShape",
    "ReloadedShape",
    "RequestStatus",
    "ResultShape",
    "StageShape",
    "SuppressionLifted",
    "SuppressionListShape",
    "SuppressionShape",
    "SuppressionsAdded",
    "SuppressionsLifted",
    "SuspensionShape",
    "Tag",
]
