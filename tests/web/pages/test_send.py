"""The form for a test message."""

import pytest

from emailhub.core.errors import Problem
from emailhub.web.pages.send import problems_by_field, split_addresses
from tests.support.web_hub import WebHub
from tests.web.pages.reading import HTML, page, press, words_of

GOOD = {"to": "ada@example.org", "subject": "A test", "text": "It works."}


async def test_a_test_goes_through_the_same_door_and_leads_to_its_page(hub: WebHub) -> None:
    answer = await press(hub, "/send", **GOOD)
    assert answer.status_code == 303
    detail = await hub.faces.history.find(answer.headers["location"].rpartition("/")[2])
    assert (detail.summary.subject, detail.summary.face) == ("A test", "dashboard")
    assert "over the dashboard" in words_of(await page(hub, answer.headers["location"]))


async def test_several_addresses_and_html_may_be_given(hub: WebHub) -> None:
    to = '"Lovelace, Ada" <ada@example.org>, bob@example.org'
    answer = await press(hub, "/send", **(GOOD | {"to": to, "html": "<b>x</b>", "from": "me@example.org"}))
    detail = await hub.faces.history.find(answer.headers["location"].rpartition("/")[2])
    assert [one.address for one in detail.recipients] == ["ada@example.org", "bob@example.org"]
    assert detail.sender == "me@example.org"


async def test_an_error_stands_at_its_field_and_nothing_typed_is_lost(hub: WebHub) -> None:
    answer = await press(hub, "/send", to="nonsense", subject="Kept <b>", text="Kept too")
    assert answer.status_code == 422
    assert await hub.stored() == 0
    assert 'name="to" value="nonsense"' in answer.text
    assert 'aria-describedby="h-to" aria-invalid="true"' in answer.text
    assert 'value="Kept &lt;b&gt;"' in answer.text
    assert "Kept too</textarea>" in answer.text


async def test_all_errors_are_told_at_once(hub: WebHub) -> None:
    answer = await press(hub, "/send", to="", subject="x" * 1000, text="", html="")
    assert answer.text.count('class="problem"') >= 3


async def test_a_full_hub_says_when_to_come_back_and_keeps_the_form(hub: WebHub) -> None:
    hub.room.stopping = True
    answer = await press(hub, "/send", **GOOD)
    assert answer.status_code == 503
    assert "Not accepted: emailhub is stopping" in words_of(answer.text)
    assert 'value="ada@example.org"' in answer.text


async def test_a_form_in_another_shape_is_refused(hub: WebHub) -> None:
    response = await hub.client.post("/send", json=GOOD, headers=HTML)
    assert response.status_code == 415
    bad = {"content-type": "application/x-www-form-urlencoded"}
    assert (await hub.client.post("/send", content=b"to=%ff%fe", headers=HTML | bad)).status_code == 400
    many = "&".join(f"f{number}=x" for number in range(500))
    assert (await hub.client.post("/send", content=many, headers=HTML | bad)).status_code == 400


async def test_the_page_says_whether_the_message_really_goes_out(hub: WebHub) -> None:
    assert "reaches nobody" in words_of(await page(hub, "/send"))


@pytest.mark.parametrize(
    ("typed", "found"),
    (
        ("a@x.org, b@x.org", ["a@x.org", "b@x.org"]),
        ("a@x.org;b@x.org\nc@x.org", ["a@x.org", "b@x.org", "c@x.org"]),
        ('"Doe, J" <j@x.org>', ['"Doe, J" <j@x.org>']),
        (" , ", []),
    ),
)
def test_addresses_are_divided_as_people_type_them(typed: str, found: list[str]) -> None:
    assert split_addresses(typed) == found


def test_problems_of_fields_the_form_does_not_have_stand_above_it() -> None:
    found = problems_by_field((Problem("to[1]", "is not an address"), Problem("$", "is too large")))
    assert found["to"] == "Is not an address."
    assert found[""] == "$: is too large."
