"""Dead letters of the queue in memory, for the pages over canned messages."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from emailhub.core.errors import LetterSettled, NotFound
from emailhub.core.letters import ROUTING_KEY, Letter, LetterPage, LetterStatus

_CAME = (
    ("unreadable: it is a printed Python dict, not JSON; publish json.dumps(…)", b"{'to': 'ada@example.org'}"),
    ("unreadable: it is not UTF-8; publish JSON in UTF-8", b'{"to": "ada@example.org", "subject": "Gr\xfc\xdfe"}'),
    (
        "invalid: to: 'ada@' is not an e-mail address",
        b'{"to":"ada@","subject":"Your order","body":"It is on its way."}',
    ),
)


class DemoLetters:
    """See `engine.letters.Letters`."""

    def __init__(self, now: Callable[[], float], *, empty: bool) -> None:
        self.letters = {
            number: Letter(
                id=number,
                at=now() - 600 * (4 - number),
                reason=reason,
                body=body,
                size=len(body),
                headers={ROUTING_KEY: "email", "x-tenant": "shop"},
                content_type="application/json",
                correlation_id=f"c-{number}",
            )
            for number, (reason, body) in enumerate(() if empty else _CAME, 1)
        }

    async def find(self, id: int) -> Letter:
        if id not in self.letters:
            raise NotFound("dead letter", str(id))
        return self.letters[id]

    async def page(
        self, status: LetterStatus | None, *, before: int | None, after: int | None, limit: int
    ) -> LetterPage:
        found = [one for one in reversed(self.letters.values()) if status in (None, one.status)]
        return LetterPage(tuple(found[:limit]), None, None)

    async def counts(self) -> dict[LetterStatus, int]:
        return {status: sum(one.status is status for one in self.letters.values()) for status in LetterStatus}

    async def settle(
        self, id: int, status: LetterStatus, *, now: float, actor: str, face: str, note: str, message: str | None
    ) -> Letter:
        letter = await self.find(id)
        if letter.status is not LetterStatus.OPEN:
            raise LetterSettled(id, letter.status.value)
        self.letters[id] = replace(letter, status=status, settled_at=now, actor=actor, note=note, message=message)
        return self.letters[id]
