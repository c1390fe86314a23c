"""What the rows of a table must be in themselves and to each other."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import TypeAlias

from emailhub.settings.fields import Settings
from emailhub.settings.findings import Findings
from emailhub.settings.mail_kinds import CaFile
from emailhub.settings.rows import Row, Rows
from emailhub.settings.tables import DEFAULT_RELAY, DestinationSettings, DkimSettings, OAuth2Settings, RelaySettings

Flaw: TypeAlias = tuple[str, str]
"""(key, what is wrong and what to do)."""


def check(rows: Rows, settings: Settings, findings: Findings) -> None:
    """Note every flaw of `rows`; a relay with one counts as unusable for the rules about all settings."""
    flaws = [(row.label, flaw) for row in rows.relays for flaw in _relay(row.value)]
    flaws += [*_relay_names(rows.relays, settings), *_destinations(rows.destinations), *_dkim(rows.dkim)]
    for label, (key, text) in flaws:
        findings.problem(f"{label}.{key}", rows.source, text, breaks=label.partition("[")[0])


def readable(ca: CaFile) -> bool:
    """Whether the file holds certificates."""
    try:
        ssl.create_default_context(cafile=str(ca.path))
    except (OSError, ssl.SSLError):
        return False
    return True


def grant_flaws(oauth2: OAuth2Settings) -> Iterator[Flaw]:
    """What the chosen grant needs and lacks."""
    if oauth2.grant == "refresh_token" and not oauth2.refresh_token:
        yield "refresh_token", "expected the token the mailbox's owner granted: the grant refresh_token needs it"
    if oauth2.grant == "client_credentials" and not oauth2.client_secret:
        yield "client_secret", "expected the application's secret: the grant client_credentials needs it"
    if oauth2.grant == "client_credentials" and not oauth2.scope:
        yield "scope", "expected what is asked for, such as https://outlook.office365.com/.default"


def _relay(relay: RelaySettings) -> Iterator[Flaw]:
    if relay.password and relay.oauth2:
        yield "password", "oauth2 is there too; remove one of them"
    if relay.user and not (relay.password or relay.oauth2):
        yield "password", "expected one, or oauth2, because user is set; without a login remove user"
    if relay.password and not relay.user:
        yield "user", "expected the login name, because password is set"
    if relay.oauth2:
        yield from _oauth2(relay)
    if relay.tls == "none" and (relay.user or relay.password or relay.oauth2):
        yield "tls", "none would send the login readable over the network; use auto, starttls or implicit"
    if relay.ca and not readable(relay.ca):
        yield "ca", f"{relay.ca} holds no certificates in PEM form that can be read"


def _oauth2(relay: RelaySettings) -> Iterator[Flaw]:
    assert relay.oauth2 is not None
    if not relay.user:
        yield "user", "expected the mailbox that sends, because oauth2 is set"
    for key, text in grant_flaws(relay.oauth2):
        yield f"oauth2.{key}", text


def _relay_names(relays: list[Row[RelaySettings]], settings: Settings) -> Iterator[tuple[str, Flaw]]:
    taken = {DEFAULT_RELAY: "the relay that SMTP_HOST sets up"} if settings.smtp_host else {}
    for row in relays:
        name = row.value.name
        if name in taken:
            yield row.label, ("name", f"{name} is already the name of {taken[name]}")
        taken.setdefault(name, row.label)


def _destinations(rows: list[Row[DestinationSettings]]) -> Iterator[tuple[str, Flaw]]:
    taken: dict[str, str] = {}
    for row in rows:
        if row.value.domain in taken:
            yield row.label, ("domain", f"{taken[row.value.domain]} is about it already")
        taken.setdefault(row.value.domain, row.label)
        if row.value.connections is None and not row.value.rate:
            yield row.label, ("rate", "expected a rate or connections: without either the table says nothing")


def _dkim(rows: list[Row[DkimSettings]]) -> Iterator[tuple[str, Flaw]]:
    taken: dict[tuple[str, str], str] = {}
    for row in rows:
        name = (row.value.domain, row.value.selector.lower())
        if name in taken:
            yield row.label, ("selector", f"{taken[name]} has the same; each key needs its own")
        taken.setdefault(name, row.label)
