"""The settings about mail: where it goes, how it is carried, how patient emailhub is and how much it takes."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from emailhub.core.limits import Rate
from emailhub.core.status import ChaosStatus
from emailhub.settings import kinds, mail_kinds, tables
from emailhub.settings.doc import Doc
from emailhub.settings.secret import Secret

_mail = partial(Doc, "Sending")
_safety = partial(Doc, "Where mail may go")
_smtp = partial(Doc, "SMTP connections")
_identity = partial(Doc, "OAuth2 and DKIM")
_patience = partial(Doc, "Retries, failover and expiry")
_limit = partial(Doc, "Limits")


class MailSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the settings that is about mail. Durations are seconds, sizes bytes."""

    smtp_host: Annotated[
        str | None, _mail(kinds.HOST, "The SMTP server that carries the mail.", "mail is captured, not sent")
    ] = None
    smtp_port: Annotated[
        int, _mail(kinds.SMTP_PORT, "Its port. 465 speaks TLS from the first byte, and is the default for that.")
    ] = 587
    smtp_user: Annotated[str | None, _mail(kinds.TEXT, "Login name at the SMTP server.", "no login")] = None
    smtp_pass: Annotated[Secret | None, _mail(kinds.SECRET, "Login password at the SMTP server.", "no login")] = None
    email_from: Annotated[
        str | None,
        _mail(kinds.SENDER, "The sender of messages that name none.", "`SMTP_USER`, when that is an address"),
    ] = None
    use_real_smtp: Annotated[
        bool | None,
        _mail(
            kinds.BOOLEAN,
            "`false` captures all mail, `true` insists on a server to send it to.",
            "real when `SMTP_HOST` or a `[[relay]]` is set",
        ),
    ] = None

    templates: Annotated[
        Path | None,
        _mail(
            kinds.path("folder", "/srv/mail-templates"),
            "The directory of your mail templates; read again when a file changes.",
            "only those made in the dashboard or over the API",
        ),
    ] = None

    divert_to: Annotated[
        str | None,
        _safety(
            mail_kinds.ADDRESS, "Gets all mail instead of its recipients, so that staging reaches nobody else.", "off"
        ),
    ] = None
    allow_recipients: Annotated[
        tuple[str, ...],
        _safety(
            mail_kinds.RECIPIENTS,
            "Mail to these goes out; all other is diverted, or captured without `EMAILHUB_DIVERT_TO`.",
            "everybody",
        ),
    ] = ()
    chaos: Annotated[
        ChaosStatus | None,
        _safety(
            mail_kinds.CHAOS,
            "While capturing: how often the relay `chaos` refuses, drops or is slow, for tests and demos.",
            "calm",
        ),
    ] = None

    smtp_tls: Annotated[
        tables.Tls,
        _smtp(
            tables.TLS,
            "`auto`: implicit on port 465, otherwise STARTTLS, which is required as soon as a login is set.",
        ),
    ] = "auto"
    smtp_ca: Annotated[
        mail_kinds.CaFile | None,
        _smtp(mail_kinds.CA, "Certificates (PEM) to trust.", "the system's"),
    ] = None
    smtp_source: Annotated[
        str | None, _smtp(kinds.HOST, "The name emailhub gives itself in EHLO.", "this machine's name")
    ] = None
    smtp_connections: Annotated[
        int, _smtp(kinds.integer(1, 1000, 20), "Most connections to the SMTP server at a time.")
    ] = 20
    smtp_rate: Annotated[
        tuple[Rate, ...],
        _smtp(mail_kinds.RATES, "Most recipients in any such span; more wait their turn.", "no limit"),
    ] = ()
    smtp_pipelining: Annotated[
        bool, _smtp(kinds.BOOLEAN, "Send commands together where the server offers PIPELINING.")
    ] = True
    smtp_chunking: Annotated[bool, _smtp(kinds.BOOLEAN, "Use BDAT where the server offers CHUNKING.")] = True
    smtp_messages_per_connection: Annotated[
        int, _smtp(kinds.integer(1, None, 100), "Messages after which a connection is replaced.")
    ] = 100
    smtp_connection_age: Annotated[float, _smtp(kinds.duration(1, "5m"), "Age at which a connection is replaced.")] = (
        300.0
    )
    smtp_idle: Annotated[float, _smtp(kinds.duration(0, "30s"), "How long an unused connection is kept.")] = 30.0
    smtp_connect_timeout: Annotated[float, _smtp(kinds.duration(0.1, "30s"), "Longest wait for a connection.")] = 30.0
    smtp_greeting_timeout: Annotated[
        float, _smtp(kinds.duration(0.1, "60s"), "Longest wait for the server's greeting.")
    ] = 60.0
    smtp_command_timeout: Annotated[
        float, _smtp(kinds.duration(0.1, "60s"), "Longest wait for the reply to EHLO, MAIL, RCPT or DATA.")
    ] = 60.0
    smtp_final_timeout: Annotated[
        float,
        _smtp(
            kinds.duration(0.1, "600s"),
            "Longest wait for the reply after the body. A shorter one makes duplicates more likely.",
        ),
    ] = 600.0
    smtp_min_rate: Annotated[
        int, _smtp(kinds.size(1, "500"), "Fewest bytes a second at which a body is taken before it is given up.")
    ] = 500

    oauth2_token_url: Annotated[
        str | None,
        _identity(
            tables.TOKEN_URL, "Where access tokens for `SMTP_USER` come from, instead of `SMTP_PASS`.", "no OAuth2"
        ),
    ] = None
    oauth2_client_id: Annotated[str | None, _identity(kinds.TEXT, "The id of your application there.", "none")] = None
    oauth2_client_secret: Annotated[Secret | None, _identity(kinds.SECRET, "Its secret.", "none")] = None
    oauth2_refresh_token: Annotated[
        Secret | None,
        _identity(kinds.SECRET, "What the mailbox's owner granted.", "the application acts for itself"),
    ] = None
    oauth2_scope: Annotated[str | None, _identity(kinds.TEXT, "What is asked for.", "what was granted")] = None
    dkim_domain: Annotated[
        str | None, _identity(mail_kinds.DOMAIN, "The domain of senders whose mail is signed.", "no signature")
    ] = None
    dkim_selector: Annotated[
        str | None,
        _identity(mail_kinds.SELECTOR, "The public key is in the DNS at `selector._domainkey.domain`.", "no signature"),
    ] = None
    dkim_key: Annotated[
        Secret | None, _identity(mail_kinds.PEM, "The private key (PEM); best as `EMAILHUB_DKIM_KEY_FILE`.", "none")
    ] = None

    max_retry_attempts: Annotated[
        int | None,
        _patience(
            kinds.integer(1, 1000, 5),
            "Attempts in all before a message fails.",
            "2, 4, 8, 16 s, 1, 5, 15, 30, 60 min, then hourly until it expires",
        ),
    ] = None
    smtp_retry_delay_seconds: Annotated[
        float,
        _patience(
            kinds.seconds(0.01, "2"), "Wait before the second attempt, doubled each time; with `MAX_RETRY_ATTEMPTS`."
        ),
    ] = 2.0
    breaker_failures: Annotated[
        int, _patience(kinds.integer(1, 1000, 5), "Relay failures in a row that open the breaker.")
    ] = 5
    breaker_open_for: Annotated[
        float, _patience(kinds.duration(0.1, "30s"), "Wait before the first probe of an open breaker, then doubled.")
    ] = 30.0
    breaker_open_max: Annotated[float, _patience(kinds.duration(0.1, "10m"), "Longest wait between probes.")] = 600.0
    failover_after: Annotated[
        float,
        _patience(
            kinds.duration(0, "1m"), "How long a relay cannot carry mail before another one that may carries it."
        ),
    ] = 60.0
    expire_after: Annotated[
        float, _patience(kinds.duration(1, "24h"), "Age at which a message that could not be sent fails.")
    ] = 86400.0
    unknown_wait: Annotated[
        float,
        _patience(kinds.duration(0, "5m"), "Wait before a message is sent again whose last outcome is unknown."),
    ] = 300.0
    suppress_refused: Annotated[
        bool,
        _patience(
            kinds.BOOLEAN,
            "Put an address on the suppression list when its server says that there is no such mailbox.",
        ),
    ] = False
    on_unknown: Annotated[
        Literal["retry", "hold", "fail"],
        _patience(
            kinds.choice("retry", "hold", "fail"),
            "When the SMTP server may or may not have taken a message: send again, ask a human, or give up.",
        ),
    ] = "retry"

    api_rate: Annotated[
        tuple[Rate, ...],
        _limit(
            mail_kinds.RATES, "Most requests to the API in any such span, for each key; more get a 429.", "no limit"
        ),
    ] = ()
    max_waiting: Annotated[
        int, _limit(kinds.integer(1, None, 250000), "Unfinished messages above which new ones are turned away.")
    ] = 250_000
    max_recipients: Annotated[
        int, _limit(kinds.integer(1, 1000, 50), "Most addresses of a message in to, cc and bcc together.")
    ] = 50
    max_message_size: Annotated[
        int, _limit(kinds.size(1024, "10MiB"), "Largest message, in bytes as it goes to the SMTP server.")
    ] = 10 * 2**20
    body_budget: Annotated[
        int,
        _limit(
            kinds.size(2**20, "128MiB"), "Bytes of large request bodies in memory at a time; more wait or get a 503."
        ),
    ] = 128 * 2**20
    attachment_urls: Annotated[
        bool, _limit(kinds.BOOLEAN, "Fetch attachments from the https URLs that senders give, on public servers only.")
    ] = False
    max_subject: Annotated[int, _limit(kinds.integer(1, 10000, 998), "Longest subject in characters.")] = 998
    disk_reserve: Annotated[
        int, _limit(kinds.size(0, "64MiB"), "Free disk space below which new messages are turned away.")
    ] = 64 * 2**20
