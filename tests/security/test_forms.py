"""The forms of the pages, which no document describes: whatever one of their fields holds, the answer is no fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.security.test_browser import Target
from tests.support.web_hub import web_hub

ROOT = Path(__file__).parents[2]
OURS = {"origin": "http://localhost:8000", "sec-fetch-site": "same-origin", "accept": "text/html"}
FORM = OURS | {"content-type": "application/x-www-form-urlencoded"}
FILLED = {
    "action": "hold",
    "name": "hello",
    "role": "viewer",
    "reason": "because",
    "note": "because",
    "state": "open",
    "password": "a long long password",
    "again": "a long long password",
    "to": "ada@example.org",
    "subject": "Hi",
    "from": "hub@example.org",
    "recipients": "ada@example.org",
    "emails": "x@example.org",
    "add": "x@example.org",
    "html": "<p>x</p>",
    "text": "x",
    "q": "state:scheduled",
    "theme": "dark",
    "back": "/",
    "grace": "1h",
    "rate": "5/s",
    "quota": "5",
    "domains": "example.org",
    "version": "1",
    "values": "{}",
    "upto": "5",
    "all": "1",
    "scopes": "send",
    "base": "1",
    "body": "{}",
    "origin": "manual",
    "ends": "2028-01-01",
    "mode": "open",
}
"""What somebody may well have typed: with it most forms are taken, so that a field is read by all that reads it."""
HOSTILE = ("\x00", "日本\u202e", "9" * 40, "-1", "1e999", "a" * 70_000, "{", "[[[", "²", "١٢", "' OR", "\r\n")
BROKEN = (b"\xff=\xfe", b"a=%ff&b=%", b"=&=&=", b"&".join(b"a%d=1" % number for number in range(3000)))


def names() -> set[str]:
    """The fields of all forms."""
    pages = (path.read_text() for path in (ROOT / "templates").rglob("*.html"))
    return {name for page in pages for name in re.findall(r'\bname="([a-z_]+)"', page)} | FILLED.keys()


def bodies(*, each: bool) -> Iterator[bytes]:
    """Forms with something hostile in each field alone, or in all that are rarely filled in together."""
    yield from BROKEN
    rare = names() - FILLED.keys()
    for value in HOSTILE:
        yield urlencode(FILLED | dict.fromkeys(rare, value)).encode()
        for name in names() if each else ():
            yield urlencode(FILLED | {name: value}).encode()


@pytest.mark.parametrize(
    "each", (False, pytest.param(True, marks=(pytest.mark.nightly, pytest.mark.timeout(600)))), ids=("some", "all")
)
async def test_no_field_of_any_form_is_answered_with_a_fault(
    tmp_path: Path, each: bool, proved: Callable[[str], None]
) -> None:
    async with web_hub(tmp_path, max_waiting=10**6) as hub:
        target = Target(hub, hub.client, await hub.send(scheduled_at="in 1 hour"))
        made = await hub.client.post("/templates", json={"name": "Hello", "subject": "Hi", "html": "<p>Hi</p>"})
        found = {
            (method, address.replace("/templates/0", f"/templates/{made.json()['id']}"))
            for method, _, address in target.changes()
            if method == "POST" and "logout" not in address
        }
        asked = 0
        for method, address in sorted(found):
            for body in bodies(each=each):
                answer = await hub.client.request(method, address, content=body, headers=FORM)
                assert answer.status_code < 500, (address, body[:200], answer.text[:200])
                asked += 1
        proved(f"{asked:,} hostile forms: none was answered with a fault")
