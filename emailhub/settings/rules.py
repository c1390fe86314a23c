"""What settings must be to each other. Each rule names the settings it is about and is skipped when one is unusable."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

from emailhub.core.address import parse_mailbox
from emailhub.core.routing import Route, domain_of
from emailhub.settings.catalog import fields
from emailhub.settings.fields import CAPTURE_SENDER, Settings
from emailhub.settings.findings import Findings
from emailhub.settings.table_rules import grant_flaws, readable


class View(NamedTuple):
    """The settings as read, with where each one that is set came from and SMTP_* names that are no setting."""

    settings: Settings
    sources: dict[str, str]
    foreign_smtp: list[str]

    def is_set(self, attribute: str) -> bool:
        """Whether any source gave `attribute` a value."""
        return attribute in self.sources


class Finding(NamedTuple):
    """`attribute` must change (fatal) or should be looked at, for the reason `text`."""

    attribute: str
    text: str
    fatal: bool = True


_ARGON2ID = re.compile(r"\$argon2id\$v=19\$m=\d+,t=\d+,p=\d+\$[A-Za-z0-9+/]{11,}\$[A-Za-z0-9+/]{22,}")
_LOGIN = ("smtp_user", "smtp_pass")
_ACCOUNT = (*_LOGIN, "smtp_port", "smtp_tls", "smtp_ca", "smtp_rate")
_OAUTH2 = ("oauth2_token_url", "oauth2_client_id", "oauth2_client_secret", "oauth2_refresh_token", "oauth2_scope")
_DKIM = ("dkim_domain", "dkim_selector", "dkim_key")

Rule: TypeAlias = Callable[[View], Iterator[Finding]]


def check(view: View, findings: Findings) -> None:
    """Try every rule whose settings could be read."""
    for attributes, rule in _RULES:
        if findings.broken.isdisjoint(attributes):
            for finding in rule(view):
                _note(finding, view, findings)


def _note(finding: Finding, view: View, findings: Findings) -> None:
    variable = fields()[finding.attribute].variable
    if finding.fatal:
        findings.problem(variable, view.sources.get(finding.attribute, "not set"), finding.text)
    else:
        findings.warn(f"{variable}: {finding.text}")


def _real_or_capture(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.accounts or settings.use_real_smtp is False:
        return
    meaning = [fields()[name].variable for name in view.sources if _means_real_mail(name)] + view.foreign_smtp
    if settings.use_real_smtp:
        meaning.insert(0, "USE_REAL_SMTP")
    if meaning:
        yield Finding(
            "smtp_host",
            f"{', '.join(meaning)} {'is' if len(meaning) == 1 else 'are'} set, so mail should really be sent, but to "
            "which server? Set SMTP_HOST (or list a [[relay]] in the TOML file), or USE_REAL_SMTP=false to capture "
            "all mail instead.",
        )


def _means_real_mail(attribute: str) -> bool:
    return attribute.startswith(("smtp_", "oauth2_")) or attribute == "rabbitmq_url"


def _captured_on_purpose(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.use_real_smtp is False and settings.accounts:
        unused = ["SMTP_HOST"] if settings.smtp_host else []
        unused += [f"relay {relay.name}" for relay in settings.listed_relays]
        text = f"false, so all mail is captured and {', '.join(unused)} {'is' if len(unused) == 1 else 'are'} not used"
        yield Finding("use_real_smtp", text, fatal=False)


def _account_without_host(view: View) -> Iterator[Finding]:
    """With relays listed nothing is captured by mistake, but half an account still shows one."""
    if view.settings.smtp_host or not view.settings.listed_relays:
        return
    for attribute in _ACCOUNT:
        if view.is_set(attribute):
            yield Finding(
                attribute,
                "it belongs to the account of SMTP_HOST, which is not set. Set SMTP_HOST too, or remove this one: "
                "a [[relay]] has its own",
                fatal=attribute in _LOGIN,
            )


def _sender(view: View) -> Iterator[Finding]:
    settings = view.settings
    if not settings.capture and not (settings.email_from or settings.login_address):
        yield Finding(
            "email_from",
            "expected the address mail is sent from when a message names none (no login name is one). "
            "Set it, for example to noreply@your-domain.example.",
        )


def _carried(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.capture or settings.sender == CAPTURE_SENDER:
        return
    domain = domain_of(parse_mailbox(settings.sender, field="EMAIL_FROM", allow_local=True).address)
    able = [relay for relay in settings.relays if Route(name=relay.name, domains=relay.from_domains).carries(domain)]
    if not able:
        text = f"no relay may carry mail from {domain}. Add it to the from_domains of one, or use another sender"
        yield Finding("email_from", text)
    elif all(relay.drain for relay in able):
        text = f"every relay that may carry mail from {domain} is draining, so new mail from it is turned away"
        yield Finding("email_from", text, fatal=False)


def _safety(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.chaos and not settings.capture:
        yield Finding("chaos", "chaos is for captured mail only. Set USE_REAL_SMTP=false, or remove it")
    if settings.capture and settings.divert_to:
        yield Finding("divert_to", "unused while all mail is captured: nothing goes out", fatal=False)
    if settings.capture and settings.allow_recipients:
        yield Finding("allow_recipients", "unused while all mail is captured: nothing goes out", fatal=False)


def _login(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.smtp_user and not (settings.smtp_pass or settings.oauth2_token_url):
        text = "SMTP_USER is set and this is not. Set both, or neither for no login, or EMAILHUB_OAUTH2_TOKEN_URL."
        yield Finding("smtp_pass", text)
    if settings.smtp_pass and not settings.smtp_user:
        yield Finding("smtp_user", "SMTP_PASS is set and this is not. Set both, or neither for no login.")
    if settings.smtp_pass and settings.oauth2_token_url:
        yield Finding("smtp_pass", "EMAILHUB_OAUTH2_TOKEN_URL is set too. Remove one of them.")
    if settings.smtp_user and settings.smtp_tls == "none":
        yield Finding(
            "smtp_tls",
            "none would send the login readable over the network. Use auto, starttls or implicit, "
            "or remove SMTP_USER and SMTP_PASS.",
        )


def _oauth2(view: View) -> Iterator[Finding]:
    settings = view.settings
    if not any(view.is_set(attribute) for attribute in _OAUTH2):
        return
    for attribute in ("oauth2_token_url", "oauth2_client_id"):
        if not view.is_set(attribute):
            yield Finding(attribute, "expected too, because another EMAILHUB_OAUTH2_… is set")
    if not settings.smtp_user:
        yield Finding("smtp_user", "expected the mailbox that sends, because EMAILHUB_OAUTH2_… is set")
    if settings.oauth2:
        for key, text in grant_flaws(settings.oauth2):
            yield Finding(f"oauth2_{key}", text)


def _dkim(view: View) -> Iterator[Finding]:
    missing = [attribute for attribute in _DKIM if not view.is_set(attribute)]
    if len(missing) == len(_DKIM):
        return
    for attribute in missing:
        yield Finding(attribute, "expected too, because another EMAILHUB_DKIM_… is set")


def _certificates(view: View) -> Iterator[Finding]:
    ca = view.settings.smtp_ca
    if ca and not readable(ca):
        yield Finding("smtp_ca", f"{ca} holds no certificates in PEM form that can be read")


def _closed_by_default(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.auth == "none":
        yield Finding(
            "auth",
            "none: everybody who can connect may read and send all mail. "
            "Set EMAILHUB_API_KEYS and EMAILHUB_ADMIN_PASSWORD instead.",
            fatal=False,
        )
    elif not (settings.loopback or settings.api_keys or settings.admin_password):
        yield Finding(
            "host",
            f"{settings.host} can be reached from other machines, and no credential is set. Set EMAILHUB_API_KEYS (for "
            "services) or EMAILHUB_ADMIN_PASSWORD (for the dashboard), or listen on 127.0.0.1, or, when a proxy in "
            "front decides who may come in, EMAILHUB_AUTH=none.",
        )


def _guessable(view: View) -> Iterator[Finding]:
    if any(len(key.reveal()) < 16 for key in view.settings.api_keys):
        yield Finding("api_keys", "a key shorter than 16 characters can be guessed", fatal=False)
    password = view.settings.admin_password
    if password and len(password.reveal()) < 8:
        yield Finding("admin_password", "a password shorter than 8 characters can be guessed", fatal=False)
    if password and password.reveal().startswith("$argon2") and not _ARGON2ID.fullmatch(password.reveal()):
        text = "expected a whole argon2id hash (`emailhub users hash` writes one): a shell or compose file eats its `$`"
        yield Finding("admin_password", text)


def _unused(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.redis_url:
        yield Finding("redis_url", "set and unused: one replica needs no Redis", fatal=False)
    if view.is_set("smtp_retry_delay_seconds") and settings.max_retry_attempts is None:
        yield Finding("smtp_retry_delay_seconds", "unused while MAX_RETRY_ATTEMPTS is not set", fatal=False)
    if settings.queue_routing_keys and not settings.queue_exchange:
        yield Finding("queue_routing_keys", "unused while EMAILHUB_QUEUE_EXCHANGE is not set", fatal=False)


def _order(view: View) -> Iterator[Finding]:
    settings = view.settings
    if settings.breaker_open_max < settings.breaker_open_for:
        yield Finding("breaker_open_max", "expected at least EMAILHUB_BREAKER_OPEN_FOR")
    if settings.keep_bodies > settings.keep_messages:
        yield Finding("keep_bodies", "expected at most EMAILHUB_KEEP_MESSAGES: a body goes with its message")
    if settings.queue == settings.dead_letter_queue and not settings.dead_letter_exchange:
        yield Finding(
            "dead_letter_queue", "expected another queue than EMAILHUB_QUEUE, or dead letters come back as requests"
        )


_RULES: tuple[tuple[frozenset[str], Rule], ...] = (
    (frozenset({"smtp_host", "use_real_smtp", "relay"}), _real_or_capture),
    (frozenset({"smtp_host", "use_real_smtp", "relay"}), _captured_on_purpose),
    (frozenset({"smtp_host", "relay"}), _account_without_host),
    (frozenset({"smtp_host", "use_real_smtp", "smtp_user", "email_from", "relay"}), _sender),
    (frozenset({"smtp_host", "use_real_smtp", "smtp_user", "email_from", "relay"}), _carried),
    (frozenset({"smtp_host", "use_real_smtp", "relay", "chaos", "divert_to", "allow_recipients"}), _safety),
    (frozenset({"smtp_user", "smtp_pass", "smtp_tls", "oauth2_token_url"}), _login),
    (frozenset({*_OAUTH2, "smtp_user"}), _oauth2),
    (frozenset(_DKIM), _dkim),
    (frozenset({"smtp_ca"}), _certificates),
    (frozenset({"host", "auth", "api_keys", "admin_password"}), _closed_by_default),
    (frozenset({"api_keys", "admin_password"}), _guessable),
    (frozenset({"redis_url", "smtp_retry_delay_seconds", "max_retry_attempts", "queue_exchange"}), _unused),
    (
        frozenset(
            {
                "breaker_open_for",
                "breaker_open_max",
                "keep_bodies",
                "keep_messages",
                "queue",
                "dead_letter_queue",
                "dead_letter_exchange",
            }
        ),
        _order,
    ),
)
