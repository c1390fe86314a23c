"""What a process has taken: memory, descriptors, threads, and the write-ahead log of its database, over time."""

from __future__ import annotations

import asyncio
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median

MIB = 1024 * 1024


@dataclass(frozen=True)
class Sample:
    """One look: bytes of memory, open descriptors, threads, bytes of the write-ahead log."""

    memory: float
    descriptors: float
    threads: float
    wal: float


class Gauges:
    """Looks at process `pid` every second."""

    def __init__(self, pid: int, database: Path) -> None:
        self._proc = Path(f"/proc/{pid}")
        self._wal = database.with_name(f"{database.name}-wal")
        self.samples: list[Sample] = []

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.samples.append(self.look())
            await asyncio.sleep(1.0)

    def look(self) -> Sample:
        """How it is now."""
        facts = dict(line.split(":", 1) for line in (self._proc / "status").read_text().splitlines())
        return Sample(
            memory=int(facts["VmRSS"].split()[0]) * 1024,
            descriptors=sum(1 for _ in (self._proc / "fd").iterdir()),
            threads=int(facts["Threads"]),
            wal=self._wal.stat().st_size if self._wal.exists() else 0,
        )

    def usual(self, start: int, end: int | None = None) -> Sample:
        """The median of each over the samples from `start` to `end`."""
        return Sample(*(median(values) for values in zip(*map(astuple, self.samples[start:end]), strict=True)))

    def growth(self, start: int, end: int) -> float:
        """By how much more memory the second half of the time took than the first."""
        middle = (start + end) // 2
        return self.usual(middle, end).memory - self.usual(start, middle).memory

    def most(self) -> Sample:
        """The most of each that was seen."""
        return Sample(*map(max, zip(*map(astuple, self.samples), strict=True)))
