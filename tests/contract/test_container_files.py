"""The container files keep the hub closed, unprivileged and stoppable, and ask for every secret they need."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from emailhub.settings.catalog import by_variable

ROOT = Path(__file__).parents[2]
_DEMANDED = re.compile(r"\$\{(\w+):\?")
_SUBSTITUTED = re.compile(r"\$\{(\w+)")
_NOT_SETTINGS = {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


def _instructions() -> list[tuple[str, str]]:
    """(INSTRUCTION, arguments) of the Containerfile in order, continued lines joined, comments dropped."""
    lines = [line for line in (ROOT / "Containerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    pairs = (line.split(maxsplit=1) for line in joined.splitlines() if line.strip())
    return [(instruction.upper(), arguments) for instruction, arguments in pairs]


def _final_stage() -> list[tuple[str, str]]:
    instructions = _instructions()
    last = max(place for place, (name, _) in enumerate(instructions) if name == "FROM")
    return instructions[last:]


def _last(name: str) -> str:
    return [arguments for instruction, arguments in _final_stage() if instruction == name][-1]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return loaded


def _example_names() -> set[str]:
    lines = (ROOT / ".env.example").read_text().splitlines()
    return {line.split("=", 1)[0] for line in lines if line and not line.startswith("#")}


def test_the_base_image_can_be_replaced() -> None:
    name, default = _instructions()[0]
    assert name == "ARG"
    assert default.startswith("BASE=docker.io/library/python:3.")
    assert {arguments.split()[0] for name, arguments in _instructions() if name == "FROM"} == {"${BASE}"}


def test_the_image_runs_as_a_numbered_user_without_rights() -> None:
    user, group = _last("USER").split(":")
    assert int(user) > 1000
    assert int(group) > 1000


def test_commands_are_started_without_a_shell_so_that_signals_arrive() -> None:
    assert json.loads(_last("ENTRYPOINT")) == ["emailhub"]
    assert json.loads(_last("CMD")) == ["serve"]
    assert _last("STOPSIGNAL") == "SIGTERM"


def test_the_image_reports_its_health_by_the_health_command() -> None:
    assert json.loads(_last("HEALTHCHECK").split("CMD", 1)[1]) == ["emailhub", "health"]


def test_the_image_keeps_its_outbox_in_the_volume() -> None:
    environment = dict(item.split("=", 1) for item in shlex.split(_last("ENV")))
    assert environment["EMAILHUB_DATABASE"].startswith(_last("VOLUME") + "/")
    assert environment["EMAILHUB_HOST"] == "0.0.0.0"


def test_every_variable_of_the_image_is_a_setting() -> None:
    names = {item.split("=", 1)[0] for name, line in _final_stage() if name == "ENV" for item in shlex.split(line)}
    assert names - _NOT_SETTINGS <= by_variable().keys()


def test_packages_are_installed_by_hash_only() -> None:
    installs = [
        line.strip()
        for name, arguments in _instructions()
        if name == "RUN"
        for line in arguments.split("&&")
        if "pip install" in line
    ]
    assert installs
    assert all("--require-hashes" in line or "--no-index --no-deps" in line for line in installs)


def test_only_what_the_image_is_made_of_reaches_the_builder() -> None:
    first, *rest = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    allowed = {line[1:] for line in rest if line.startswith("!")}
    copied = {
        source
        for name, arguments in _instructions()
        if name == "COPY" and not arguments.startswith("--from")
        for source in arguments.split()[:-1]
    }
    assert first == "*"
    assert allowed == copied


def test_every_port_is_published_on_loopback_only(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert [port for port in ports if not str(port).startswith("127.0.0.1:")] == []


def test_no_service_has_rights_it_could_lose(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert not service.get("privileged"), name
        assert service["cap_drop"] == ["ALL"], name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert {"network_mode", "pid", "devices"}.isdisjoint(service), name


def test_the_hub_runs_on_a_read_only_root(compose: dict[str, Any]) -> None:
    hub = compose["services"]["emailhub"]
    assert hub["read_only"] is True
    assert hub["tmpfs"] == ["/tmp"]
    assert "cap_add" not in hub
    assert hub["volumes"] == ["outbox:/data"]


def test_the_hub_is_given_longer_to_stop_than_it_takes(compose: dict[str, Any]) -> None:
    grace = by_variable()["EMAILHUB_SHUTDOWN_GRACE"].default
    assert int(compose["services"]["emailhub"]["stop_grace_period"].removesuffix("s")) > grace + 10


def test_every_service_says_whether_it_is_well(compose: dict[str, Any]) -> None:
    assert all(service["healthcheck"]["test"][0] == "CMD" for service in compose["services"].values())
    assert compose["services"]["emailhub"]["healthcheck"]["test"] == ["CMD", "emailhub", "health"]


def test_images_of_others_are_pinned_to_a_major_version(compose: dict[str, Any]) -> None:
    images = [service["image"] for service in compose["services"].values() if "build" not in service]
    assert images
    assert all(re.search(r":\d", image) for image in images)


def test_credentials_are_demanded_and_never_written_down(compose: dict[str, Any]) -> None:
    demanded = set(_DEMANDED.findall((ROOT / "compose.yaml").read_text()))
    assert {"EMAILHUB_ADMIN_PASSWORD", "EMAILHUB_API_KEYS", "RABBITMQ_PASSWORD"} <= demanded
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if re.search(r"PASS|KEY|URL", name):
                assert "${" in value, name


def test_every_variable_compose_asks_for_is_in_the_example() -> None:
    assert set(_SUBSTITUTED.findall((ROOT / "compose.yaml").read_text())) <= _example_names()


def test_every_variable_the_hub_is_given_is_a_setting(compose: dict[str, Any]) -> None:
    assert compose["services"]["emailhub"]["environment"].keys() <= by_variable().keys()


def test_the_example_names_settings_only_and_holds_no_secret() -> None:
    assert _example_names() - {"RABBITMQ_PASSWORD"} <= by_variable().keys()
    for line in (ROOT / ".env.example").read_text().splitlines():
        if re.match(r"\w*(PASS|KEY|URL)\w*=", line):
            assert line.endswith("="), line
