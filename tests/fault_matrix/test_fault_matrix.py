"""Every fault an SMTP server can show, in every way it can be met: what becomes of each recipient, and of the relay.

All deadlines are those of production; time is virtual. After the fault is gone, whatever was put off has to arrive.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from emailhub.core.delivery import State
from emailhub.core.records import Detail
from tests.fault_matrix import carrying, opening
from tests.fault_matrix.matrix import ANN, CELLS, OUTCOMES, WAITS, Cell, Expect, Row, Scene
from tests.support.clock import now
from tests.support.mail_line import MailLine, mail_line
from tests.support.network_clock import over_the_network
from tests.support.smtp_relays import Authority
from tests.support.smtp_server import SmtpServer

ROWS = (*opening.ROWS, *carrying.ROWS)
COVER = {0: ((0, 0, 0), (1, 1, 1)), 1: ((1, 0, 1), (0, 1, 0)), 2: ((0, 0, 1), (1, 1, 0)), 3: ((1, 0, 0), (0, 1, 1))}
"""Two opposite cells for each row, in turn: every pair of ways is met within four rows."""


def cases() -> list[object]:
    """All cells; those that do not cover a row by default are for the night."""
    found: list[object] = []
    for index, row in enumerate(ROWS):
        covering = COVER[index % len(COVER)]
        for cell in CELLS:
            marks = () if tuple(map(int, cell)) in covering and not row.slow else (pytest.mark.nightly,)
            found.append(pytest.param(row, cell, marks=marks, id=f"{row.claim} ({cell})".replace(" ", "-")))
    return found


def test_no_fault_is_told_twice() -> None:
    assert [claim for claim, count in Counter(row.claim for row in ROWS).items() if count > 1] == []


@pytest.mark.parametrize(("row", "cell"), cases())
@over_the_network
async def test_a_fault_has_its_answer(
    row: Row, cell: Cell, tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = SmtpServer(**{"chunking": cell.chunked, **row.server(authority)})
    async with mail_line(tmp_path, server, row.options(authority)) as line:
        scene = Scene(line, cell, monkeypatch, authority)
        row.heal(scene)
        await met(row, scene)
        found = await line.send("m", *recipients(row, cell), **{k: v for k, v in row.message.items() if k != "to"})
        expected = row.expect(cell)
        assert_answered(found, line, expected)
        row.check(scene)
        await assert_healed(found, row, scene, expected)


async def met(row: Row, scene: Scene) -> None:
    """Bring the line to where the message meets the fault."""
    if scene.cell.pooled:
        await scene.line.warm()
        if row.opening:
            await scene.line.lose_kept()
    made = row.fault(scene)
    if made is not None:
        await made
    scene.line.mark()


def recipients(row: Row, cell: Cell) -> tuple[str, ...]:
    return (*row.message.get("to", (ANN,)), *cell.recipients[1:])


def assert_answered(found: Detail, line: MailLine, expected: Expect) -> None:
    assert [(r.state, r.reason, r.attempts) for r in found.recipients] == [OUTCOMES[o] for o in expected.outcomes], (
        found
    )
    assert line.breaker == expected.breaker
    assert (line.relay.facts().open == 1) == expected.kept, line.relay.facts().closes
    assert line.relay.facts().busy == 0
    assert line.taken == list(expected.taken)
    assert len(line.commands("RCPT")) == expected.rcpts
    for recipient, outcome in zip(found.recipients, expected.outcomes, strict=True):
        named = [recipient.address in message for message in line.taken]
        assert sum(named) == 1 or (outcome != "sent" and not any(named))
        if recipient.due_at is not None:
            assert recipient.due_at - recipient.changed_at >= WAITS.get(outcome, 0.0)
        assert recipient.last


async def assert_healed(found: Detail, row: Row, scene: Scene, expected: Expect) -> None:
    """With the fault gone everything that was put off arrives: once, and twice only where nobody could know."""
    line = scene.line
    await line.heal()
    row.heal(scene)
    put_off = [r.address for r in found.recipients if r.state is State.DEFERRED]
    if not put_off:
        return
    await asyncio.sleep(max(r.due_at or 0.0 for r in found.recipients) - now())
    await line.line.carried("m")
    again = (await line.line.find("m")).recipients
    assert {r.state for r in again if r.address in put_off} == {State.SENT}
    taken = Counter(address for message in line.taken for address in message)
    before = Counter(address for message in expected.taken for address in message)
    assert taken == before + Counter(put_off)
    assert len({message.data for message in line.server.messages if message.message_id == "<m@x.test>"}) == 1
