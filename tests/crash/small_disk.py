"""A disk of a few megabytes, filled and emptied at will."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.skips import need

MIB = 2**20


class SmallDisk:
    """A file system in memory at `path`, with a file `ballast` that takes what is asked of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._ballast = path / "ballast"

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize

    def leave(self, free: int) -> None:
        """Let the ballast take all but `free` bytes."""
        size = self._ballast.stat().st_size if self._ballast.exists() else 0
        size += self.free - free
        with self._ballast.open("ab") as file:
            if size < file.tell():
                file.truncate(max(size, 0))
            else:
                with contextlib.suppress(OSError):  # filled by others meanwhile: then it is full
                    os.posix_fallocate(file.fileno(), 0, size)

    def fill(self) -> None:
        """Take the last byte."""
        while self.free:
            self.leave(0)

    def relieve(self) -> None:
        """Give back what the ballast took."""
        self._ballast.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path, size: int) -> Iterator[SmallDisk]:
    """A disk of `size` bytes mounted at `path`; gives up the test where nobody may mount one."""
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(path)]
    before = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("mount") is None or subprocess.run([*before, *mount], capture_output=True, check=False).returncode:
        need("the right to mount a tmpfs", "run it as root on Linux")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run([*before, "umount", "-l", str(path)], check=True, timeout=30)
