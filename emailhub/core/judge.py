"""What a reply, or the lack of one, means: the whole policy as one ordered table, total over every reply and stage.

Rules come from what servers really say; each carries a sample. The first digit of the basic code decides over a
contradicting enhanced code (RFC 3463 §2), and over anything a text says except where a rule names the text.
"""

from __future__ import annotations

import re
from re import Pattern

from msgspec import Struct

from emailhub.core.reply import Reply
from emailhub.core.verdict import STAGES, Kind, Stage, Verdict

LONGEST_WAIT = 3600.0
"""Seconds; a reply cannot put a message off for longer than this, whatever delay it names."""
_LONGEST_TEXT = 400

_BEFORE_MAIL = frozenset(STAGES[: STAGES.index(Stage.MAIL)])
_OF_MESSAGE = frozenset(STAGES) - _BEFORE_MAIL
_ALL = frozenset(STAGES)
_MAIL = frozenset({Stage.MAIL})
_RCPT = frozenset({Stage.RCPT})
_FINAL = frozenset({Stage.FINAL})


class Rule(Struct, frozen=True):
    """A reply at one of `stages` whose parts match (code and enhanced whole, text anywhere; None matches all).

    `says` is how the meaning is told to people; `sample` is a reply a real server gives; `greylisted` as in Verdict.
    """

    stages: frozenset[Stage]
    kind: Kind
    says: str
    sample: str
    code: Pattern[str] | None = None
    enhanced: Pattern[str] | None = None
    text: Pattern[str] | None = None
    greylisted: bool = False

    def matches(self, stage: Stage, reply: Reply) -> bool:
        return (
            stage in self.stages
            and (self.code is None or self.code.fullmatch(str(reply.code)) is not None)
            and (self.enhanced is None or self.enhanced.fullmatch(reply.enhanced) is not None)
            and (self.text is None or self.text.search(reply.text) is not None)
        )


def _rule(
    stages: frozenset[Stage],
    code: str | None,
    enhanced: str | None,
    text: str | None,
    kind: Kind,
    says: str,
    sample: str,
    *,
    greylisted: bool = False,
) -> Rule:
    return Rule(
        stages,
        kind,
        says,
        sample,
        re.compile(code) if code else None,
        re.compile(enhanced) if enhanced else None,
        re.compile(text, re.IGNORECASE) if text else None,
        greylisted,
    )


_BLOCKED = (
    r"banned sending ip|blocked using|traffic not accepted from this ip|the ip you're using"
    r"|\b(ip|ip address|client host|sending (host|server)|your (host|server))\b([^.;]|\.\S){0,80}"
    r"\b(block(ed|list|listed)?|blacklisted|denylisted|listed|banned|poor reputation)\b"
    r"|\b(block(ed|listed)?|blacklisted|banned)\b([^.;]|\.\S){0,40}\bip\b"
)
_QUOTA = (
    r"\bthrottl|maximum (sending|send) rate|(daily|hourly|monthly)\b.{0,60}\b(limit|quota)|sending (limit|quota)"
    r"|(relay|submission|sending|messaging?) (limits?|quota)\b.{0,40}\bexceeded|exceeded your messaging"
    r"|maximum credits exceeded|sender thread limit|domain is over|peak smtp relay limit|over quota for sending"
    r"|rate limit|rate limited|too many messages|server busy"
)
_SENDER = (
    r"sendasdenied|send as this sender|address is not verified|verified sender identity|sender signature"
    r"|(bad|banned) (outbound )?sender|sender( address)? (is )?(rejected|not (allowed|authori[sz]ed|verified|owned))"
    r"|unconfigured sending domain|sender is not allowed|relaying disallowed as|not owned by user"
    r"|from address (does not|is not|must)|sender domain (is )?not (verified|allowed)"
)
_RELAYING = (
    r"relay(ing)? (access )?(denied|not permitted|not allowed|prohibited)|unable to relay|not permitted to relay"
    r"|allowed rcpthosts"
)
_TOO_MANY = r"too many (recipients|rcpt)"
_GREY = r"gr[ea]y-?\s?list|postgrey"

_K = Kind
RULES: tuple[Rule, ...] = (
    # A reply that is none (code -1): the conversation is out of step. The server may have taken a whole body.
    _rule(_FINAL, "-1", None, None, _K.UNKNOWN, "the final reply could not be read", "-1 \x00\x00"),
    _rule(_ALL, "-1", None, None, _K.RELAY, "the relay sent no SMTP reply", "-1 HTTP/1.1 400"),
    # Only the final reply can accept; any other success or go-ahead here answers a question nobody asked.
    _rule(_FINAL, "2..", None, None, _K.ACCEPTED, "accepted", "250 2.0.0 Ok: queued as 4BqT1c2Yz1z9sTL"),
    _rule(_FINAL, "[^45]..", None, None, _K.UNKNOWN, "the final reply was not one", "354 go ahead"),
    _rule(_ALL, "[^45]..", None, None, _K.RELAY, "the relay answered out of step", "250 2.0.0 Ok"),
    # Before MAIL nothing is about the message, whatever the code (a 5xx greeting too).
    _rule(
        frozenset({Stage.GREETING}), None, None, _BLOCKED, _K.RELAY, "the relay blocks our address",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
    ),
    _rule(
        frozenset({Stage.GREETING, Stage.CONNECT}), None, None, None, _K.RELAY, "the relay did not greet us",
        "554 5.3.2 mx.example.com system not accepting network messages",
    ),
    _rule(
        frozenset({Stage.EHLO}), None, None, None, _K.RELAY, "the relay refused EHLO",
        "550 5.7.1 Helo command rejected: Host not found",
    ),
    _rule(
        frozenset({Stage.TLS}), None, None, None, _K.RELAY, "the relay refused to start TLS",
        "454 4.7.0 TLS not available due to local problem",
    ),
    _rule(
        frozenset({Stage.AUTH}), "5..", None, None, _K.RELAY,
        "the relay rejected our login, check SMTP_USER and SMTP_PASS",
        "535 5.7.8 Username and Password not accepted. For more information, go to 535 5.7.8 "
        "https://support.google.com/mail/?p=BadCredentials",
    ),
    _rule(
        frozenset({Stage.AUTH}), None, None, None, _K.RELAY, "the relay cannot check our login now",
        "454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
    ),
    # The relay itself, at any stage of the message.
    _rule(
        _OF_MESSAGE, "421", None, None, _K.RELAY, "the relay closes the connection",
        "421 4.7.0 Try again later, closing connection.",
    ),
    _rule(
        _OF_MESSAGE, "454", None, None, _K.RELAY, "the relay slows us down",
        "454 Throttling failure: Maximum sending rate exceeded.",
    ),
    _rule(
        _OF_MESSAGE, "503", None, None, _K.RELAY, "the relay lost the thread of the conversation",
        "503 5.5.1 Error: need MAIL command",
    ),
    _rule(
        _OF_MESSAGE, "5(30|34|35|38)", None, None, _K.RELAY, "the relay wants another login",
        "530 5.7.57 Client not authenticated to send mail.",
    ),
    _rule(
        _OF_MESSAGE, None, r"5\.4\.5", None, _K.RELAY, "the relay's sending quota is used up",
        "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to 550 5.4.5 "
        "https://support.google.com/a/answer/166852",
    ),
    _rule(
        _OF_MESSAGE, None, r"4\.7\.(28|500|650|651)", None, _K.RELAY, "the relay slows us down",
        "451 4.7.651 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
    ),
    _rule(
        _OF_MESSAGE, None, None, _QUOTA, _K.RELAY, "the relay's sending quota is used up",
        "450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.",
    ),
    _rule(
        _OF_MESSAGE, None, r"5\.7\.6[0-4]\d", None, _K.RELAY, "the relay blocks our address",
        "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
    ),
    _rule(
        _OF_MESSAGE, None, None, _BLOCKED, _K.RELAY, "the relay blocks our address",
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Your IP is on our block list (S3140).",
    ),
    _rule(
        _OF_MESSAGE, None, None, _RELAYING, _K.RELAY, "the relay does not carry mail for us",
        "554 5.7.1 <ann@example.com>: Relay access denied",
    ),
    _rule(
        _OF_MESSAGE, "5..", None, r"invalid credentials|authentication required|not authenticated", _K.RELAY,
        "the relay wants another login", "550 5.7.1 Invalid credentials for relay [192.0.2.1].",
    ),
    _rule(
        _MAIL, "4..", r"4\.3\.1", None, _K.RELAY, "the relay has no room",
        "452 4.3.1 Insufficient system storage",
    ),
    # Our From address.
    _rule(
        _OF_MESSAGE, "5..", r"5\.7\.60|5\.2\.252|5\.1\.8|5\.1\.7", None, _K.SENDER,
        "the relay does not let this From send", "550 5.7.60 Client does not have permissions to send as this sender",
    ),
    _rule(
        _OF_MESSAGE, "5..", None, _SENDER, _K.SENDER, "the relay does not let this From send",
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: news@example.org",
    ),
    _rule(
        _MAIL, "5..", r"5\.7\.\d+", None, _K.SENDER, "the relay does not let this From send",
        "550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibited the mail",
    ),
    _rule(
        _MAIL, "553", None, None, _K.SENDER, "the relay does not let this From send",
        "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
    ),
    # Too many recipients in one go; old servers say 552, which RFC 5321 §4.5.3.1.10 wants read as 452.
    _rule(
        _RCPT, "45.", r"4\.5\.3", None, _K.TRANSIENT, "too many recipients in one transaction",
        "452 4.5.3 Error: too many recipients",
    ),
    _rule(
        _RCPT, "45.|55.", None, _TOO_MANY, _K.TRANSIENT, "too many recipients in one transaction",
        "552 Too many recipients",
    ),
    # Greylisting.
    _rule(
        _OF_MESSAGE, "4..", None, _GREY, _K.TRANSIENT, "greylisted",
        "450 4.2.0 <ann@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/x",
        greylisted=True,
    ),
    _rule(
        _OF_MESSAGE, "45[01]", r"4\.7\.1|4\.2\.0", None, _K.TRANSIENT, "greylisted",
        "451 4.7.1 Please try again later", greylisted=True,
    ),
    # Whatever else: the first digit decides.
    _rule(_MAIL, "4..", None, None, _K.TRANSIENT, "the relay put the message off", "451 4.3.0 Try again"),
    _rule(_RCPT, "4..", None, None, _K.TRANSIENT, "put off for this recipient", "450 4.2.1 Mailbox busy"),
    _rule(_OF_MESSAGE, "4..", None, None, _K.TRANSIENT, "the relay put the message off", "451 4.3.0 Queue write error"),
    _rule(_MAIL, "5..", None, None, _K.PERMANENT, "the relay refused the message", "552 5.3.4 Message too big"),
    _rule(_RCPT, "5..", None, None, _K.PERMANENT, "this recipient was refused", "550 5.1.1 User unknown"),
    _rule(_OF_MESSAGE, "5..", None, None, _K.PERMANENT, "the relay refused the message", "554 5.6.0 Bad content"),
)  # fmt: skip
"""In order; the first that matches decides. The last ones match every reply that is left."""

TOO_MANY_RECIPIENTS = "too many recipients in one transaction"
"""`says` of the rules after which the recipients left over may go at once in a transaction of their own."""


def judge(stage: Stage, reply: Reply) -> Verdict:
    """What `reply` means when it came at `stage`. Total: any code (-1: no reply at all), any text.

    Called for the final reply, and at the other stages for what was not the success hoped for.
    """
    rule = next((r for r in RULES if r.matches(stage, reply)), None)
    if rule is None:  # a code of other than three digits
        return judge(stage, Reply(-1, "", str(reply)))
    said = str(reply) if reply.code > 0 else reply.text
    text = rule.says if rule.kind is Kind.ACCEPTED else f"{rule.says}: {said}"
    wait = None if rule.kind in {Kind.ACCEPTED, Kind.PERMANENT} else named_wait(reply.text)
    return Verdict(rule.kind, stage, shortened(text), reply, wait, rule.greylisted)


def judge_failure(stage: Stage, text: str, *, body_sent: bool) -> Verdict:
    """What a failure without a reply means: a refused or lost connection, DNS, TLS, a deadline that passed.

    Unknown exactly when the last byte of the body was handed over; anything earlier cannot have delivered.
    """
    if body_sent:
        return Verdict(Kind.UNKNOWN, stage, shortened(f"{text}; the message may or may not have been taken"))
    return Verdict(Kind.RELAY, stage, shortened(text))


_CUE = r"(?:try|retry|again|come back|resend|wait|delay(?:ed)?|after|defer(?:red)?)"
_CLOCK = re.compile(_CUE + r"\D{0,40}?\b(\d{1,2}):(\d\d)(?::(\d\d))?\b", re.IGNORECASE)
_AMOUNT = re.compile(
    _CUE + r"\D{0,40}?\b(\d{1,6})\s*(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b", re.IGNORECASE
)
_MORE = re.compile(r"\s*(?:and|,)?\s*(\d{1,4})\s*(s|secs?|seconds?|m|mins?|minutes?)\b", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600}


def named_wait(text: str) -> float | None:
    """Seconds of "try again in 5 minutes", "retry after 300 s", "come back in 00:04:30"; None when none is named."""
    if found := _CLOCK.search(text):
        first, second, third = found.groups()
        seconds = int(first) * 60 + int(second) if third is None else _hms(int(first), int(second), int(third))
        return min(float(seconds), LONGEST_WAIT)
    if not (found := _AMOUNT.search(text)):
        return None
    seconds = _amount(found.group(1), found.group(2))
    if more := _MORE.match(text, found.end()):
        seconds += _amount(more.group(1), more.group(2))
    return min(float(seconds), LONGEST_WAIT)


def shortened(text: str) -> str:
    """One line of at most 400 characters."""
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _hms(hours: int, minutes: int, seconds: int) -> int:
    return hours * 3600 + minutes * 60 + seconds


def _amount(number: str, unit: str) -> int:
    return int(number) * _SECONDS[unit[0].lower()]
