"""Passwords hashed by argon2id, one at a time and never in the event loop."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from argon2 import Parameters, PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.profiles import RFC_9106_LOW_MEMORY

T = TypeVar("T")

NOBODYS: Final = "$argon2id$v=19$m=65536,t=3,p=4$4O2dAt9GVCsTrEl/LT4Rxw$Va5xlFHDkS70CuEZOq+vmO9NTH1S4XODRtMqWk9TWCE"
"""A hash like any other, of nobody's password: looked at for unknown names, so that they take as long as known ones."""


class Argon2:
    """See `engine.users.Hasher`. `parameters` are those of RFC 9106 §4 for little memory: 64 MiB, three passes.

    One hash at a time: log-ins that come in a flood wait for each other, and take neither memory nor both processors.
    """

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self._hasher = PasswordHasher.from_parameters(parameters)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """The hash to keep of `password`."""
        return await self._do(partial(self._hasher.hash, _bytes(password)))

    async def verify(self, hash: str | None, password: str) -> bool:
        """Whether `password` is the one `hash` was made of; None: False, after as long a time."""
        right = await self._do(partial(self._verify, hash or NOBODYS, _bytes(password)))
        return right and hash is not None

    def close(self) -> None:
        """End the thread; what waits for it is not done."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _do(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _verify(self, hash: str, password: bytes) -> bool:
        try:
            return self._hasher.verify(hash, password)
        except (VerificationError, InvalidHashError):
            return False


def _bytes(password: str) -> bytes:
    """As it is hashed: keyboards and systems write the same letter in different ways (RFC 8265 §4.2.2)."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
