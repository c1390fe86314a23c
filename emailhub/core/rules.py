"""What replies mean, as data: one ordered table in which the first rule that fits decides.

Code first, then enhanced code, then text: a rule names a text only where servers say too little by code. The first
digit of the basic code decides over a contradicting enhanced code (RFC 3463 §2), and over anything a text says except
where the trouble is not about this mail at all. Every rule carries replies that real servers give.
"""

from __future__ import annotations

from emailhub.core import phrases
from emailhub.core.rule import Rule, rule
from emailhub.core.verdict import STAGES, Kind, Stage

TOO_MANY_RECIPIENTS = "too many recipients in one transaction"
"""`says` of the rule after which the recipients left over may go at once in a transaction of their own."""

_ALL = frozenset(STAGES)
_BEFORE_MAIL = frozenset(STAGES[: STAGES.index(Stage.MAIL)])
_OF_MESSAGE = _ALL - _BEFORE_MAIL
_GREETING = frozenset({Stage.GREETING})
_AUTH = frozenset({Stage.AUTH})
_MAIL = frozenset({Stage.MAIL})
_RCPT = frozenset({Stage.RCPT})
_FINAL = frozenset({Stage.FINAL})
_AFTER_MAIL = _OF_MESSAGE - _MAIL
_CONTENT = _AFTER_MAIL - _RCPT

_K = Kind
_SLOW = "the relay slows us down"
_USED_UP = "the relay's sending quota is used up"
_BLOCKS = "the relay blocks our address"
_NOT_THIS_FROM = "the relay does not let this From send"
_OTHER_LOGIN = "the relay wants another login"
_NOT_FOR_US = "the relay does not carry mail for us"
_PUT_OFF = "the relay put the message off"
_REFUSED = "the relay refused the message"

RULES: tuple[Rule, ...] = (
    # A reply that is none (code -1): the conversation is out of step. The server may have taken a whole body.
    rule(_FINAL, _K.UNKNOWN, "the final reply could not be read", "-1 \x00\x00", code="-1"),
    rule(_ALL - _FINAL, _K.RELAY, "the relay sent no SMTP reply", "-1 HTTP/1.1 400 Bad Request", code="-1"),
    # Only the final reply can accept; any other success or go-ahead here answers a question nobody asked.
    rule(
        _FINAL, _K.ACCEPTED, "accepted", "250 2.0.0 Ok: queued as 4BqT1c2Yz1z9sTL",
        "250 Ok 0102018f2a1b3c4d-5e6f7081-92a3-4b5c-8d7e-6f5041322314-000000", "250 Great success",
        "250 2.0.0 OK  1732437716 ffacd0b85a97d-3a1b2c3d4e5fsm12345678f8f.12 - gsmtp",
        "250 2.6.0 <1@example.com> [InternalId=1, Hostname=X.PROD.OUTLOOK.COM] Queued mail for delivery",
        "250 Ok: queued as vJxT0kWqTkOYjwQzJv4x5w", code="2..",
    ),
    rule(_FINAL, _K.UNKNOWN, "the final reply was not one", "354 go ahead", code="[^45].."),
    rule(_ALL - _FINAL, _K.RELAY, "the relay answered out of step", "250 2.0.0 Ok", code="[^45].."),
    # Before MAIL nothing is about the message, whatever the code (a 5xx greeting too).
    rule(
        _BEFORE_MAIL, _K.RELAY, _USED_UP, "451 Authentication failed: Maximum credits exceeded",
        "535 5.7.0 Your account is on probation and domains are limited to 100 messages / hour. Account will be "
        "enabled in 2081 seconds", text=phrases.QUOTA,
    ),
    rule(
        _BEFORE_MAIL, _K.RELAY, _BLOCKS,
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org",
        "550 5.7.1 Helo command rejected: Host not found",
        "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.1, because the ip is in Spamhaus's list",
        text=phrases.BLOCKED,
    ),
    rule(
        _GREETING | {Stage.CONNECT}, _K.RELAY, "the relay did not greet us",
        "554 5.3.2 mx.example.com system not accepting network messages", "421 4.3.2 Service not available",
    ),
    rule(
        frozenset({Stage.EHLO}), _K.RELAY, "the relay refused EHLO",
        '501 5.5.4 HELO/EHLO argument "hub" invalid, closing connection.',
    ),
    rule(
        frozenset({Stage.TLS}), _K.RELAY, "the relay refused to start TLS",
        "454 4.7.0 TLS not available due to local problem",
    ),
    rule(
        _AUTH, _K.RELAY, "the relay rejected our login, check its user and password",
        "535 5.7.8 Username and Password not accepted. For more information, go to "
        "https://support.google.com/mail/?p=BadCredentials", "534 5.7.9 Application-specific password required.",
        "535 Authentication Credentials Invalid", "535 5.7.8 Error: authentication failed: UGFzc3dvcmQ6",
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        "535 5.7.0 Mailgun is not loving your login or password", "504 5.5.4 Unrecognized authentication type",
        "535 Authentication failed: The provided authorization grant is invalid, expired, or revoked", code="5..",
    ),
    rule(
        _AUTH, _K.RELAY, "the relay cannot check our login now",
        "454 4.7.0 Temporary authentication failure: Connection lost to authentication server",
        "454 4.7.0 Cannot authenticate due to a temporary system problem.",
    ),
    # Our From address, where even a 421 is about nothing else.
    rule(
        _OF_MESSAGE, _K.SENDER, _NOT_THIS_FROM,
        "550 5.7.26 This mail has been blocked because the sender is unauthenticated. Gmail requires all senders to "
        "authenticate with either SPF or DKIM. DKIM = did not pass SPF [example.com] with ip: [192.0.2.1] = Did not "
        "pass", "421 4.7.26 This mail has been rate limited because it is unauthenticated.",
        "550 5.7.20 No passing DKIM signature found", enhanced=r"4\.7\.(26|27|3[0-2])|5\.7\.(2[0-4]|26|27|3[12])",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _USED_UP,
        "421 Domain example.com is not allowed to send: recipient limit exceeded, try again after Sun, 05 Oct 2025 "
        "19:22:44 UTC", text=r"is not allowed to send: .*\blimit",
    ),
    rule(
        _OF_MESSAGE, _K.SENDER, _NOT_THIS_FROM,
        "421 Domain sandbox1234.mailgun.org is not allowed to send: Free accounts are for test purposes only. Please "
        "upgrade or add the address to authorized recipients in Account Settings.",
        "550 5.7.1 Domain example.com is not allowed to send: Please activate your Mailgun account.",
        text=r"domain \S+ is not allowed to send",
    ),
    # The relay itself, at any stage of the message: by code.
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay closes the connection", "421 4.7.0 Try again later, closing connection.",
        "421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints - "
        "4.16.55.1; see https://postmaster.yahooinc.com/error-codes", "421 Too many concurrent SMTP connections",
        "421 4.4.2 mx.example.com Error: timeout exceeded", "421 Message from (192.0.2.1) temporarily deferred",
        "421 4.7.28 Gmail has detected an unusual rate of mail originating from your IP address.", code="421",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _SLOW, "454 Throttling failure: Maximum sending rate exceeded.",
        "454 Throttling failure: Daily message quota exceeded.", "454 Temporary service failure", code="454",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay lost the thread of the conversation",
        "503 5.5.1 Error: need MAIL command", "503 5.5.2 Need mail command", code="503",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay wants TLS first, set its tls to starttls",
        "530 5.7.0 Must issue a STARTTLS command first", "550 5.7.10 Encryption needed",
        text=r"\bstarttls\b|encryption (needed|required)",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _OTHER_LOGIN, "530 5.7.57 Client not authenticated to send mail.",
        "530 Authentication required", "530 5.7.0 Authentication Required.", code="5(30|34|35|38)",
    ),
    # ... by enhanced code.
    rule(
        _OF_MESSAGE, _K.RELAY, _USED_UP,
        "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to "
        "https://support.google.com/a/answer/166852",
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        "550 5.7.705 Access denied, tenant has exceeded threshold",
        "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit for sending email to "
        "external recipients (tenant external recipient rate limit)",
        enhanced=r"5\.4\.5|5\.1\.90|5\.7\.23[23]|5\.7\.70[0-7]|5\.7\.7[1-4]\d",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _SLOW,
        "451 4.7.651 The mail server [192.0.2.1] has been temporarily rate limited due to IP reputation.",
        "451 4.7.500 Server busy. Please try again later from [192.0.2.1].", enhanced=r"4\.7\.(28|5\d\d|6\d\d)",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _BLOCKS, "550 5.7.606 Access denied, banned sending IP [192.0.2.1]",
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP.",
        "550 5.7.511 Access denied, banned sender[192.0.2.1].",
        "550 5.7.25 The IP address sending this message does not have a PTR record setup",
        "450 4.7.25 Client host rejected: cannot find your hostname, [192.0.2.1]",
        enhanced=r"5\.7\.(6[0-4]\d|708|508|511|513|25|28)|4\.7\.(23|25)",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay has no room", "452 4.3.1 Insufficient system storage",
        "452 4.3.1 Insufficient system resources (UsedVersionBuckets[C:])", code="4..", enhanced=r"4\.3\.1",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay is not set up right", "451 4.3.5 Server configuration error",
        "451 4.3.5 <ann@example.com>: Recipient address rejected: Server configuration problem",
        code="4..", enhanced=r"4\.3\.5",
    ),
    rule(
        _OF_MESSAGE, _K.SENDER, _NOT_THIS_FROM,
        "550 5.7.60 Client does not have permissions to send as this sender",
        "554 5.2.252 SendAsDenied; a@example.com not allowed to send as b@example.com",
        "550 5.1.8 Access denied, bad outbound sender", "450 4.1.8 <a@example.com>: Sender address rejected: Domain "
        "not found", "550 5.7.501 Access denied, spam abuse detected.",
        "550 5.7.750 Service unavailable. Client blocked from sending from unregistered domains.",
        "550 5.7.509 Access denied, sending domain example.com does not pass DMARC verification",
        enhanced=r"5\.7\.60|5\.2\.252|[45]\.1\.[78]|5\.7\.(50[1239]|515|750)",
    ),
    rule(
        _AFTER_MAIL, _K.PERMANENT, "this recipient does not take our mail",
        "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check "
        "failed because the sender was not authenticated when sending to this group",
        "550 5.7.124 Sender not in allowed-senders list",
        code="5..", enhanced=r"5\.7\.(12\d?|13[0-6])",
    ),
    # ... by text. Quotas before recipients: policy daemons hide them behind a recipient's name or code.
    rule(
        _OF_MESSAGE, _K.RELAY, _USED_UP,
        "450 4.2.1 Peak SMTP relay limit exceeded for customer. This is a temporary error.",
        "550 5.7.1 Daily SMTP relay limit exceeded for customer.", "451 You have exceeded your messaging limits",
        "554 Your account is on probation and domains are limited to 100 messages / hour. Account will be enabled in "
        "341 seconds", "550 5.2.2 Submission quota exceeded", "452 Too many recipients received this hour (throttled)",
        "450 4.7.1 <ann@example.com>: Recipient address rejected: Policy Rejection- Sending quota exceeded",
        text=phrases.QUOTA,
    ),
    rule(
        _OF_MESSAGE, _K.TRANSIENT, "greylisted",
        "450 4.2.0 <ann@example.com>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/x",
        "451 4.7.1 Greylisting in action, please come back in 00:04:30", "450 Graylisted for 300 seconds",
        code="4..", text=phrases.GREY, greylisted=True,
    ),
    # The recipient, and what its own server or its owner's rules say.
    rule(
        _AFTER_MAIL, _K.PERMANENT, "this recipient was refused",
        "550 5.1.1 <ann@example.com>: Recipient address rejected: User unknown in virtual mailbox table",
        "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the "
        "recipient's email address", "553 5.1.2 We weren't able to find the recipient domain.",
        "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient ann@example.com not found by SMTP address lookup",
        "550 5.2.1 This account has been suspended",
        "552 5.2.2 The email account that you tried to reach is over quota",
        "552 5.2.3 Your message exceeded Google's message size limits.",
        "550 5.2.3 RESOLVER.RST.RecipSizeLimit; message too large for this recipient",
        "550 5.2.121 Recipient's per hour message receive limit from specific sender exceeded",
        code="5..", enhanced=r"5\.[12]\.[1-9]\d*",
    ),
    rule(
        _AFTER_MAIL, _K.TRANSIENT, "put off for this recipient",
        "450 4.2.1 The user you are trying to contact is receiving mail too quickly. Please resend later.",
        "452 4.2.2 The email account that you tried to reach is over quota.", "450 4.2.1 Recipient rate limit exceeded",
        "450 4.1.1 <ann@example.com>: Recipient address rejected: unverified address: Address lookup failed",
        code="4..", enhanced=r"4\.[12]\.[1-9]\d*",
    ),
    rule(
        # What Postfix says on a submission port to whoever has not logged in.
        _RCPT, _K.RELAY, _NOT_FOR_US, "554 5.7.1 <ann@example.com>: Recipient address rejected: Access denied",
        code="554", enhanced=r"5\.7\.1", text=r"recipient address rejected: access denied$",
    ),
    rule(
        _AFTER_MAIL, _K.PERMANENT, "this recipient does not take our mail",
        "550 5.7.1 RESOLVER.RST.AuthRequired; authentication required", "550 5.4.1 Recipient address rejected: Access "
        "denied.", "550 5.7.1 <ann@example.com>: Recipient address rejected: your server is blocked by its policy",
        "550 5.7.1 You are not allowed to send mail to this recipient", code="5..", text=phrases.RECEIVERS_RULE,
    ),
    rule(
        _AFTER_MAIL, _K.TRANSIENT, "put off for this recipient",
        "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
        "450 4.7.0 <ann@example.com>: Recipient address rejected: policy server is busy, try again",
        code="4..", text=phrases.RECEIVERS_RULE,
    ),
    # Again the relay.
    rule(
        _OF_MESSAGE, _K.RELAY, _SLOW, "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more "
        "information.", "450 too frequent connects from 192.0.2.1, please try again later.",
        "450 4.7.1 Error: too much mail from 192.0.2.1", "450 4.7.1 Error: too many recipients from 192.0.2.1",
        text=phrases.BUSY,
    ),
    rule(
        _RCPT, _K.TRANSIENT, TOO_MANY_RECIPIENTS, "452 4.5.3 Error: too many recipients",
        "452 4.5.3 Your message has too many recipients.", "452 4.5.3 Domain policy size per transaction exceeded, "
        "please try this recipient in a separate transaction.", code="45.", enhanced=r"4\.5\.3",
    ),
    rule(
        # Old servers say 552, which RFC 5321 §4.5.3.1.10 wants read as 452.
        _RCPT, _K.TRANSIENT, TOO_MANY_RECIPIENTS, "552 Too many recipients", "550 5.5.3 Too many recipients",
        "452 too many rcpts",
        "451 4.3.0 Multiple destination domains per transaction is unsupported. Please try again.",
        code="45.|55.", text=r"too many (recipients|rcpt)|multiple destination domains",
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, "the relay has stopped our account",
        "554 Message rejected: Sending suspended for this account. For more information, please check the inbox of "
        "the email address associated with your AWS account.", "554 Message rejected: Sending paused for this account.",
        "550 5.7.1 Your account has been disabled", text=phrases.PAUSED,
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _BLOCKS,
        "550 5.7.1 Unfortunately, messages from [192.0.2.1] weren't sent. Please contact your Internet service "
        "provider since part of their network is on our block list (S3140).",
        "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org; "
        "https://www.spamhaus.org/query/ip/192.0.2.1", "504 5.5.2 <hub>: Helo command rejected: need fully-qualified "
        "hostname", "450 4.7.1 Client host rejected: cannot find your reverse hostname, [192.0.2.1]",
        "553 5.7.2 [TSS09] All messages from 192.0.2.1 will be permanently deferred; Retrying will NOT succeed.",
        "550 5.7.1 Our system has detected that this message is likely suspicious due to the very low reputation of "
        "the sending IP address.", text=phrases.BLOCKED,
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _NOT_FOR_US,
        "554 5.7.1 <ann@example.com>: Relay access denied", "550 5.7.1 Unable to relay", "550 relay not permitted",
        "550 5.7.0 Mail relay denied [192.0.2.1]. Invalid credentials for relay for one of the domains in: example.com",
        "550 5.7.64 TenantAttribution; Relay Access Denied", "550 5.7.1 Relaying denied",
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)", text=phrases.RELAYING,
    ),
    rule(
        _OF_MESSAGE, _K.RELAY, _OTHER_LOGIN, "550 5.7.1 Invalid credentials for relay [192.0.2.1].",
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        "550 Unauthenticated senders not allowed", code="5..", text=phrases.LOGIN,
    ),
    # Again our From address.
    rule(
        _OF_MESSAGE, _K.SENDER, _NOT_THIS_FROM,
        "554 Message rejected: Email address is not verified. The following identities failed the check in region "
        "EU-WEST-1: news@example.org", "554 Access denied: User `arn:aws:iam::1:user/hub' is not authorized to perform "
        "`ses:SendRawEmail' on resource `arn:aws:ses:eu-west-1:1:identity/example.org'",
        "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is "
        "resolved.", "403 You are not authorized to send from that email address",
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Cannot submit "
        "message.",
        "553 5.7.1 <a@example.com>: Sender address rejected: not owned by user b",
        "553 Relaying disallowed as a@example.com",
        "554 5.7.1 Service unavailable; Sender address [a@example.com] blocked using dbl.spamhaus.org",
        "550 5.7.9 This mail has been blocked because the sender is unauthenticated.", text=phrases.SENDER,
    ),
    rule(
        _MAIL, _K.SENDER, _NOT_THIS_FROM,
        "550 5.7.1 The user or domain that you are sending to (or from) has a policy that prohibited the mail",
        code="5..", enhanced=r"5\.7\.\d+",
    ),
    rule(
        _MAIL, _K.SENDER, _NOT_THIS_FROM, "553 sorry, your envelope sender is in my badmailfrom list (#5.7.1)",
        code="553",
    ),
    # Whatever else: the first digit decides.
    rule(
        _OF_MESSAGE, _K.TRANSIENT, "greylisted", "451 4.7.1 Please try again later", "450 4.2.0 Try again",
        code="45[01]", enhanced=r"4\.7\.1|4\.2\.0", greylisted=True,
    ),
    rule(
        _RCPT, _K.TRANSIENT, "put off for this recipient", "450 User is receiving mail too quickly",
        "451 4.3.0 <ann@example.com>: Temporary lookup failure", code="4..",
    ),
    rule(
        _OF_MESSAGE - _RCPT, _K.TRANSIENT, _PUT_OFF, "451 4.3.0 Queue write error", "451 4.3.2 Internal server error",
        "451 Temporary local problem - please try later", code="4..",
    ),
    rule(
        _RCPT, _K.PERMANENT, "this recipient was refused", "550 No such user here",
        "550 5.7.1 Recipient not authorized, your message was blocked by policy",
        "554 delivery error: dd This user doesn't have a yahoo.com account", code="5..",
    ),
    rule(
        _MAIL, _K.PERMANENT, _REFUSED, "552 5.3.4 Message size exceeds fixed limit", "501 5.1.3 Bad syntax",
        "552 4.3.1 Message size exceeds fixed maximum message size", code="5..",
    ),
    rule(
        _CONTENT, _K.PERMANENT, _REFUSED, "554 5.6.0 Bad content", "554 5.7.1 URL listed in black.uribl.com",
        "552 5.7.0 This message was blocked because its content presents a potential security issue.",
        "554 5.7.9 Message not accepted for policy reasons. See https://postmaster.yahooinc.com/error-codes",
        "550 5.7.1 Our system has detected that this message is likely unsolicited mail. To reduce the amount of spam "
        "sent to Gmail, this message has been blocked.", "554 Message rejected: Address blacklisted.",
        "554 Transaction failed: Duplicate header 'Date'.", "554 5.5.1 Error: no valid recipients",
        "552 5.3.4 Error: message file too big", "550 5.7.520 Access denied, Your organization does not allow external "
        "forwarding.", "550 5.7.512 Access denied, message must be RFC 5322 section 3.6.2 compliant", code="5..",
    ),
)  # fmt: skip
"""In order; the first that matches decides. The last ones match every reply that is left."""
