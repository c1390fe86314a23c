"""The processes of a run: the hub, the sink and the load, each by itself so that the hub's CPU time is its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

_START_SECONDS = 60.0
_TICK = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[1]


class Sink:
    """A client of the sink's own commands."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._lines = self._socket.makefile("rb")
        self._lines.readline()

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
def sink(latency: float) -> Iterator[Sink]:
    """A sink that answers every turn `latency` seconds later."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sink", str(latency)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        client = Sink(int(process.stdout.readline()))
        yield client
        client.close()
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


class Hub:
    """A running hub."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.port = port
        self._process = process

    @property
    def cpu(self) -> float:
        """Seconds of CPU, user and system, of all its threads so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK

    @property
    def peak_memory(self) -> float:
        """Most resident memory so far, in MB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def says(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def wait_until(self, path: str, text: str) -> None:
        """Wait until the answer at `path` contains `text`."""
        end = time.monotonic() + _START_SECONDS
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"the hub ended with {self._process.returncode}")
            try:
                if text in self.says(path):
                    return
            except OSError:
                pass
            if time.monotonic() > end:
                raise TimeoutError(f"{path} does not say {text!r}")
            time.sleep(0.05)


@contextmanager
def hub(folder: Path, settings: dict[str, str]) -> Iterator[Hub]:
    """A hub on an empty outbox in `folder` that answers. Its log goes there too."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "EMAILHUB_PORT": str(port),
        "EMAILHUB_LOG_FORMAT": "json",
        "SMTP_HOST": "127.0.0.1",
        "EMAIL_FROM": "hub@bench.example",
    }
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "emailhub", "serve"],
            cwd=folder, env=environment | settings, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        one = Hub(process, port)
        one.wait_until("/health", "ok")
        if "RABBITMQ_URL" in settings:
            one.wait_until("/health/ready", "consuming")
        yield one
        process.terminate()
        if process.wait(60) != 0:
            raise RuntimeError(f"the hub ended with {process.returncode}, see {folder / 'log'}")
    finally:
        process.kill()
        process.wait()


def load(module: str, *arguments: object) -> dict[str, Any]:
    """Run a load generator to its end; what it measured. Raises CalledProcessError when it failed."""
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}", *map(str, arguments)],
        cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found
