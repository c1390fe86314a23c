"""A command run as a shell would run it, and a hub for it to talk to."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from emailhub.cli import cli
from tests.support.fake_hub import FakeHub, Run


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()
    yield fake
    fake.close()


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `emailhub` in an empty folder with only the settings given."""
    monkeypatch.chdir(tmp_path)

    def go(*arguments: str, stdin: str | None = None, **environ: str) -> Result:
        with monkeypatch.context() as patch:
            patch.setattr("os.environ", {"PATH": "/usr/bin:/bin", **environ})
            return CliRunner().invoke(cli, arguments, input=stdin, prog_name="emailhub")

    return go


@pytest.fixture
def nowhere() -> str:
    """A URL where nobody listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    url = f"http://127.0.0.1:{server.server_port}"
    server.server_close()
    return url
