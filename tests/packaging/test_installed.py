"""What is handed out works by itself: the wheel in a fresh environment, the single file with nothing at all."""

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

ROOT = Path(__file__).parents[2]
_READY_SECONDS = 30.0
pytestmark = [pytest.mark.nightly, pytest.mark.timeout(900)]


@contextmanager
def _serving(command: Path, folder: Path) -> Iterator[httpx.Client]:
    """A client of `command serve`, started in the empty `folder` with an empty environment; it must stop cleanly."""
    port = free_port()
    log = folder.with_name("output")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [command, "serve", "--port", str(port)], cwd=folder, env={}, stdout=output, stderr=output
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            _wait_until_healthy(client, process, log)
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
        process.wait()


def _wait_until_healthy(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        try:
            assert client.get("/health").json() == {"status": "ok", "service": "email_service"}
            return
        except httpx.TransportError:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)


def _send_and_follow(client: httpx.Client) -> None:
    """Send a message as existing clients do: it is delivered, and the dashboard comes with its styles."""
    body = {"to": "ada@example.org", "subject": "Hello", "body": "From a package", "request_id": "package-1"}
    answer = client.post("/send_email/", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json() == {"success": True, "message": "Email queued for delivery"}
    _wait_until_delivered(client, "package-1")
    page = client.get("/", follow_redirects=True)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    for name in sorted(path.name for path in (ROOT / "static").iterdir() if path.suffix in {".css", ".js"}):
        if name in page.text:
            assert client.get(_address_of(name, page.text)).status_code == 200


def _address_of(name: str, html: str) -> str:
    quoted = next(part for part in html.split('"') if name in part)
    return quoted.replace("&amp;", "&")


def _wait_until_delivered(client: httpx.Client, request_id: str) -> None:
    deadline = time.monotonic() + 10
    while (status := client.post("/status/", json={"request_id": request_id}).json())["status"] != "delivered":
        assert time.monotonic() < deadline, status
        time.sleep(0.02)


def _make(*arguments: str) -> None:
    done = subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment far from the checkout that holds the wheel and what the lock names; its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    pip = [folder / "venv/bin/python", "-m", "pip", "-qq", "install"]
    subprocess.run([*pip, "--require-hashes", "-r", ROOT / "requirements.lock"], check=True, cwd=folder)
    subprocess.run([*pip, "--no-index", "--no-deps", wheel], check=True, cwd=folder)
    return folder / "venv"


def test_the_wheel_alone_serves(installed: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [installed / "bin/python", "-c", "import emailhub; print(emailhub.__file__)"],
        cwd=tmp_path, env={}, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    assert where.startswith(str(installed))
    folder = tmp_path / "empty"
    folder.mkdir()
    with _serving(installed / "bin/emailhub", folder) as client:
        _send_and_follow(client)


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The single executable, moved away from the checkout."""
    _make("binary")
    place = tmp_path_factory.mktemp("binary") / "emailhub"
    place.write_bytes((ROOT / "dist/emailhub").read_bytes())
    place.chmod(0o755)
    return place


def test_the_single_file_serves_from_an_empty_folder_with_an_empty_environment(binary: Path, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    with _serving(binary, folder) as client:
        _send_and_follow(client)
    assert (folder / "emailhub.db").exists()


def test_the_single_file_knows_its_version_and_explains_itself(binary: Path, tmp_path: Path) -> None:
    version = subprocess.run([binary, "--version"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert "0." in version.stdout
    shown = subprocess.run([binary, "--help"], cwd=tmp_path, env={}, capture_output=True, text=True, check=True)
    assert "serve" in shown.stdout
    assert os.access(binary, os.X_OK)
