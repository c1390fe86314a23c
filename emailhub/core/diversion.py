"""Who gets mail that must not reach everybody: a staging hub fed with production data mails nobody it should not.

Decided once, when a message is accepted, and stored with it: what was diverted or kept back then stays so when the
rules are gone.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from emailhub.core.routing import domain_of, matches

CAPTURE = "capture"
"""The relay of mail that goes to nobody."""
CAPTURING = frozenset({CAPTURE, "chaos"})
"""Relays from which nothing ever leaves the hub."""
_LONGEST_NOTE = 400


class Addressed(Struct, frozen=True):
    """The recipients of a message, by header."""

    to: tuple[str, ...] = ()
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """All of them, in order."""
        return (*self.to, *self.cc, *self.bcc)

    def only(self, wanted: Callable[[str], bool]) -> Addressed:
        """Those that are `wanted`."""
        return Addressed(*(tuple(filter(wanted, addresses)) for addresses in (self.to, self.cc, self.bcc)))


class Course(Struct, frozen=True):
    """Where a message goes: `out` to the relay, `kept` to nobody (captured apart).

    `diverted` are the recipients the sender named and that it does not go out to; `note` says so in one line.
    """

    out: Addressed
    kept: Addressed = Addressed()
    diverted: tuple[str, ...] = ()
    note: str = ""


class Diversion(Struct, frozen=True):
    """The rules: `allow` are the patterns of recipients that get their mail, `ann@example.com`, `example.com` or
    `*.example.com`; mail for all others goes to `divert_to`, or is kept when that is not set. Neither: no rules.
    """

    divert_to: str | None = None
    allow: tuple[str, ...] = ()

    def allows(self, address: str) -> bool:
        """Whether mail for `address` goes to it."""
        if self.divert_to is not None and address.lower() == self.divert_to.lower():
            return True
        if not self.allow:
            return self.divert_to is None
        return any(_fits(pattern.lower(), address.lower()) for pattern in self.allow)

    def course(self, addressed: Addressed) -> Course:
        """What becomes of a message to `addressed`. Its headers stay as they are; only the envelope changes."""
        if self.divert_to is None and not self.allow:
            return Course(addressed)
        denied = addressed.only(lambda address: not self.allows(address))
        if not denied.all:
            return Course(addressed)
        allowed = addressed.only(self.allows)
        names = ", ".join(denied.all)
        if self.divert_to is not None:
            note = _shortened(f"diverted to {self.divert_to} (EMAILHUB_DIVERT_TO): {names}")
            return Course(_with(allowed, self.divert_to, denied), diverted=denied.all, note=note)
        note = _shortened(f"kept back, not in EMAILHUB_ALLOW_RECIPIENTS: {names}")
        return Course(allowed, denied, denied.all if allowed.all else (), note)


NO_RULES = Diversion()


def _fits(pattern: str, address: str) -> bool:
    return pattern == address if "@" in pattern else matches(pattern, domain_of(address))


def _with(allowed: Addressed, address: str, denied: Addressed) -> Addressed:
    """`allowed` and `address`, which stands where the first of `denied` stood; nobody twice."""
    if address.lower() in {one.lower() for one in allowed.all}:
        return allowed
    if denied.to:
        return Addressed((*allowed.to, address), allowed.cc, allowed.bcc)
    if denied.cc:
        return Addressed(allowed.to, (*allowed.cc, address), allowed.bcc)
    return Addressed(allowed.to, allowed.cc, (*allowed.bcc, address))


def _shortened(note: str) -> str:
    return note if len(note) <= _LONGEST_NOTE else f"{note[: _LONGEST_NOTE - 1]}…"
