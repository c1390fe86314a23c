"""The html of a message in its frame: what it may load, what is counted as left out, how wide it is."""

from __future__ import annotations

import asyncio
import re

import pytest

from emailhub.web.pages.preview import IMAGES_POLICY, PREVIEW_POLICY, Remote, harmless, remote_references
from tests.support.web_hub import WebHub
from tests.web.pages.reading import HTML, page, press, words_of

EVIL = (
    "<p>Hi</p><script>alert(1)</script><img src='https://t.example/x.gif' onerror=alert(2)>"
    "<style>@import url(//t.example/a.css)</style><a href='javascript:alert(3)'>x</a>"
)


async def test_the_preview_runs_in_a_sandbox_and_loads_nothing(hub: WebHub) -> None:
    id = await hub.send(html=EVIL)
    html = await page(hub, f"/messages/{id}")
    assert f'<iframe sandbox src="/messages/{id}/preview"' in html
    assert (
        "1 remote image is loaded only if you ask, for this one view: the sender can see that you opened it."
        in words_of(html)
    )
    assert "nothing else is loaded from elsewhere. 1 other reference blocked." in words_of(html)
    response = await hub.client.get(f"/messages/{id}/preview", headers=HTML)
    assert response.headers["content-security-policy"] == PREVIEW_POLICY
    assert response.headers["cache-control"] == "private, no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["x-dns-prefetch-control"] == "off"
    assert directives(PREVIEW_POLICY) == {
        "sandbox": "",
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": "'unsafe-inline'",
        "form-action": "'none'",
        "base-uri": "'none'",
        "frame-ancestors": "'self'",
    }


def directives(policy: str) -> dict[str, str]:
    return dict(part.strip().partition(" ")[::2] for part in policy.split(";"))


async def test_remote_images_come_with_a_form_of_our_own_page_and_by_no_address(hub: WebHub) -> None:
    id = await hub.send(html=EVIL)
    html = await page(hub, f"/messages/{id}")
    assert f'<form class="remote" method="post" action="/messages/{id}/preview" target="preview">' in html
    asked = await press(hub, f"/messages/{id}/preview")
    assert (asked.status_code, asked.headers["content-security-policy"]) == (200, IMAGES_POLICY)
    assert asked.headers["referrer-policy"] == "no-referrer"
    for query in ("remote=1", "images=1"):
        plain = await hub.client.get(f"/messages/{id}/preview?{query}", headers=HTML)
        assert plain.headers["content-security-policy"] == PREVIEW_POLICY
    foreign = HTML | {"origin": "https://evil.example", "sec-fetch-site": "cross-site"}
    refused = await hub.client.post(f"/messages/{id}/preview", data={}, headers=foreign)
    assert refused.status_code == 403


def test_with_images_only_the_images_are_let_through() -> None:
    before, after = directives(PREVIEW_POLICY), directives(IMAGES_POLICY)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert changed == {"img-src", "upgrade-insecure-requests"}
    assert after["img-src"] == "data: https:"


async def test_nothing_is_asked_where_no_image_is_remote(hub: WebHub) -> None:
    html = await page(hub, f"/messages/{await hub.send(html='<p>x</p><img src=cid:dot>')}")
    assert 'class="remote"' not in html
    assert "no script runs and nothing is loaded from elsewhere." in words_of(html)


@pytest.mark.parametrize(
    ("html", "found"),
    (
        ("<img src=https://t.example/x><IMG SRC = '//t.example/y'>", Remote(2, 0)),
        ("<img src=https://t.example/x srcset='https://t.example/y 2x'>", Remote(1, 0)),
        ("<body background='http://t.example/b'><p style='background: url( \"https://t.example/c\")'>", Remote(2, 0)),
        ("<picture><source srcset=//t.example/a><img src=//t.example/b></picture>", Remote(2, 0)),
        ("<video src=//t.example/v poster=//t.example/p></video>", Remote(1, 0)),
        ("<video src=//t.example/v><source src=//t.example/w></video><track src=//t.example/t>", Remote(0, 3)),
        ("<style>@import url(//t.example/a.css); @font-face { src: url('https://t.example/f') }</style>", Remote(0, 2)),
        ("<script src=//t.example/s></script><iframe src=https://t.example/>", Remote(0, 2)),
        (
            "<img src=cid:a><img src=data:image/gif;base64,x><a href=https://t.example/>x</a><img data-src=//t/>",
            Remote(),
        ),
    ),
)
def test_what_is_left_out_is_counted_by_what_it_is(html: str, found: Remote) -> None:
    assert remote_references(html) == found


@pytest.mark.parametrize(
    "html",
    (
        "<img src=" + " " * 300_000 + "x>",
        "<" * 300_000,
        "<img src=//t.example/x " * 20_000,
        "<!--" * 100_000,
        "<!-- -->" * 50_000 + "x",
        "url(//x" * 50_000,
    ),
)
async def test_html_made_to_be_slow_does_not_stop_the_hub(hub: WebHub, html: str) -> None:
    id = await hub.send(html=html)
    async with asyncio.timeout(10):
        await page(hub, f"/messages/{id}")
        assert (await hub.client.get(f"/messages/{id}/preview", headers=HTML)).status_code == 200


async def test_the_width_is_in_the_address(hub: WebHub) -> None:
    id = await hub.send(html="<p>x</p>")
    for width, shown in (("", "frame"), ("desktop", "frame desktop"), ("phone", "frame phone"), ('9" x', "frame")):
        html = await page(hub, f"/messages/{id}?width={width}")
        assert f'<div class="{shown}"><iframe' in html
    assert f'<a href="/messages/{id}?width=phone#content">Phone</a>' in html


@pytest.mark.parametrize(
    "element",
    ("iframe src=x", "IFRAME/src=x", "frame\nsrc=x", "object data=x", "embed src=x", "link rel=preconnect href=x"),
)
async def test_the_preview_has_no_element_a_browser_connects_for_before_it_asks(hub: WebHub, element: str) -> None:
    id = await hub.send(html=f"<p>linked frames</p><{element}></iframe>")
    html = (await hub.client.get(f"/messages/{id}/preview", headers=HTML)).text
    assert f"<x-{element}" in html
    assert "<p>linked frames</p>" in html
    assert "</x-iframe>" in html


@pytest.mark.parametrize("link", ("a href=x target=_self", "A/target=_self", "area\ntarget=a", "a"))
def test_every_link_wants_a_window_of_its_own_which_the_sandbox_refuses(link: str) -> None:
    name = re.split(r"\W", link)[0]
    assert harmless(f"<abbr>x</abbr><{link}>a < area</a>") == (
        f'<abbr>x</abbr><{name} target="_blank"{link[len(name) :]}>a < area</a>'
    )
