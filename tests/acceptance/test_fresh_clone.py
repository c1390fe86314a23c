"""A stranger clones the repository and types one command: mail can be sent and read, and Ctrl-C leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.skips import need

ROOT = Path(__file__).parents[2]
FIRST = 180.0
AGAIN = 3.0
UNREACHABLE = ("No matching distribution", "Could not fetch", "connection broken", "NewConnectionError")
SEED = {"to": "ada@example.org", "subject": "Grüße & <b>hello</b>", "body": "First of all.", "request_id": "clone-1"}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is committed, in an empty folder."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: there is nothing to clone")
    folder = tmp_path / "emailhub"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A plain shell: the system's PATH with the Python we have, an empty home, how this machine reaches packages."""
    home = tmp_path / "home"
    home.mkdir()
    python = Path(sys.base_prefix) / "bin"
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return kept | {"HOME": str(home), "PATH": f"/usr/local/bin:/usr/bin:/bin:{python}"}


class Served:
    """`make serve` in a process group of its own, as a terminal starts it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=10, trust_env=False)
        self._log = folder.with_name("output")
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "serve", f"ARGS=--port {self.port}"],
                cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                start_new_session=True,
            )  # fmt: skip
        self._begun = time.monotonic()

    def output(self) -> str:
        return self._log.read_text("utf-8", "replace")

    def answers(self, seconds: float) -> float:
        """Wait until /health answers; after how many seconds it did."""
        while True:
            elapsed = time.monotonic() - self._begun
            with contextlib.suppress(httpx.TransportError):
                assert self.client.get("/health").json() == {"status": "ok", "service": "email_service"}
                return elapsed
            if self.process.poll() is not None and any(sign in self.output() for sign in UNREACHABLE):
                need("a package index", "connect this machine to one")
            assert self.process.poll() is None, self.output()
            assert elapsed < seconds, f"no answer in {seconds:.0f} s:\n{self.output()}"
            time.sleep(0.02)

    def delivered(self, request_id: str) -> None:
        for _ in range(500):
            if self.client.post("/status/", json={"request_id": request_id}).json()["status"] == "delivered":
                return
            time.sleep(0.02)
        raise AssertionError(f"{request_id} is not delivered:\n{self.output()}")

    def gone(self) -> bool:
        """Whether no process of the group is left."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, 0)
            return False
        return True


@contextmanager
def served(folder: Path, environment: dict[str, str]) -> Iterator[Served]:
    one = Served(folder, environment)
    try:
        yield one
    finally:
        one.client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.wait()


@pytest.mark.timeout(400)
def test_from_clone_to_a_readable_message_with_one_command(clone: Path, environment: dict[str, str]) -> None:
    with served(clone, environment) as hub:
        hub.answers(FIRST)
        answer = hub.client.post("/send_email/", json=SEED)
        assert answer.json() == {"success": True, "message": "Email queued for delivery"}
        hub.delivered("clone-1")
        (email,) = hub.client.get("/emails").json()["data"]
        assert (email["subject"], email["to"]) == (SEED["subject"], [SEED["to"]])
        assert hub.client.get(f"/emails/{email['id']}").json()["text"].strip() == SEED["body"]
        page = hub.client.get(f"/messages/{email['id']}").text
        assert "Grüße &amp; &lt;b&gt;hello&lt;/b&gt;" in page
        assert "First of all." in page
        # Ctrl-C reaches everything the terminal runs in the foreground.
        os.killpg(hub.process.pid, signal.SIGINT)
        hub.process.wait(30)
        assert hub.gone(), "a process was left behind"
        assert "Traceback" not in hub.output()

    def second() -> float:
        with served(clone, environment) as hub:
            elapsed = hub.answers(30)
            assert hub.client.get("/emails").json()["data"][0]["id"] == email["id"], "the message is still there"
            # A supervisor knows only the process it has started.
            hub.process.send_signal(signal.SIGTERM)
            hub.process.wait(30)
            assert hub.gone(), "a process was left behind"
            assert "stopped" in hub.output()
            return elapsed

    # A machine that is busy with something else may need another try.
    assert any(second() < AGAIN for _ in range(3))

    left = {path.name for path in Path(environment["HOME"]).iterdir()} - {".cache"}
    assert left == set(), "something was written into the home of whoever tries it"
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert changed.stdout == "", "running it made git see changes"
