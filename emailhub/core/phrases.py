"""The wordings by which servers say what their codes do not: patterns in lower case, for texts in lower case."""

_NEAR = r"([^.;]|\.\S){0,80}"
"""Up to 80 characters of the same sentence; the dots of addresses and names end none."""
RECEIVERS_RULE = (
    r"recipient address rejected|resolver\.rst|delivery restriction|recipient('s)? thread limit"
    r"|not (authori[sz]ed|allowed|permitted) to (send|mail|e-?mail)( \w+){0,3} to (this|the) "
    r"(recipient|user|group|mailbox|address|list)"
)
QUOTA = (
    r"(daily|hourly|monthly)\b.{0,60}\b(limit|quota)|(sending|submission) (limit|quota)"
    r"|relay limits?\b.{0,40}\bexceeded|(messaging?|mailing) (limits?|quota)\b.{0,40}\bexceeded"
    r"|exceeded your messaging|maximum credits exceeded|over quota for sending|limited to [\d,]+ messages"
    r"|recipient limit exceeded, try again|exceeded threshold|recipients? received this (hour|day)"
)
BUSY = (
    r"\bthrottl|maximum (sending|send) rate|rate.?limit|concurrent connections limit|sender thread limit|server busy"
    r"|too (many|frequent) (messages|connect\w*|concurrent)|too (much mail|many recipients) from|unusual rate of"
)
PAUSED = (
    r"sending (is |has been |was )?(suspended|paused)|your( \w+)? account (is|has been|was) "
    r"(temporarily )?(suspended|paused|disabled|deactivated|frozen|blocked|on hold)"
)
BLOCKED = (
    r"banned sending ip|traffic not accepted from this ip|the ip you're using|network is on our block list"
    r"|client host rejected|helo command rejected|\bptr record|reverse dns|reputation of the sending ip"
    r"|connections will not be accepted from|all messages from \S+ will be permanently deferred"
    r"|\b(ip|ip address|client host|sending (host|server)|your (host|server))\b" + _NEAR +
    r"\b(block(ed|list|listed)?|blacklisted|denylisted|listed|banned|poor reputation)\b"
    r"|\b(block(ed|listed)?|blacklisted|banned)\b([^.;]|\.\S){0,40}\bip\b"
)  # fmt: skip
RELAYING = (
    r"relay(ing)? (access )?(denied|not permitted|not allowed|prohibited)|unable to relay|not permitted to relay"
    r"|allowed rcpthosts"
)
LOGIN = (
    r"invalid credentials|authentication (is )?required|not authenticated|must authenticate|unauthenticated senders"
    r"|basic authentication is not supported"
)
SENDER = (
    r"sendasdenied|send as this sender|address is not verified|verified sender identity|sender signature"
    r"|(bad|banned) (outbound )?sender|sender( address)? (is )?(rejected|not (allowed|authori[sz]ed|verified|owned))"
    r"|sender (address|domain)\b" + _NEAR + r"\bblocked using|sender is unauthenticated|unregistered domain"
    r"|unconfigured sending domain|sender is not allowed|relaying disallowed as|not owned by user"
    r"|from address (does not|is not|must)|sender domain (is )?not (verified|allowed)|reputation of the sending domain"
    r"|not authorized to (perform .ses:|send from that)"
)  # fmt: skip
GREY = r"gr[ea]y-?\s?list|postgrey"
