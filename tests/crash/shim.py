"""Builds the library that breaks the disk under a process, and speaks to it from inside that process."""

from __future__ import annotations

import asyncio
import ctypes
import enum
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.skips import need

ROOT = Path(__file__).parents[2]
SOURCE = Path(__file__).with_name("shim.c")


class Fault(enum.IntEnum):
    """What the k-th change of the database meets; see shim.c."""

    NONE = 0
    DIE = 1
    EIO_ONCE = 2
    EIO_ALWAYS = 3
    ENOSPC_ONCE = 4
    ENOSPC_ALWAYS = 5


def build(folder: Path) -> Path:
    """The library, built in `folder`; gives up the test where there is no Linux or no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux":
        need("Linux and a C compiler", "apt install gcc libc6-dev")
    library = folder / "shim.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(command, check=True, timeout=60)
    return library


async def run(library: Path, module: str, *arguments: str) -> list[dict[str, Any]]:
    """What `module`, started with the library, prints: a line of JSON each. Fails with its errors."""
    env = {"PATH": os.environ["PATH"], "LD_PRELOAD": str(library)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *arguments,
        cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()[-4000:]
    print(err.decode()[-4000:])  # shown when the test fails
    return [json.loads(line) for line in out.splitlines()]


class Shim:
    """The library in this process, which was started with it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.shim_calls.restype = ctypes.c_long

    def arm(self, database: Path, fault: Fault, at: int) -> None:
        """From now on the `at`-th change of `database` meets `fault`."""
        self._library.shim_arm(os.fsencode(database), fault.value, ctypes.c_long(at))

    def note(self, database: Path, to: Path) -> None:
        """From now on every change of `database` is noted in `to`."""
        self._library.shim_note(os.fsencode(database), os.fsencode(to))

    def promise(self, text: str) -> None:
        """Note `text` between the changes before and after it."""
        self._library.shim_promise(text.encode())

    @property
    def calls(self) -> int:
        return int(self._library.shim_calls())
