"""A hub started as a stranger would start it: any command, any folder, and the environment one says."""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

_LOADED = re.compile(r'(?:href|src)="([^"]+\.(?:css|js|svg))"')


@contextmanager
def serving(
    command: Sequence[str | Path], port: int, folder: Path, environment: Mapping[str, str], patience: float = 30.0
) -> Iterator[httpx.Client]:
    """A client of the hub that `command` serves on `port`, once it is healthy, for which it has `patience` seconds.

    The hub's output goes to `output` beside `folder` and into what fails. At the end the whole process group
    is gone, by Ctrl-C.
    """
    log = folder.with_name(f"{folder.name}.output")
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            _wait_until_healthy(client, process, log, patience)
            yield client
        os.killpg(process.pid, signal.SIGINT)
        process.wait(30)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def send_and_follow(client: httpx.Client) -> None:
    """Send a message as existing clients do: it is delivered, and the dashboard comes with its style and script."""
    body = {"to": "ada@example.org", "subject": "Hello", "body": "From a package", "request_id": "package-1"}
    answer = client.post("/send_email/", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "message": "Email queued for delivery"}
    _wait_until_delivered(client, "package-1")
    page = client.get("/", follow_redirects=True)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    addresses = _LOADED.findall(page.text)
    assert {address.rsplit(".", 1)[1] for address in addresses} == {"css", "js", "svg"}
    assert [client.get(address).status_code for address in addresses] == [200] * len(addresses)


def _wait_until_healthy(client: httpx.Client, process: subprocess.Popen[bytes], log: Path, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            assert client.get("/health").json() == {"status": "ok", "service": "email_service"}
            return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def _wait_until_delivered(client: httpx.Client, request_id: str) -> None:
    deadline = time.monotonic() + 10
    while (status := client.post("/status/", json={"request_id": request_id}).json())["status"] != "delivered":
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
