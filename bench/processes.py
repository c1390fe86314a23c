"""The processes of a run, each by itself so that its CPU time is its own: started, watched through /proc, and ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.told import Told, heard

_TICK = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS = 60.0
ROOT = Path(__file__).parents[1]


def tree(pid: int) -> list[int]:
    """`pid` and everything that descends from it and lives."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for children in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def name(pid: int) -> str:
    """What the kernel calls the program; "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def cpu(pids: list[int]) -> float:
    """Seconds of CPU, user and system, of all threads so far, with those of children that ended."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(map(int, fields[11:15]))
    return total / _TICK


def peak_memory(pids: list[int]) -> float:
    """The most resident memory each had so far, added up, in MB."""
    total = 0
    for pid in pids:
        try:
            status = Path(f"/proc/{pid}/status").read_text()
        except OSError:
            continue
        total += int(status.partition("VmHWM:")[2].split()[0])
    return total / 1024


@contextmanager
def running(
    command: list[str], *, log: Path, environment: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is told to end (SIGTERM), and then made to. Its output goes to `log`."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    family = tree(process.pid)
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        for pid in family:
            _kill(pid)
        process.wait()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_until(true: Callable[[], bool], process: subprocess.Popen[bytes], log: Path, seconds: float = 60.0) -> None:
    """Wait for `true`. Raises RuntimeError with the end of the log when the process ends or the time is over."""
    end = time.monotonic() + seconds
    while not true():
        if process.poll() is not None or time.monotonic() > end:
            said = log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{process.args!r} did not start, or ended with {process.returncode}:\n{said}")
        time.sleep(0.05)


def answers(port: int) -> bool:
    """Something listens on the port of 127.0.0.1."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


class Sink:
    """A client of the sink's own commands."""

    def __init__(self, port: int, pid: int = 0) -> None:
        self.port = port
        self.pid = pid
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lines = self._socket.makefile("rb")
        self._lines.readline()

    @property
    def cpu(self) -> float:
        return cpu([self.pid])

    def ask(self, command: str) -> bytes:
        self._socket.sendall(command.encode() + b"\r\n")
        return self._lines.readline()

    def reset(self) -> None:
        self.ask("XRESET")

    def report(self, *, whole: bool = False) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("XREPORT ALL" if whole else "XREPORT"))
        return found

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until `count` messages came. Raises TimeoutError, saying how many did."""
        end = time.monotonic() + seconds
        while (came := self.report()["count"]) < count:
            if time.monotonic() > end:
                raise TimeoutError(f"{came} of {count} messages arrived in {seconds:.0f} s")
            time.sleep(0.05)

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


@contextmanager
def sink(latency: float, *, chunking: bool = True) -> Iterator[Sink]:
    """A sink that answers every turn `latency` seconds later."""
    command = [sys.executable, "-m", "bench.sink", str(latency), *([] if chunking else ["--no-chunking"])]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        client = Sink(int(process.stdout.readline()), process.pid)
        yield client
        client.close()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def load(command: list[object], environment: Mapping[str, str] | None = None, given: str = "") -> Told:
    """Run a load generator to its end; what it measured. Raises CalledProcessError when it failed."""
    done = subprocess.run(
        [str(word) for word in command],
        cwd=ROOT, env=environment, check=True, input=given, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    return heard(done.stdout.strip().splitlines()[-1])


def our_load(module: str, *arguments: object) -> Told:
    """`load` of a module of this folder."""
    return load([sys.executable, "-m", f"bench.{module}", *arguments])
