"""A process whose clock of the wall a test sets while it runs; the steady clock goes on as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.skips import need

SOURCE = Path(__file__).with_suffix(".c")


class WallTime:
    """Sets the clock of every process started with `env`. Its files are in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._library, self._ahead = folder / "walltime.so", folder / "walltime"
        self._ahead.write_bytes(bytes(8))
        _build(self._library)

    def set(self, seconds: int) -> None:
        """So many seconds after (negative: before) the real time, from now on."""
        with self._ahead.open("r+b", buffering=0) as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

    @property
    def env(self) -> dict[str, str]:
        """What the process needs in its environment."""
        return {"LD_PRELOAD": str(self._library), "WALLTIME_AHEAD": str(self._ahead)}


def _build(library: Path) -> None:
    """Give up the test where there is no Linux or no C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux":
        need("Linux and a C compiler", "apt install gcc libc6-dev")
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True, timeout=60)
