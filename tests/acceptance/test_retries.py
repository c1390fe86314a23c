"""What the server puts off is tried again; what it refuses is a dead letter until somebody sends it again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer


async def test_put_off_twice_then_taken_on_the_third_attempt(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    smtp.on("DOT", "451 4.3.0 try again later", times=2)
    hub = make_hub(smtp, SMTP_RETRY_DELAY_SECONDS="0.2", MAX_RETRY_ATTEMPTS="5")
    await hub.start()
    id = await hub.send()
    await hub.settled(1, final=("sent",))
    attempts = (await hub.get(f"/emails/{id}/attempts"))["data"]
    assert [attempt["results"][0]["verdict"] for attempt in attempts] == ["transient", "transient", "accepted"]
    assert attempts[0]["results"][0]["text"].startswith("451 4.3.0")
    assert len(smtp.messages) == 1


async def test_attempts_are_used_up_as_many_as_were_allowed(smtp: SmtpServer, make_hub: Callable[..., Hub]) -> None:
    smtp.on("RCPT", "451 4.3.0 try again later")
    hub = make_hub(smtp, SMTP_RETRY_DELAY_SECONDS="0.1", MAX_RETRY_ATTEMPTS="3")
    await hub.start()
    id = await hub.send()
    await hub.settled(1, final=("failed",))
    email = await hub.get(f"/emails/{id}")
    assert (email["reason"], email["attempts"]) == ("attempts used up", 3)


async def test_a_refused_recipient_is_a_dead_letter_and_can_be_sent_again(
    rabbit_vhost: str, smtp: SmtpServer, make_hub: Callable[..., Hub], queue_at: Callable[[str], Any]
) -> None:
    rule = smtp.on("RCPT", "550 5.1.1 user unknown", to="grace@example.org")
    hub = make_hub(smtp, RABBITMQ_URL=rabbit_vhost)
    await hub.start()
    await hub.consuming()
    id = await hub.send(to=["ada@example.org", "grace@example.org"])
    await hub.settled(1, final=("failed",))
    email = await hub.get(f"/emails/{id}")
    assert {one["address"]: one["state"] for one in email["recipients"]} == {
        "ada@example.org": "sent",
        "grace@example.org": "failed",
    }
    queue = await queue_at(rabbit_vhost)

    async def buried() -> bool:
        return bool(await queue.count("failed.queue") == 1)

    await hub.until(buried, "the dead letter is published")
    letter = (await queue.take_all("failed.queue"))[0]
    assert letter.headers["x-emailhub-id"] == id
    assert letter.headers["x-emailhub-recipient"] == "grace@example.org"
    assert "550 5.1.1 user unknown" in str(letter.headers["x-emailhub-error"])
    assert b"Hi." not in letter.body, "content that came over HTTP must not be published"

    smtp.rules.remove(rule)
    page = await hub.client.post(f"/messages/{id}/retry", data={}, headers={"Origin": str(hub.client.base_url)})
    assert page.status_code in {302, 303}, page.text
    await smtp.wait_for(2)
    await hub.settled(1, final=("sent",))
    assert [message.recipients for message in smtp.messages] == [["ada@example.org"], ["grace@example.org"]]
    assert len({message.message_id for message in smtp.messages}) == 1
