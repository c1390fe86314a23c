"""The page of API keys, as people use it: with and without script."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from emailhub.core.api_key import DAY
from emailhub.engine.gate import Access
from tests.support.web_hub import GOOD, START, WebHub, web_hub
from tests.web.pages.reading import page, press, words_of

PATH = "/api-keys"
BILLING = {"name": "billing", "may_send": "1"}


async def make(hub: WebHub, **fields: str) -> tuple[httpx.Response, str]:
    """Fill in the form; the answer, and the secret in it."""
    answer = await press(hub, f"{PATH}/made", **BILLING | fields)
    found = re.search(r'value="(eh_live_[a-z2-7]{32})"', answer.text)
    return answer, found[1] if found else ""


async def test_without_keys_the_page_says_what_they_are_for(hub: WebHub) -> None:
    text = words_of(await page(hub, PATH))
    assert "No key works now." in text
    assert "From the first key on, the API answers only to those who show one." in text


async def test_a_key_is_made_by_the_form_and_its_secret_shown_once(hub: WebHub) -> None:
    answer, secret = await make(hub, domains="example.org, *.example.net", rate="10/s", quota="5,000", ends="30")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "billing: copy the secret now" in words_of(answer.text)
    sent = await hub.client.post("/emails", json=GOOD, headers={"authorization": f"Bearer {secret}"})
    assert sent.status_code == 200
    html = await page(hub, PATH)
    assert secret not in html
    text = words_of(html)
    assert "billing ✓ live send from example.org, *.example.net · at most 10/s · 1 of 5,000 messages today" in text
    assert f"{secret[:12]}…" in text
    (key, _) = hub.faces.keyring.all()[0]
    assert (key.created_by, key.grant.expires_at) == ("local from 127.0.0.1", START + 30 * DAY)


@pytest.mark.parametrize(
    ("fields", "said"),
    (
        ({"name": ""}, "Name:"),
        ({"domains": "not a domain"}, "From domains:"),
        ({"rate": "fast"}, "Rate:"),
        ({"quota": "many"}, "Day quota:"),
    ),
)
async def test_what_is_wrong_is_said_and_nothing_typed_is_lost(hub: WebHub, fields: dict[str, str], said: str) -> None:
    answer, _ = await make(hub, reason="kept <b>", **fields)
    assert answer.status_code == 422
    assert said in words_of(answer.text)
    assert 'value="kept &lt;b&gt;"' in answer.text
    assert hub.faces.keyring.all() == []


async def test_a_key_without_any_scope_is_refused(hub: WebHub) -> None:
    answer = await press(hub, f"{PATH}/made", name="billing")
    assert answer.status_code == 422
    assert "May: is empty" in words_of(answer.text)


async def test_a_name_cannot_break_out_of_the_page(hub: WebHub) -> None:
    await make(hub, name="<script>alert(1)</script>")
    assert "<script>alert" not in await page(hub, PATH)


async def test_rotating_shows_the_new_secret_and_until_when_the_old_one_works(hub: WebHub) -> None:
    _, old = await make(hub)
    id = hub.faces.keyring.all()[0][0].id
    answer = await press(hub, f"{PATH}/{id}/rotation", grace="1h", reason="yearly")
    new = re.search(r'value="(eh_live_[a-z2-7]{32})"', answer.text)
    assert new
    assert new[1] != old
    assert f"{old[:12]}… (old, works until 15 Jan 2027 09:00 UTC)" in words_of(await page(hub, PATH))
    again = await press(hub, f"{PATH}/{id}/rotation", grace="1h")
    assert again.headers["location"] == PATH
    assert "two secrets work already" in words_of(await page(hub, PATH))


async def test_revoking_says_so_and_moves_the_key_to_those_that_have_ended(hub: WebHub) -> None:
    await make(hub)
    id = hub.faces.keyring.all()[0][0].id
    answer = await press(hub, f"{PATH}/{id}/revocation", reason="moved <away>")
    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    text = words_of(await page(hub, PATH))
    assert "The key billing is revoked: from now on it opens nothing." in text
    assert "Ended billing – revoked send" in text
    assert "by local from 127.0.0.1: moved <away>" in text
    assert (await press(hub, f"{PATH}/{id}/rotation", grace="1h")).status_code == 303
    assert "Nothing was changed" in words_of(await page(hub, PATH))
    assert (await press(hub, f"{PATH}/nobody/revocation")).status_code == 404


async def test_keys_of_the_settings_are_shown_without_their_secret_and_without_buttons(tmp_path: Path) -> None:
    async with web_hub(tmp_path, Access(api_keys=("eh_settings_0123456789",))) as hub:
        html = await page(hub, PATH)
        assert "eh_settings" not in html
        assert "key 1 ✓ live send read admin from settings: EMAILHUB_API_KEYS" in words_of(html)
        assert "/rotation" not in html


async def test_one_key_leads_to_its_place_on_the_page(hub: WebHub) -> None:
    await make(hub)
    id = hub.faces.keyring.all()[0][0].id
    answer = await hub.client.get(f"{PATH}/{id}", headers={"accept": "text/html"})
    assert answer.headers["location"] == f"{PATH}#k-{id}"
