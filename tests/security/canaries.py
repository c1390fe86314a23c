"""Values that must never come out again, and the search for them in every form they could have taken."""

from __future__ import annotations

import html
import json
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST = 12
"""Characters that a form must have to be looked for: anything shorter is found by chance."""


def canary(name: str) -> str:
    """A value for `name` that occurs nowhere else and changes with every encoding."""
    return f"c4n4ry+{name}/9f=%3Cz&"


def plain(name: str) -> str:
    """The same in letters and digits, for places that take no others."""
    return f"c4n4ry9f{name}zq71"


def forms(secret: str) -> set[bytes]:
    """`secret` as it could appear: raw, percent-encoded, escaped for HTML and JSON, in hexadecimal and in base64.

    In base64 three times, because what it looks like inside a longer text depends on where it begins.
    """
    raw = secret.encode()
    found = {
        raw,
        quote(secret, safe="").encode(),
        quote(secret).encode(),
        quote_plus(secret).encode(),
        html.escape(secret).encode(),
        json.dumps(secret)[1:-1].encode(),
        raw.hex().encode(),
    }
    for shift in range(3):
        # Without the characters that the neighbours have a share in.
        inside = b64encode(b"\0" * shift + raw)[4 if shift else 0 :].rstrip(b"=")[:-1]
        found |= {inside, inside.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) >= SHORTEST}


def found_in(content: bytes, secrets: Iterable[str]) -> list[str]:
    """Which of `secrets` are in `content` in any form, with what stands around the first place."""
    hits = []
    for secret in secrets:
        for form in forms(secret):
            at = content.find(form)
            if at >= 0:
                hits.append(f"{secret}: …{content[max(at - 80, 0) : at + len(form) + 20]!r}…")
                break
    return hits


def assert_clean(places: Mapping[str, bytes], secrets: Iterable[str]) -> None:
    """No secret is in any of `places`, which are named in the complaint."""
    secrets = tuple(secrets)
    hits = [f"{place}: {hit}" for place, content in places.items() for hit in found_in(content, secrets)]
    assert not hits, "\n".join(hits)


def files_of(folder: Path) -> dict[str, bytes]:
    """The bytes of all files that the database in `folder` consists of."""
    return {path.name: path.read_bytes() for path in folder.glob("emailhub.db*")}


def processes_of(pid: int) -> dict[str, bytes]:
    """The command line of the process `pid`, and that and the environment of its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    places = {f"cmdline of {one}": Path(f"/proc/{one}/cmdline").read_bytes() for one in (str(pid), *children)}
    return places | {f"environ of {one}": environ_of(one) for one in children}


def environ_of(pid: int | str) -> bytes:
    """The environment that the process `pid` was started with."""
    return Path(f"/proc/{pid}/environ").read_bytes()
