"""Passwords hashed by argon2id: with the parameters of RFC 9106, one at a time, beside the event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from argon2 import Parameters, extract_parameters
from argon2.low_level import Type
from argon2.profiles import CHEAPEST, RFC_9106_LOW_MEMORY

from emailhub.adapters.passwords import NOBODYS, Argon2


@pytest.fixture
def cheap() -> Iterator[Argon2]:
    hasher = Argon2(CHEAPEST)
    yield hasher
    hasher.close()


async def test_only_the_password_itself_is_right(cheap: Argon2) -> None:
    hash = await cheap.hash("correct horse")
    assert hash.startswith("$argon2id$")
    assert await cheap.verify(hash, "correct horse")
    for wrong in ("", "Correct horse", "correct horse "):
        assert not await cheap.verify(hash, wrong)


async def test_the_same_password_never_has_the_same_hash(cheap: Argon2) -> None:
    assert await cheap.hash("correct horse") != await cheap.hash("correct horse")


async def test_a_letter_is_the_same_however_the_keyboard_writes_it(cheap: Argon2) -> None:
    assert await cheap.verify(await cheap.hash("caf\u00e9 au lait"), "cafe\u0301 au lait")


@pytest.mark.parametrize("hash", ("", "$argon2id$", "plain", "$argon2id$v=19$m=8,t=1,p=1$AAAA$"))
async def test_what_is_no_hash_lets_nobody_in(cheap: Argon2, hash: str) -> None:
    assert not await cheap.verify(hash, "")


async def test_nobodys_password_is_looked_at_like_any_other_and_never_right() -> None:
    hasher = Argon2()
    try:
        assert extract_parameters(NOBODYS) == extract_parameters(await hasher.hash("somebody's")) == RFC_9106_LOW_MEMORY
        # The very text it was made of opens nothing either.
        assert not await hasher.verify(None, "a")
    finally:
        hasher.close()


async def test_a_name_nobody_has_costs_as_much_as_one_somebody_has(cheap: Argon2) -> None:
    looked_at: list[str] = []

    class Right:
        def verify(self, hash: str, _: bytes) -> bool:
            looked_at.append(hash)
            return True

    cheap._hasher = Right()
    assert not await cheap.verify(None, "x")
    assert await cheap.verify("somebody's", "x")
    assert looked_at == [NOBODYS, "somebody's"]


def test_the_parameters_are_those_of_the_rfc_for_little_memory() -> None:
    assert Parameters(Type.ID, 19, 16, 32, 3, 64 * 1024, 4) == RFC_9106_LOW_MEMORY


async def test_hashing_is_done_beside_the_loop_and_one_at_a_time(cheap: Argon2) -> None:
    free, inside, most = threading.Event(), [0], [0]

    class Slow:
        def hash(self, _: bytes) -> str:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            free.wait(5)
            inside[0] -= 1
            return "done"

    cheap._hasher = Slow()
    work = asyncio.gather(*(cheap.hash("x") for _ in range(3)))
    await asyncio.sleep(0)  # the loop goes on meanwhile
    free.set()
    assert await work == ["done"] * 3
    assert most == [1]
