"""Mail is signed once, at acceptance, on its final bytes."""

from __future__ import annotations

import threading
from pathlib import Path

from emailhub.core.diversion import Diversion
from emailhub.core.message import Mailbox
from emailhub.core.records import Receipt
from tests.engine.test_intake import ORIGIN, Door, submission
from tests.support.factories import opened


class Stamp:
    """Signs with a line that names the domain, and remembers in which thread."""

    def __init__(self, *, slow: bool) -> None:
        self.slow = slow
        self.threads: set[threading.Thread] = set()

    def sign(self, content: bytes, domain: str) -> bytes:
        self.threads.add(threading.current_thread())
        return f"DKIM-Signature: d={domain}\r\n".encode() + content

    def costs(self, domain: str) -> bool:
        return self.slow


async def test_the_stored_bytes_are_the_signed_ones_for_the_senders_domain_and_their_size_is_theirs(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, signer=Stamp(slow=False))
        for sender, domain in ((None, "example.org"), (Mailbox("a@mail.other.test"), "mail.other.test")):
            id = (await door.intake.accept(submission(sender=sender), ORIGIN)).id
            content = await store.history.content(id)
            assert content is not None
            assert content.startswith(f"DKIM-Signature: d={domain}\r\nFrom: ".encode())
            assert (await store.history.find(id)).summary.size == len(content)


async def test_a_signature_that_takes_long_is_made_in_threads_and_answers_stay_in_order(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        stamp = Stamp(slow=True)
        door = Door(store, signer=stamp)
        answers = await door.intake.accept_many([(submission(subject=f"S{n}"), ORIGIN, None) for n in range(20)])
        ids = [answer.id for answer in answers if isinstance(answer, Receipt)]
        assert [(await store.history.find(id)).summary.subject for id in ids] == [f"S{n}" for n in range(20)]
        assert threading.main_thread() not in stamp.threads


async def test_captured_and_diverted_mail_is_signed_like_any_other(tmp_path: Path) -> None:
    async with opened(tmp_path / "hub.db") as store:
        door = Door(store, signer=Stamp(slow=False))
        for rules in (Diversion(allow=("nobody.test",)), Diversion("dev@team.test")):
            door.intake.diversion = rules
            content = await store.history.content((await door.intake.accept(submission(), ORIGIN)).id)
            assert content is not None
            assert content.startswith(b"DKIM-Signature: d=example.org\r\n")
