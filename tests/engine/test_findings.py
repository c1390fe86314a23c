"""What a report means for each recipient."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from emailhub.core.delivery import Policy
from emailhub.core.reply import Reply
from emailhub.core.verdict import Kind, Report, Stage, Verdict
from emailhub.engine.findings import outcomes
from tests.support.factories import NOW, opened, parcel

TO = tuple(f"u{number}@example.com" for number in range(50))


async def test_recipients_put_off_together_are_due_together_and_go_in_one_transaction_again(tmp_path: Path) -> None:
    verdict = Verdict(Kind.TRANSIENT, Stage.FINAL, "later", Reply(451, "4.3.0", "later"))
    moves: Iterator[float] = iter([number / 50 for number in range(50)])
    async with opened(tmp_path / "outbox.db") as store:
        await store.outbox.add([parcel("A", to=TO)])
        (job,) = await store.claim()
        found = outcomes(
            job,
            Report((verdict,) * len(TO)),
            policy=Policy(),
            now=NOW,
            jitter=lambda: next(moves),
            probe_at=None,
            relay_well_at=NOW,
            captured=False,
        )
        assert len({result.outcome.due_at for result in found}) == 1
