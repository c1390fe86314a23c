"""What differs between the settings a hub runs with and those it reads anew, and what of it needs a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from emailhub.core.reloaded import Change
from emailhub.settings.catalog import documented, fields
from emailhub.settings.doc import Doc
from emailhub.settings.fields import Settings
from emailhub.settings.loading import Loaded
from emailhub.settings.tables import RelaySettings

OF_RELAYS = frozenset(name for name in fields() if name.startswith(("smtp_", "oauth2_"))) - {"smtp_retry_delay_seconds"}
"""Settings that make relays what they are; a change of them is told as a change of the relays."""
_OF_DKIM = frozenset({"dkim_domain", "dkim_selector", "dkim_key"})
_DEADLINES = frozenset(name for name in OF_RELAYS if name.endswith("_timeout")) | {"smtp_min_rate"}
_RULES = frozenset(
    {"failover_after", "divert_to", "allow_recipients", "email_from", "expire_after", "on_unknown", "suppress_refused"}
)
_LISTS = frozenset({"listed_relays", "destinations", "listed_dkim"})

LIVE = OF_RELAYS | _OF_DKIM | _RULES | _LISTS | {"use_real_smtp"}
"""The attributes of Settings that a running hub can take over."""
_TOLD_ELSEWHERE = (OF_RELAYS - _DEADLINES) | _OF_DKIM
_OF_COMMANDS = frozenset({"config", "url", "api_key"})
"""Settings the hub itself does not use."""


class Changes(NamedTuple):
    """What can be had at once, and what needs a restart."""

    live: tuple[Change, ...]
    restart: tuple[Change, ...]


def compare(old: Settings, new: Settings) -> Changes:
    """What differs. From capturing to sending or back nothing is live: the parts for it are built at the start."""
    flat = [name for name in fields() if _differ(old, new, name) and name not in _TOLD_ELSEWHERE | _OF_COMMANDS]
    live = [_flat_change(name, old, new) for name in flat if name in LIVE]
    live += [*_relays(old, new), *_destinations(old, new), *_keys(old, new)]
    restart = [_flat_change(name, old, new) for name in flat if name not in LIVE]
    if old.capture == new.capture:
        return Changes(tuple(live), tuple(restart))
    return Changes((), (_CAPTURED if new.capture else _SENT, *restart, *live))


def taken_over(old: Loaded, new: Loaded) -> Loaded:
    """What is in force once what is live of `new` is applied to a hub that runs with `old`."""
    return Loaded(merged(old.settings, new.settings), _sources(old, new), new.warnings)


def merged(old: Settings, new: Settings) -> Settings:
    """The settings in force then."""
    if old.capture != new.capture:
        return old
    return msgspec.structs.replace(old, **{name: getattr(new, name) for name in LIVE})


def _sources(old: Loaded, new: Loaded) -> dict[str, str]:
    """Where each came from; what a table's key is named like is no variable and always live."""
    if old.settings.capture != new.settings.capture:
        return old.sources
    fixed = {field.variable for name, field in fields().items() if name not in LIVE}
    kept = {name: source for name, source in old.sources.items() if name in fixed}
    return {name: source for name, source in new.sources.items() if name not in fixed} | kept


_SENT = Change("mail", "captured -> sent")
_CAPTURED = Change("mail", "sent -> captured")


def _differ(old: Settings, new: Settings, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))


def _flat_change(name: str, old: Settings, new: Settings) -> Change:
    field = fields()[name]
    return Change(field.variable, _step(field.doc, getattr(old, name), getattr(new, name)))


def _step(doc: Doc, old: Any, new: Any) -> str:
    if doc.kind.secret:
        return "changed" if old and new else "set" if new else "removed"
    before, after = _shown(doc, old), _shown(doc, new)
    return f"{before} -> {after}" if before != after else f"{after} holds something else"


def _shown(doc: Doc, value: Any) -> str:
    return "not set" if value in (None, (), "") else doc.kind.show(value)


def _relays(old: Settings, new: Settings) -> Iterator[Change]:
    yield from _rows("relay", {one.name: one for one in old.accounts}, {one.name: one for one in new.accounts})


def _destinations(old: Settings, new: Settings) -> Iterator[Change]:
    before, after = ({one.domain: one for one in found.destinations} for found in (old, new))
    yield from _rows("destination", before, after)


def _keys(old: Settings, new: Settings) -> Iterator[Change]:
    before, after = ({f"{one.selector} of {one.domain}": one for one in found.dkim} for found in (old, new))
    yield from _rows("DKIM key", before, after)


def _rows(kind: str, old: Mapping[str, msgspec.Struct], new: Mapping[str, msgspec.Struct]) -> Iterator[Change]:
    for name in [*old, *(name for name in new if name not in old)]:
        what = f"{kind} {name}"
        if name not in new:
            yield Change(what, "removed")
        elif name not in old:
            yield Change(what, _welcome(new[name]))
        elif steps := list(_steps(old[name], new[name])):
            yield Change(what, ", ".join(steps))


def _welcome(row: msgspec.Struct) -> str:
    return f"added at {row.place}" if isinstance(row, RelaySettings) else "added"


def _steps(old: msgspec.Struct, new: msgspec.Struct) -> Iterator[str]:
    notes = documented(type(old))
    for key in old.__struct_fields__:
        before, after = getattr(old, key), getattr(new, key)
        if before == after:
            continue
        if key in notes:
            yield f"{key}: {_step(notes[key], before, after)}"
        elif before is None or after is None:
            yield f"{key}: {'set' if after else 'removed'}"
        else:
            yield from (f"{key}.{step}" for step in _steps(before, after))
