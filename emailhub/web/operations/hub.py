"""Operations on the hub: its relays, breakers and settings."""

from __future__ import annotations

from emailhub.web import requests as asked
from emailhub.web import shapes as told
from emailhub.web.operations.operation import BODY, STRING, Input, Operation

_RELAY = Input("relay", "path", "the relay's name: `default` for SMTP_HOST's", STRING, required=True)

HUB: tuple[Operation, ...] = (
    Operation(
        method="get",
        path="/relays",
        group="Relays",
        summary="List the relays",
        meaning="In the order they are asked. With `Accept: text/html` this address is the page of the dashboard.",
        answer=told.RelayList,
    ),
    Operation(
        method="get",
        path="/relays/{relay}",
        group="Relays",
        summary="Read a relay",
        meaning="Its breaker, its connections, what is left of its limits, senders it does not let send, and which "
        "relay carries its mail while it cannot.",
        inputs=(_RELAY,),
        answer=told.RelayShape,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/relays/{relay}/resume-sender",
        group="Relays",
        summary="Let a suspended sender send again",
        meaning="Its mail is due at once, instead of at the next try. Verify the domain with the provider first.",
        inputs=(_RELAY,),
        body=asked.ResumeSenderRequest,
        answer=told.RelayShape,
        errors=(*BODY, 404),
    ),
    Operation(
        method="post",
        path="/relays/{relay}/behaviour",
        group="Relays",
        summary="Tell the chaos relay how to behave",
        meaning="For the relay `chaos` only, which is there while capturing with EMAILHUB_CHAOS. Kept across restarts.",
        inputs=(_RELAY,),
        body=asked.BehaviourRequest,
        answer=told.BehaviourShape,
        errors=(*BODY, 404),
    ),
    Operation(
        method="get",
        path="/breakers",
        group="Breakers",
        summary="List the circuit breakers",
        answer=told.BreakerList,
    ),
    Operation(
        method="get",
        path="/breakers/{relay}",
        group="Breakers",
        summary="Read a breaker",
        inputs=(_RELAY,),
        answer=told.BreakerShape,
        errors=(404,),
    ),
    Operation(
        method="post",
        path="/breakers/{relay}",
        group="Breakers",
        summary="Force a breaker, or leave it to itself",
        meaning="The order, its reason and who gave it are kept and survive a restart.",
        inputs=(_RELAY,),
        body=asked.BreakerRequest,
        answer=told.BreakerShape,
        errors=(*BODY, 404),
    ),
    Operation(
        method="get",
        path="/settings",
        group="Settings",
        summary="Read the settings in force",
        meaning="Every setting with its value and where that came from, secrets masked; what their sources say by now; "
        "how each part stands, and what the hub is made of. With `Accept: text/html` it is the page of the dashboard.",
        answer=told.SetupShape,
    ),
    Operation(
        method="post",
        path="/reload",
        group="Settings",
        summary="Read the settings again",
        meaning="From all their sources, as at the start: relays, destinations, DKIM keys and rules about recipients "
        "change without a restart, and `restart` names what does not. Settings that do not work are refused whole, "
        "with every problem. The audit log has who asked, and the reason.",
        body=asked.VerbRequest,
        body_optional=True,
        answer=told.ReloadedShape,
        errors=BODY,
    ),
)
