"""Three records of the same mail, each kept by somebody else, and what they say together.

`Asked` is what clients know: what they asked for and what they were promised. `Copy` is what the receiving server
knows. `Told` is what the hub's API says once nothing waits any more. Every recipient address belongs to one message.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple


class Promise(NamedTuple):
    """A success a client saw: HTTP 2xx, or the broker's confirm. `id` is "" where the answer names none."""

    id: str = ""
    not_before: float = 0.0


@dataclass
class Asked:
    """What clients asked for, by recipient address, and what became of it in their eyes."""

    asked: set[str] = field(default_factory=set)
    promised: dict[str, Promise] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    """Addresses whose suppression was confirmed before any message to them was asked for."""
    refused: list[str] = field(default_factory=list)
    """Answers no client should have got."""


class Copy(NamedTuple):
    """A message the server took for one recipient. `answered`: with a 250; `quit`: its connection ended in order."""

    address: str
    id: str
    at: float
    answered: bool
    quit: bool
    digest: bytes


class Told(NamedTuple):
    """What the API says of one recipient at the end; `unknown`: attempts it calls unknown."""

    address: str
    id: str
    state: str
    unknown: int = 0
    on_unknown: str = "retry"


@dataclass
class Verdict:
    """Addresses by what is wrong with them; `duplicates` is no fault, as long as none is `unexplained`."""

    accepted: int = 0
    lost: set[str] = field(default_factory=set)
    unexpected: set[str] = field(default_factory=set)
    phantom: set[str] = field(default_factory=set)
    unfinished: set[str] = field(default_factory=set)
    accepted_twice: set[str] = field(default_factory=set)
    changed: set[str] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    unexplained: set[str] = field(default_factory=set)
    duplicates: int = 0

    def faults(self) -> dict[str, list[str]]:
        """What must be empty and is not, a few addresses of each."""
        found = {name: value for name, value in vars(self).items() if isinstance(value, set)}
        return {name: sorted(value)[:5] for name, value in found.items() if value}

    def sentence(self, kills: int) -> str:
        window = "all" if not self.unexplained else "not all"
        return (
            f"{self.accepted} accepted, {kills} kills, {len(self.lost)} lost, {self.duplicates} duplicates, "
            f"{window} inside the final-reply window"
        )


FATES = {"retry": set(), "hold": {"held"}, "fail": {"failed"}}
"""Where a recipient may end beside `sent` after an unknown outcome, by what its sender chose."""
IN_A_ROW = 3
"""Unknown outcomes in a row after which a human is asked, whatever the sender chose."""


def judge(asked: Asked, copies: Sequence[Copy], told: Iterable[Told]) -> Verdict:
    """What the three records say together."""
    verdict = Verdict(accepted=len(asked.promised))
    by_address: dict[str, list[Told]] = defaultdict(list)
    for one in told:
        by_address[one.address].append(one)
    taken: dict[str, list[Copy]] = defaultdict(list)
    for copy in sorted(copies, key=lambda copy: copy.at):
        taken[copy.address].append(copy)
    verdict.accepted_twice = {address for address, ones in by_address.items() if len(ones) > 1}
    verdict.unexpected = set(by_address) - asked.asked
    for address, promise in asked.promised.items():
        _judge_promise(verdict, address, promise, by_address[address])
    for ones in list(by_address.values()):
        for one in ones:
            _judge_end(verdict, asked, one, taken[one.address])
    for address, ones in taken.items():
        if ones:
            _judge_copies(verdict, asked, address, ones, by_address[address])
    return verdict


def _judge_promise(verdict: Verdict, address: str, promise: Promise, told: list[Told]) -> None:
    if not told or (promise.id and promise.id not in {one.id for one in told}):
        verdict.lost.add(address)


def _judge_end(verdict: Verdict, asked: Asked, one: Told, copies: list[Copy]) -> None:
    if one.address in asked.listed:
        if one.state != "suppressed":
            verdict.unexpected.add(one.address)
    elif one.state == "sent":
        if not any(copy.answered for copy in copies):
            verdict.phantom.add(one.address)
    elif not (
        (one.state in FATES[one.on_unknown] and one.unknown) or (one.state == "held" and one.unknown >= IN_A_ROW)
    ):
        verdict.unfinished.add(one.address)


def _judge_copies(verdict: Verdict, asked: Asked, address: str, copies: list[Copy], told: list[Told]) -> None:
    if address not in asked.asked or address in asked.listed or {copy.id for copy in copies} - {one.id for one in told}:
        verdict.unexpected.add(address)
    if len({copy.digest for copy in copies}) > 1:
        verdict.changed.add(address)
    promise = asked.promised.get(address)
    if promise and copies[0].at < promise.not_before:
        verdict.early.add(address)
    again = copies[:-1]
    verdict.duplicates += len(again)
    # Whoever says QUIT has read every reply: what came over such a connection must not come again.
    if len(again) > sum(one.unknown for one in told) or any(copy.quit for copy in again):
        verdict.unexplained.add(address)
