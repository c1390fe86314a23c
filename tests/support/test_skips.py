"""A missing service is a skip on a person's machine, a failure where the run promised everything, and said last."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import skips

ROOT = Path(__file__).parents[2]
_MODULE = """
from tests.support.skips import need

def test_first():
    need("a fortune teller", "apt install fortune")

def test_second():
    need("a fortune teller", "apt install fortune")
"""


def test_a_missing_service_skips_on_a_persons_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="needs RabbitMQ; to run it: apt install rabbitmq-server"):
        skips.need("RabbitMQ", "apt install rabbitmq-server")


def test_a_missing_service_fails_where_everything_was_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="needs RabbitMQ"):
        skips.need("RabbitMQ", "apt install rabbitmq-server")


def test_other_skips_are_no_missing_services() -> None:
    reasons = ["Skipped: needs Chromium; to run it: x", "Skipped: not on this system", "needs Chromium; to run it: x"]
    assert skips.missing_services(reasons) == {"needs Chromium; to run it: x": 2}


def test_what_did_not_run_is_listed_last_with_the_command(tmp_path: Path) -> None:
    module = tmp_path / "test_sample.py"
    module.write_text(_MODULE)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.conftest", "-p", "no:cacheprovider", module]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    assert lines[-2] == "2 tests: needs a fortune teller; to run it: apt install fortune"
    assert lines[-1].startswith("2 skipped")
