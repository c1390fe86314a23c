"""What the list shows, as a file: all of it, safe in a spreadsheet, a piece at a time."""

from __future__ import annotations

import csv
import json
from io import StringIO

import pytest

from emailhub.web.pages import export
from tests.support.web_hub import WebHub


async def test_the_filter_is_exported_page_after_page(hub: WebHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "_STEP", 2)
    ids = [await hub.send(subject="Sale") for _ in range(5)][::-1]
    await hub.send(subject="Other")
    answer = await hub.client.get("/messages/jsonl?q=subject%3Asale")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="messages.jsonl"'
    rows = [json.loads(line) for line in answer.text.splitlines()]
    assert [row["id"] for row in rows] == ids
    assert tuple(rows[0]) == export.COLUMNS
    assert (rows[0]["state"], rows[0]["to"], rows[0]["scheduled_at"]) == ("queued", "ada@example.org", None)
    table = list(csv.DictReader(StringIO((await hub.client.get("/messages/csv?q=subject%3Asale")).text)))
    assert [row["id"] for row in table] == ids


async def test_no_cell_is_a_formula(hub: WebHub) -> None:
    await hub.send(subject='=HYPERLINK("https://evil.example")')
    (row,) = csv.DictReader(StringIO((await hub.client.get("/messages/csv")).text))
    assert row["subject"] == '\'=HYPERLINK("https://evil.example")'


async def test_no_more_than_the_newest_are_exported(hub: WebHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "EXPORTED", 3)
    ids = [await hub.send() for _ in range(5)][::-1]
    rows = (await hub.client.get("/messages/jsonl")).text.splitlines()
    assert [json.loads(row)["id"] for row in rows] == ids[:3]


async def test_nothing_is_a_table_with_its_heads(hub: WebHub) -> None:
    assert (await hub.client.get("/messages/csv")).text == ",".join(export.COLUMNS) + "\r\n"
    assert (await hub.client.get("/messages/jsonl")).text == ""


async def test_a_search_with_mistakes_leads_back_to_where_they_are_explained(hub: WebHub) -> None:
    answer = await hub.client.get("/messages/csv?q=state%3Asendt")
    assert (answer.status_code, answer.headers["location"]) == (303, "/messages?q=state%3Asendt")
