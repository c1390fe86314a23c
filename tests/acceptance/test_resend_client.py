"""The official Python client of the API this one follows, unchanged but for its address, against the real process."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import pytest_asyncio
import resend
from resend import exceptions

from tests.acceptance.hub import Hub, running
from tests.support.smtp_server import Message, SmtpServer

KEY = "re_123456789_abcdefgh"
LEAST: resend.Emails.SendParams = {
    "from": "Shop <shop@example.org>",
    "to": "ada@example.org",
    "subject": "Hello",
    "text": "Hi.",
}


class Story(NamedTuple):
    """A running hub with one key, and the SMTP server it sends to. All stories of this module share it."""

    hub: Hub
    smtp: SmtpServer

    async def arrived(self, subject: str, count: int = 1) -> list[Message]:
        """The messages with this subject, once there are `count` of them."""
        line = f"Subject: {subject}\r\n".encode()
        found: list[Message] = []

        def there() -> bool:
            found[:] = [message for message in self.smtp.messages if line in message.data]
            return len(found) >= count

        await self.smtp.wait_until(there)
        return found


def write_template(folder: Path, subject: str, html: str) -> None:
    folder.mkdir(parents=True)
    (folder / "subject.txt").write_text(subject)
    (folder / "body.html").write_text(html)


@pytest_asyncio.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    async with SmtpServer() as smtp:
        folder = tmp_path_factory.mktemp("resend")
        write_template(folder / "mail" / "welcome", "Welcome, {{ name }}", "<p>Hello {{ name }}</p>")
        env = {
            "EMAILHUB_TEMPLATES": "mail",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(smtp.port),
            "EMAIL_FROM": "hub@example.org",
        }
        env["EMAILHUB_SUPPRESS_REFUSED"] = "true"
        async with running(folder, EMAILHUB_API_KEYS=KEY, **env) as hub:
            hub.client.headers["authorization"] = f"Bearer {KEY}"
            yield Story(hub, smtp)


@pytest.fixture
def story(shared: Story, monkeypatch: pytest.MonkeyPatch) -> Story:
    """The hub, to which the client talks."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(resend, "api_key", KEY)
    monkeypatch.setattr(resend, "api_url", f"http://127.0.0.1:{shared.hub.port}")
    return shared


async def call(verb: Callable[..., Any], *args: Any) -> Any:
    """What the client returns, called in a thread as it has no event loop."""
    return await asyncio.to_thread(verb, *args)


async def refused(verb: Callable[..., Any], *args: Any) -> exceptions.ResendError:
    with pytest.raises(exceptions.ResendError) as caught:
        await call(verb, *args)
    return caught.value


async def test_a_message_with_every_field_arrives_as_it_was_given(story: Story) -> None:
    params: resend.Emails.SendParams = {
        **LEAST,
        "to": ["ada@example.org", "Bob <bob@example.org>"],
        "cc": "carol@example.org",
        "bcc": ["dan@example.org"],
        "reply_to": ["help@example.org", "desk@example.org"],
        "subject": "Your bill",
        "html": '<p>Grüße <img src="cid:logo"></p>',
        "headers": {"X-Order": "4711"},
        "tags": [{"name": "kind", "value": "invoice"}],
        "attachments": [
            {"filename": "Rechnung.pdf", "content": base64.b64encode(b"%PDF-1.7 bill").decode()},
            {"filename": "logo.png", "content": list(b"\x89PNG"), "content_type": "image/png", "content_id": "logo"},
        ],
    }
    sent = await call(resend.Emails.send, params)
    (arrived,) = await story.arrived("Your bill")
    assert arrived.recipients == ["ada@example.org", "bob@example.org", "carol@example.org", "dan@example.org"]
    parsed = cast("EmailMessage", message_from_bytes(arrived.data, policy=policy.default))
    assert parsed["from"] == "Shop <shop@example.org>"
    assert parsed["reply-to"] == "help@example.org, desk@example.org"
    assert (parsed["x-order"], parsed["bcc"]) == ("4711", None)
    files = {part.get_filename(): part.get_content() for part in parsed.walk() if part.get_filename()}
    assert files == {"Rechnung.pdf": b"%PDF-1.7 bill", "logo.png": b"\x89PNG"}
    email = await story.hub.until(lambda: sent_one(sent["id"]), "it is sent")
    assert (email["id"], email["object"], email["last_event"]) == (sent["id"], "email", "sent")
    assert (email["from"], email["subject"]) == ("Shop <shop@example.org>", "Your bill")
    assert (email["to"], email["cc"]) == (["ada@example.org", "bob@example.org"], ["carol@example.org"])
    assert (email["bcc"], email["reply_to"]) == (["dan@example.org"], ["help@example.org", "desk@example.org"])
    assert (email["text"].strip(), email["html"].strip()) == ("Hi.", params["html"])
    assert (email["message_id"], email["tags"]) == (arrived.message_id, params["tags"])
    assert email["created_at"]


async def test_attachments_are_listed_and_fetched_again(story: Story) -> None:
    bill: resend.Attachment = {"filename": "März.pdf", "content": base64.b64encode(b"%PDF").decode()}
    sent = await call(resend.Emails.send, {**LEAST, "subject": "Files", "attachments": [bill]})
    (listed,) = (await call(resend.Emails.Attachments.list, sent["id"]))["data"]
    found = await call(resend.Emails.Attachments.get, sent["id"], listed["id"])
    assert (found["object"], found["filename"], found["size"]) == ("attachment", "März.pdf", 4)
    assert (await story.hub.client.get(found["download_url"])).content == b"%PDF"
    missing = await refused(resend.Emails.Attachments.get, sent["id"], "7")
    assert missing.error_type == "not_found"


async def sent_one(id: str) -> Any:
    """The message, once it is sent."""
    email = await call(resend.Emails.get, id)
    return email if email["last_event"] == "sent" else None


async def test_what_is_scheduled_is_moved_canceled_and_listed(story: Story) -> None:
    ids = [
        (await call(resend.Emails.send, {**LEAST, "subject": f"Number {number}", "scheduled_at": "in 1 hour"}))["id"]
        for number in range(3)
    ]
    moved = await call(resend.Emails.update, {"id": ids[0], "scheduled_at": "2027-01-31T09:30:00.000Z"})
    assert (moved["object"], moved["id"]) == ("email", ids[0])
    assert (await call(resend.Emails.get, ids[0]))["scheduled_at"] == "2027-01-31T09:30:00.000Z"
    await call(resend.Emails.update, {"id": ids[1], "scheduled_at": "now"})
    await story.arrived("Number 1")
    canceled = await call(resend.Emails.cancel, ids[2])
    assert (canceled["object"], canceled["id"]) == ("email", ids[2])
    assert (await call(resend.Emails.get, ids[2]))["last_event"] == "canceled"

    first = await call(resend.Emails.list, {"limit": 2})
    assert (first["object"], first["has_more"]) == ("list", True)
    assert [email["id"] for email in first["data"]] == [ids[2], ids[1]]
    rest = await call(resend.Emails.list, {"limit": 1, "after": ids[1]})
    assert [email["id"] for email in rest["data"]] == [ids[0]]
    assert (rest["data"][0]["to"], rest["data"][0]["last_event"]) == (["ada@example.org"], "scheduled")
    back = await call(resend.Emails.list, {"limit": 1, "before": ids[0]})
    assert ([email["id"] for email in back["data"]], back["has_more"]) == ([ids[1]], True)
    assert [email["id"] for email in (await call(resend.Emails.list))["data"]][:3] == ids[::-1]


async def test_a_key_sends_once_and_a_batch_is_all_or_as_many_as_are_good(story: Story) -> None:
    once: resend.Emails.SendParams = {**LEAST, "subject": "Only once"}
    first = await call(resend.Emails.send, once, {"idempotency_key": "welcome/1"})
    again = await call(resend.Emails.send, once, {"idempotency_key": "welcome/1"})
    assert first["id"] == again["id"]
    assert again["http_headers"]["idempotency-replayed"] == "true"
    error = await refused(resend.Emails.send, {**once, "text": "Other"}, {"idempotency_key": "welcome/1"})
    assert (str(error.code), error.error_type) == ("409", "invalid_idempotent_request")

    many = [{**LEAST, "subject": "News", "to": f"reader{number}@example.org"} for number in range(20)]
    batch = await call(resend.Batch.send, many, {"idempotency_key": "welcome/2"})
    assert len({one["id"] for one in batch["data"]}) == 20
    assert "errors" not in batch
    assert (await call(resend.Batch.send, many, {"idempotency_key": "welcome/2"}))["data"] == batch["data"]
    error = await refused(resend.Batch.send, many[:5], {"idempotency_key": "welcome/2"})
    assert error.error_type == "invalid_idempotent_request"

    mixed = [{**LEAST, "subject": "Mixed"}, {**LEAST, "to": "nobody"}]
    strict = await refused(resend.Batch.send, mixed)
    assert isinstance(strict, exceptions.ValidationError)
    assert "[1].to" in strict.message
    permissive = await call(resend.Batch.send, mixed, {"batch_validation": "permissive"})
    assert (len(permissive["data"]), [error["index"] for error in permissive["errors"]]) == (1, [1])
    assert permissive["errors"][0]["message"]
    news = await story.arrived("News", 20)
    assert {message.recipients[0] for message in news} == {f"reader{number}@example.org" for number in range(20)}
    assert (len(await story.arrived("Only once")), len(await story.arrived("Mixed"))) == (1, 1)


async def test_addresses_are_suppressed_by_hand_and_by_their_servers_refusal_and_lifted(story: Story) -> None:
    story.smtp.on("RCPT", "550 5.1.1 User unknown", to="Gone@example.net")
    sent = await call(
        resend.Emails.send, {**LEAST, "to": ["Gone@example.net", "ada@example.org"], "subject": "Bounces"}
    )
    await story.arrived("Bounces")
    entry = await story.hub.until(lambda: listed_one("gone@example.net"), "its refusal puts it on the list")
    assert (entry["origin"], entry["source_id"], entry["reason"]) == ("bounce", sent["id"], "550 5.1.1 User unknown")

    added = await call(resend.Suppressions.add, {"email": "Eve@example.net"})
    assert added["object"] == "suppression"
    batch = await call(resend.Suppressions.Batch.add, {"emails": ["eve@example.net", "mallory@example.net"]})
    assert added["id"] in [one["id"] for one in batch["data"]]
    page = await call(resend.Suppressions.list, {"limit": 2})
    assert (page["object"], page["has_more"]) == ("list", True)
    assert [one["email"] for one in page["data"]] == ["mallory@example.net", "eve@example.net"]
    rest = await call(resend.Suppressions.list, {"after": page["data"][1]["id"], "origin": "bounce"})
    assert [one["id"] for one in rest["data"]] == [entry["id"]]

    to = ["eve@example.net", "gone@example.net", "bob@example.org"]
    sent = await call(resend.Emails.send, {**LEAST, "to": to, "subject": "To one of three"})
    (arrived,) = await story.arrived("To one of three")
    assert arrived.recipients == ["bob@example.org"]
    nobody = await call(resend.Emails.send, {**LEAST, "to": to[0], "subject": "To nobody"})
    assert (await call(resend.Emails.get, nobody["id"]))["last_event"] == "suppressed"

    removed = await call(resend.Suppressions.remove, "eve@example.net")
    assert (removed["id"], removed["deleted"]) == (added["id"], True)
    gone = await call(resend.Suppressions.Batch.remove, {"ids": [entry["id"], "999"]})
    assert [one["id"] for one in gone["data"]] == [entry["id"]]
    assert (await refused(resend.Suppressions.get, "eve@example.net")).error_type == "not_found"
    await call(resend.Emails.send, {**LEAST, "to": to[0], "subject": "Again to her"})
    await story.arrived("Again to her")


async def listed_one(email: str) -> Any:
    """The entry of the address, once there is one."""
    try:
        return await call(resend.Suppressions.get, email)
    except exceptions.ResendError:
        return None


async def test_a_template_makes_a_message_alone_and_in_a_batch(story: Story) -> None:
    def welcome(name: str) -> resend.Emails.SendParams:
        template: Any = {"id": "welcome", "variables": {"name": name}}
        return {"from": "shop@example.org", "to": f"{name.lower()}@example.org", "template": template}

    await call(resend.Emails.send, welcome("Grace"))
    (arrived,) = await story.arrived("Welcome, Grace")
    parsed = message_from_bytes(arrived.data, policy=policy.default)
    body = parsed.get_body(("html",))
    assert body is not None
    assert body.get_content().strip() == "<p>Hello Grace</p>"

    many = [welcome("Ada"), welcome("Bob")]
    batch = await call(resend.Batch.send, many, {"idempotency_key": "welcome/3"})
    again = await call(resend.Batch.send, many, {"idempotency_key": "welcome/3"})
    assert again["data"] == batch["data"]
    error = await refused(resend.Batch.send, [welcome("Ada"), welcome("Eve")], {"idempotency_key": "welcome/3"})
    assert error.error_type == "invalid_idempotent_request"
    assert (len(await story.arrived("Welcome, Ada")), len(await story.arrived("Welcome, Bob"))) == (1, 1)
    nameless: Any = {**welcome("Ada"), "template": {"id": "welcome"}}
    lacking = await refused(resend.Batch.send, [welcome("Ada"), nameless])
    assert isinstance(lacking, exceptions.ValidationError)
    assert "[1].template.variables.name" in lacking.message


async def test_a_template_is_published_used_changed_taken_back_and_removed(story: Story) -> None:
    made = await call(
        resend.Templates.create,
        {
            "name": "Order",
            "alias": "order-paid",
            "from": "Shop <shop@example.org>",
            "subject": "Order {{ number }} is paid",
            "html": "<style>p { color: #123456 }</style><p>Thank you, {{ name }}.</p>",
            "variables": [
                {"key": "number", "type": "number"},
                {"key": "name", "type": "string", "fallback_value": "you"},
            ],
        },
    )
    message = {"to": "ada@example.org", "template": {"id": "order-paid", "variables": {"number": 7, "name": "<Ada>"}}}
    draft = await refused(resend.Emails.send, message)
    assert "is a draft: publish the template order-paid first" in draft.message
    assert (await call(resend.Templates.publish, made["id"]))["object"] == "template"
    await call(resend.Emails.send, message)
    (arrived,) = await story.arrived("Order 7 is paid")
    parsed = cast("EmailMessage", message_from_bytes(arrived.data, policy=policy.default))
    assert parsed["from"] == "Shop <shop@example.org>"
    parts = {part.get_content_type(): part.get_content() for part in parsed.walk() if not part.is_multipart()}
    assert '<p style="color: #123456;">Thank you, &lt;Ada&gt;.</p>' in parts["text/html"]
    assert parts["text/plain"].strip() == "Thank you, <Ada>."

    await call(resend.Templates.update, {"id": "order-paid", "subject": "Paid: {{ number }}"})
    found = await call(resend.Templates.get, made["id"])
    assert (found["alias"], found["status"], found["subject"]) == ("order-paid", "published", "Paid: {{ number }}")
    assert [(one["key"], one["type"]) for one in found["variables"]] == [("number", "number"), ("name", "string")]
    again = {**message, "template": {"id": made["id"], "variables": {"number": 8}}}
    await call(resend.Emails.send, again)
    await story.arrived("Order 8 is paid")
    await call(resend.Templates.publish, "order-paid")
    await call(resend.Emails.send, again)
    await story.arrived("Paid: 8")
    await story.hub.post(f"/templates/{made['id']}/publish", {"version": 1})
    await call(resend.Emails.send, {**again, "template": {"id": "order-paid", "variables": {"number": 9}}})
    await story.arrived("Order 9 is paid")

    copy = await call(resend.Templates.duplicate, "order-paid")
    page = await call(resend.Templates.list, {"limit": 1})
    assert (page["object"], page["has_more"], len(page["data"])) == ("list", True, 1)
    rest = await call(resend.Templates.list, {"after": page["data"][0]["id"]})
    assert {one["id"] for one in (*page["data"], *rest["data"])} >= {made["id"], copy["id"]}
    gone = await call(resend.Templates.remove, "order-paid")
    assert (gone["id"], gone["deleted"]) == (made["id"], True)
    error = await refused(resend.Templates.get, "order-paid")
    assert (str(error.code), error.error_type) == ("404", "not_found")
    assert "names no template" in (await refused(resend.Emails.send, message)).message


async def test_the_client_for_event_loops_works_too(story: Story) -> None:
    sent = await resend.Emails.send_async({**LEAST, "subject": "Later", "scheduled_at": "in 1 hour"})
    moved = await resend.Emails.update_async({"id": sent["id"], "scheduled_at": "in 2 hours"})
    canceled = await resend.Emails.cancel_async(moved["id"])
    assert (await resend.Emails.get_async(canceled["id"]))["last_event"] == "canceled"
    assert (await resend.Emails.list_async({"limit": 1}))["data"][0]["id"] == sent["id"]
    batch = await resend.Batch.send_async([{**LEAST, "subject": "From a loop"}] * 2)
    assert len(await story.arrived("From a loop", 2)) == len(batch["data"]) == 2


async def test_every_refusal_is_the_error_the_client_has_for_it(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(await refused(resend.Emails.send, {**LEAST, "to": "nobody"}), exceptions.ValidationError)
    missing = await refused(resend.Emails.send, {"from": "shop@example.org", "to": "ada@example.org"})
    assert isinstance(missing, exceptions.MissingRequiredFieldsError)
    assert isinstance(
        await refused(resend.Emails.send, {**LEAST, "scheduled_at": "some day"}), exceptions.ValidationError
    )
    for verb, argument in ((resend.Emails.get, "nothing"), (resend.Emails.cancel, "nothing")):
        error = await refused(verb, argument)
        assert (str(error.code), error.error_type) == ("404", "not_found")
    sent = await call(resend.Emails.send, {**LEAST, "scheduled_at": "in 1 hour"})
    await call(resend.Emails.cancel, sent["id"])
    for verb, given in (
        (resend.Emails.cancel, sent["id"]),
        (resend.Emails.update, {"id": sent["id"], "scheduled_at": "in 2 hours"}),
    ):
        error = await refused(verb, given)
        assert (str(error.code), error.error_type) == ("409", "invalid_state")
    for elsewhere, *of in (
        *((resend.Domains.list,), (resend.Webhooks.list,), (resend.Broadcasts.list,)),
        *((resend.Emails.share, sent["id"]), (resend.Emails.metrics,), (resend.Emails.Receiving.list,)),
    ):
        error = await refused(elsewhere, *of)
        assert (str(error.code), error.error_type) == ("404", "not_found")
        assert "emailhub" in error.message
    monkeypatch.setattr(resend, "api_key", "re_not_this_one_at_all")
    assert isinstance(await refused(resend.Emails.list), exceptions.InvalidApiKeyError)
    monkeypatch.setattr(resend, "api_key", "")
    assert isinstance(await refused(resend.Emails.list), exceptions.MissingApiKeyError)
    assert (await story.hub.get("/emails"))["data"][0]["id"] == sent["id"]
