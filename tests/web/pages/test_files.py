"""The files of a message: listed, kept as files, and pictures shown in the preview."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from emailhub.web.pages import preview as previewing
from tests.support.web_hub import GOOD, WebHub
from tests.web.pages.reading import HTML, page, part, words_of

PNG = bytes.fromhex("89504e470d0a1a0a") + bytes(range(256))
EVIL = b"<script>alert(1)</script>"


def file(content: bytes, **fields: Any) -> dict[str, Any]:
    return {"content": b64encode(content).decode()} | fields


def picture(**fields: Any) -> dict[str, Any]:
    return file(PNG, filename="a.png", content_id="a@shop") | fields


async def test_files_are_listed_with_name_type_and_size(hub: WebHub) -> None:
    id = await hub.send(attachments=[file(b"x" * 2048, filename='<b>"März".pdf'), picture()], html="<p>")
    text = words_of(part(await page(hub, f"/messages/{id}?view=attachments"), "content"))
    assert "Attachments 2" in text
    assert '<b>"März".pdf application/pdf · 2.0 kB' in text
    assert "a.png image/png · 264 bytes · shown inside the HTML" in text


async def test_the_api_lists_them_too(hub: WebHub) -> None:
    id = await hub.send(attachments=[file(b"%PDF", filename="März.pdf"), picture()], html="<p>")
    assert (await hub.client.get(f"/emails/{id}")).json()["attachments"] == [
        {
            "filename": "a.png",
            "content_type": "image/png",
            "content_disposition": "inline",
            "content_id": "a@shop",
            "size": 264,
        },
        {
            "filename": "März.pdf",
            "content_type": "application/pdf",
            "content_disposition": "attachment",
            "content_id": None,
            "size": 4,
        },
    ]


async def test_a_file_is_kept_as_a_file_and_never_opened_as_what_it_claims_to_be(hub: WebHub) -> None:
    id = await hub.send(attachments=[file(EVIL, filename='März ";.html', content_type="text/html")])
    href = f"/messages/{id}/files/0"
    assert f'<a href="{href}" download>' in await page(hub, f"/messages/{id}?view=attachments")
    response = await hub.client.get(href, headers=HTML)
    assert response.content == EVIL
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-security-policy"] == "sandbox; default-src 'none'"
    assert response.headers["content-disposition"] == (
        "attachment; filename=\"M_rz __.html\"; filename*=UTF-8''M%C3%A4rz%20%22%3B.html"
    )


@pytest.mark.parametrize("number", ("1", "99999999999999999999", "-1", "x"))
async def test_a_file_that_is_not_there_is_not_found(hub: WebHub, number: str) -> None:
    id = await hub.send(attachments=[file(b"x", filename="a")])
    for path in (f"/emails/{id}/attachments/{number}", f"/emails/{id}/attachments/{number}/content"):
        answer = await hub.client.get(path)
        assert (answer.status_code, answer.json()["name"]) == (404, "not_found")
    assert (await hub.client.get(f"/messages/{id}/files/{number}", headers=HTML)).status_code == 404
    assert (await hub.client.get("/messages/nobody/files/0", headers=HTML)).status_code == 404


async def test_the_api_lists_attachments_and_says_where_their_bytes_are(hub: WebHub) -> None:
    id = await hub.send(attachments=[file(EVIL, filename="a.html"), file(b"%PDF", filename="b.pdf")])
    found = (await hub.client.get(f"/emails/{id}/attachments")).json()
    assert (found["object"], found["has_more"]) == ("list", False)
    assert found["data"][0] == {
        "object": "attachment",
        "id": "0",
        "filename": "a.html",
        "content_type": "text/html",
        "content_disposition": "attachment",
        "content_id": None,
        "size": len(EVIL),
        "download_url": f"http://localhost:8000/emails/{id}/attachments/0/content",
    }
    assert (await hub.client.get(f"/emails/{id}/attachments/1")).json() == found["data"][1]
    response = await hub.client.get(found["data"][0]["download_url"])
    assert (response.content, response.headers["content-type"]) == (EVIL, "application/octet-stream")
    assert response.headers["content-disposition"].startswith("attachment;")


async def test_of_a_message_whose_body_is_not_shown_no_file_is(hub: WebHub) -> None:
    id = await hub.send(store_body=False, attachments=[file(b"x", filename="a")])
    assert (await hub.client.get(f"/emails/{id}/attachments")).json()["data"] == []
    for path in (f"/emails/{id}/attachments/0/content", f"/messages/{id}/files/0"):
        assert (await hub.client.get(path)).status_code == 404


async def test_a_bad_attachment_has_an_error_name_of_its_own(hub: WebHub) -> None:
    bad = GOOD | {"attachments": [{"filename": "a", "content": "?"}]}
    for given, name in ((bad, "invalid_attachment"), (bad | {"subject": "a\nb"}, "validation_error")):
        answer = await hub.client.post("/emails", json=given)
        assert (answer.status_code, answer.json()["name"]) == (422, name)


async def preview(hub: WebHub, html: str, *files: dict[str, Any]) -> str:
    id = await hub.send(html=html, attachments=list(files))
    return (await hub.client.get(f"/messages/{id}/preview", headers=HTML)).text.strip()


async def test_pictures_the_message_carries_are_shown_in_the_preview(hub: WebHub) -> None:
    data = f"data:image/png;base64,{b64encode(PNG).decode()}"
    html = '<img src="cid:a@shop"><p style="background: url(cid:a%40shop)">cid:other</p>'
    assert await preview(hub, html, picture()) == html.replace("cid:a@shop", data).replace("cid:a%40shop", data)


async def test_nothing_but_plain_pictures_is_put_into_the_preview(hub: WebHub) -> None:
    html = '<img src="cid:a@shop">'
    for kind in ("image/svg+xml", "text/html", "image/png; a=b"):
        shown = await preview(hub, html, picture(content=b64encode(EVIL).decode(), content_type=kind))
        assert "<script" not in shown
        assert (html in shown) == (kind != "image/png; a=b")


async def test_more_pictures_than_a_preview_should_hold_are_left_out(
    hub: WebHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previewing, "_PICTURES", 300)
    html = '<img src="cid:a"><img src="cid:b">'
    shown = await preview(hub, html, picture(content_id="a"), picture(content_id="b"))
    assert "cid:b" in shown
    assert "cid:a" not in shown
