"""`/api-keys`: who may use the API, with what; keys are made, rotated and revoked here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler
from msgspec import Struct

from emailhub.core import api_key
from emailhub.core.access import Scope
from emailhub.core.api_key import DAY, GRACE, ApiKey, KeyState
from emailhub.core.errors import InvalidMessage, KeyDoubled, KeyEnded
from emailhub.core.patterns import rates_text
from emailhub.engine.gate import Area
from emailhub.engine.keyring import Shown
from emailhub.web import keys as answers
from emailhub.web.faces import Faces, GivenFaces, actor_of
from emailhub.web.pages.flash import Flash
from emailhub.web.pages.form import read_form
from emailhub.web.pages.paper import GivenPaper, Paper
from emailhub.web.pages.send import split_addresses
from emailhub.web.visit import AnyRequest, refuse, visit

_FACE = "dashboard"
_NOTE = 500
SCOPES: Mapping[Scope, str] = {
    Scope.SEND: "give messages, and ask what became of them by their request id",
    Scope.READ: "see messages, relays, lists and what happens",
    Scope.ADMIN: "change anything: retry, hold, cancel, breakers, templates, keys",
}
_ENDS: Mapping[str, tuple[str, float | None]] = {
    "never": ("never", None),
    "30": ("in 30 days", 30 * DAY),
    "90": ("in 90 days", 90 * DAY),
    "365": ("in a year", 365 * DAY),
}
_GRACES: Mapping[str, tuple[str, float]] = {
    "24h": ("24 hours longer", GRACE),
    "1h": ("1 hour longer", 3600.0),
    "7d": ("7 days longer", 7 * DAY),
    "0": ("not at all", 0.0),
}
_LABELS = {"name": "Name", "scopes": "May", "from_domains": "From domains", "rate": "Rate", "daily_quota": "Day quota"}


class Row(Struct, frozen=True, kw_only=True):
    """A key as the page shows it. `fixed`: it stands in the settings."""

    id: str
    name: str
    state: KeyState
    fixed: bool
    scopes: tuple[Scope, ...]
    facts: tuple[str, ...]
    secrets: tuple[tuple[str, float | None], ...] = ()
    created_at: float | None = None
    created_by: str = ""
    expires_at: float | None = None
    used_at: float | None = None
    ended: api_key.Revocation | None = None


@get("/api-keys", name="api_keys", include_in_schema=False)
async def api_keys(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[Any]:
    """All keys."""
    if visit(request).area is Area.API:
        return answers.all_keys(faces)
    return await _page(request, faces, paper)


@get("/api-keys/{key_id:str}", name="api_key", include_in_schema=False)
async def one(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, key_id: FromPath[str]
) -> Response[Any] | Redirect:
    """One key; for people, its place on the page."""
    found = answers.one_key(faces, key_id)
    if visit(request).area is Area.API:
        return Response(found, media_type="application/json", headers={"vary": "accept"})
    return paper.onward(f"/api-keys#k-{found.id}")


@post("/api-keys/made", name="make_key", status_code=200, include_in_schema=False)
async def make(request: AnyRequest, faces: GivenFaces, paper: GivenPaper) -> Response[str]:
    """Make the key the form asks for and show its secret, or show the form again with what is wrong."""
    form = await read_form(request)
    try:
        grant = api_key.grant(_asked(form, faces.now()), faces.now())
        made = await faces.keyring.create(grant, actor_of(request, _FACE), _line(form))
    except InvalidMessage as error:
        problem = "; ".join(f"{_LABELS.get(one.field, one.field)}: {one.message}" for one in error.problems[:3])
        return await _page(request, faces, paper, form, problem=problem, status=422)
    # Not a redirect: the secret is in this one answer, and in no cookie and no URL.
    return await _page(request, faces, paper, made=made)


@post("/api-keys/{key_id:str}/rotation", name="rotate_key", status_code=200, include_in_schema=False)
async def rotate(
    request: AnyRequest, faces: GivenFaces, paper: GivenPaper, key_id: FromPath[str]
) -> Response[str] | Redirect:
    """Give the key a new secret and show it."""
    form = await read_form(request)
    answers.demand_ours(faces, key_id)
    _, grace = _GRACES.get(form.get("grace", ""), _GRACES["24h"])
    try:
        made = await faces.keyring.rotate(key_id, actor_of(request, _FACE), _line(form), grace=grace)
    except KeyDoubled:
        text = "Nothing was changed: two secrets work already. Wait until the old one has ended, or end it at once."
        refuse(request.scope, "two secrets work already")
        return paper.onward("/api-keys", Flash("warn", text))
    except KeyEnded as ended:
        refuse(request.scope, str(ended))
        return paper.onward("/api-keys", Flash("warn", f"Nothing was changed: {ended}."))
    return await _page(request, faces, paper, made=made)


@post("/api-keys/{key_id:str}/revocation", name="end_key", status_code=303, include_in_schema=False)
async def revoke(request: AnyRequest, faces: GivenFaces, paper: GivenPaper, key_id: FromPath[str]) -> Redirect:
    """End the key."""
    form = await read_form(request)
    answers.demand_ours(faces, key_id)
    ended = await faces.keyring.revoke(key_id, actor_of(request, _FACE), _line(form))
    said = f"The key {ended.grant.name} is revoked: from now on it opens nothing."
    return paper.onward("/api-keys", Flash("ok", said))


async def _page(
    request: AnyRequest,
    faces: Faces,
    paper: Paper,
    form: Mapping[str, str] | None = None,
    *,
    made: Shown | None = None,
    problem: str = "",
    status: int = 200,
) -> Response[str]:
    values = form or {}
    chosen = [scope for scope in Scope if f"may_{scope}" in values] if form else [Scope.SEND]
    rows = _rows(faces)
    return await paper.page(
        request,
        "keys.html",
        section="/api-keys",
        status=status,
        keys=[row for row in rows if row.state is KeyState.LIVE],
        ended=[row for row in rows if row.state is not KeyState.LIVE],
        made=made,
        scopes=SCOPES,
        chosen=chosen,
        ends={value: label for value, (label, _) in _ENDS.items()},
        graces={value: label for value, (label, _) in _GRACES.items()},
        values={name: values.get(name, "") for name in ("name", "domains", "rate", "quota", "ends", "reason")},
        problem=problem,
        first=not any(row.state is KeyState.LIVE for row in rows),
    )


def _rows(faces: Faces) -> list[Row]:
    now = faces.now()
    fixed = [
        Row(
            id=principal.id,
            name=principal.name,
            state=KeyState.LIVE,
            fixed=True,
            scopes=tuple(scope for scope in Scope if scope in principal.scopes),
            facts=(),
            used_at=use.last,
        )
        for principal, use in faces.gate.settings_keys
    ]
    return [*fixed, *(_row(key, use, now) for key, use in faces.keyring.all())]


def _row(key: ApiKey, use: api_key.Use, now: float) -> Row:
    grant = key.grant
    return Row(
        id=key.id,
        name=grant.name,
        state=key.state(now),
        fixed=False,
        scopes=tuple(scope for scope in Scope if scope in grant.scopes),
        facts=_facts(grant, use, now),
        secrets=tuple((one.start, one.ends_at) for one in key.live(now) or key.secrets[:1]),
        created_at=key.created_at,
        created_by=key.created_by,
        expires_at=grant.expires_at,
        used_at=use.last,
        ended=key.revoked,
    )


def _facts(grant: api_key.Grant, use: api_key.Use, now: float) -> tuple[str, ...]:
    """What the key is held to, in words."""
    found = [f"from {', '.join(grant.from_domains)}"] if grant.from_domains else []
    if grant.rates:
        found.append(f"at most {rates_text(grant.rates)}")
    if grant.quota is not None:
        found.append(f"{use.given_on(now):,} of {grant.quota:,} messages today")
    return tuple(found)


def _asked(form: Mapping[str, str], now: float) -> dict[str, object]:
    """The form as the API would be asked."""
    _, ends = _ENDS.get(form.get("ends", ""), _ENDS["never"])
    quota = form.get("quota", "").strip().replace(",", "")
    return {
        "name": form.get("name", "").strip(),
        "scopes": [scope for scope in Scope if f"may_{scope}" in form],
        "from_domains": split_addresses(form.get("domains", "")),
        "rate": form.get("rate", "").strip() or None,
        "daily_quota": (int(quota) if quota.isascii() and quota.isdigit() and len(quota) < 19 else quota or None),
        "expires_at": now + ends if ends is not None else None,
    }


def _line(form: Mapping[str, str]) -> str:
    return " ".join(form.get("reason", "").split())[:_NOTE]


HANDLERS: tuple[ControllerRouterHandler, ...] = (api_keys, one, make, rotate, revoke)
