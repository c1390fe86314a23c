"""What the hub is made of: known holes are closed in every version allowed, and a release can be made again."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()


class Floor(NamedTuple):
    """The oldest version of a package without the hole that `advisory` names."""

    package: str
    version: str
    advisory: str
    hole: str


FLOORS = (
    Floor("aiosmtplib", "5.1.1", "GHSA-v3q9-hj7j-63hq", "commands in an address"),
    Floor("aiosmtplib", "5.1.2", "GHSA-vxj7-4xrp-5vr4", "replies told before STARTTLS count after it"),
    Floor("certifi", "2024.7.4", "CVE-2024-39689", "an authority nobody trusts any more"),
    Floor("cryptography", "44.0.1", "CVE-2024-12797", "a raw public key of a TLS server is not checked"),
    Floor("cryptography", "46.0.5", "CVE-2026-26007", "points outside the group of a curve"),
    Floor("h11", "0.16.0", "CVE-2025-43859", "requests smuggled in chunks"),
    Floor("httpx", "0.23.0", "CVE-2021-41945", "a URL that is read as another one"),
    Floor("idna", "3.7", "CVE-2024-3651", "quadratic time for a long label"),
    Floor("idna", "3.15", "CVE-2026-45409", "the same by other characters"),
    Floor("jinja2", "3.1.5", "CVE-2024-56326", "out of the sandbox by a stored format method"),
    Floor("jinja2", "3.1.6", "CVE-2025-27516", "out of the sandbox by |attr"),
    Floor("litestar", "2.8.3", "CVE-2024-32982", "files outside the static folder"),
    Floor("litestar", "2.20.0", "CVE-2026-25479", "a dot in a host stands for any character"),
    Floor("litestar", "2.22.0", "CVE-2026-48060", "a cookie's value unescaped in a page"),
    Floor("litestar", "2.22.0", "CVE-2026-48061", "X-Forwarded-Host instead of Host"),
    Floor("multipart", "1.3.1", "CVE-2026-28356", "exponential time for a header"),
    Floor("pydantic", "2.4.0", "CVE-2024-3772", "long time for an e-mail address"),
    Floor("python-dotenv", "1.2.2", "CVE-2026-28684", "a link followed when the file is written"),
    Floor("pyyaml", "5.4", "CVE-2020-14343", "code in a document"),
    Floor("uvicorn", "0.11.7", "CVE-2020-7695", "a line break in a header of an answer"),
)
"""Looked up by hand; a package that is not here may have holes that nobody has told of yet."""


def locked() -> dict[str, Version]:
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)
    return {canonicalize_name(name): Version(version) for name, version in found}


def asked_for() -> dict[str, Requirement]:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    return {canonicalize_name(one.name): one for one in map(Requirement, listed)}


def floor_ids(floor: Floor) -> str:
    return f"{floor.package}-{floor.advisory}"


@pytest.mark.parametrize("floor", FLOORS, ids=floor_ids)
def test_no_version_with_a_known_hole_is_locked(floor: Floor) -> None:
    assert locked()[floor.package] >= Version(floor.version), f"{floor.hole}; raise it and run: make lock"


@pytest.mark.parametrize("floor", tuple(floor for floor in FLOORS if floor.package in asked_for()), ids=floor_ids)
def test_no_version_with_a_known_hole_satisfies_what_we_ask_for(floor: Floor) -> None:
    lowest = [Version(one.version) for one in asked_for()[floor.package].specifier if one.operator == ">="]
    assert lowest
    assert min(lowest) >= Version(floor.version), f"{floor.hole}; raise it in pyproject.toml"


def digest_of_a_wheel(folder: Path, umask: int, at: float) -> str:
    """The hash of a wheel built in `folder` from a copy of the sources whose files are as old as `at`."""
    for name in ("emailhub", "templates", "static", "pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        source, target = ROOT / name, folder / "sources" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    for path in (folder / "sources").rglob("*"):
        path.chmod(0o777 & ~umask if path.is_dir() else 0o666 & ~umask)
        os.utime(path, (at, at))
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder / "dist"],
        cwd=folder / "sources",
        env={"PATH": os.environ["PATH"], "SOURCE_DATE_EPOCH": "1800000000"},
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "dist").glob("*.whl")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def test_the_same_sources_make_the_same_wheel_wherever_whenever_and_by_whomever(tmp_path: Path) -> None:
    one = digest_of_a_wheel(tmp_path / "here", 0o022, 1_000_000_000)
    other = digest_of_a_wheel(tmp_path / "deep" / "elsewhere", 0o077, 1_700_000_000)
    assert one == other


@pytest.mark.nightly
def test_the_bill_of_materials_names_all_that_is_locked_and_is_the_same_each_time() -> None:
    bills = []
    for _ in range(2):
        subprocess.run([ROOT / ".ci" / "sbom"], check=True, capture_output=True)
        bills.append((ROOT / "dist" / "emailhub.cdx.json").read_bytes())
    assert bills[0] == bills[1]
    bill = json.loads(bills[0])
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    parts = {canonicalize_name(one["name"]): one for one in bill["components"]}
    assert {name: Version(one["version"]) for name, one in parts.items()} == locked()
    for one in parts.values():
        assert one["purl"] == f"pkg:pypi/{one['name']}@{one['version']}"
        hashes = {found["content"] for place in one["externalReferences"] for found in place["hashes"]}
        assert hashes
        assert all(f"--hash=sha256:{found}" in LOCK for found in hashes)
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}
    assert set(needs) == {bill["metadata"]["component"]["purl"]} | {one["purl"] for one in parts.values()}
    assert len(needs[bill["metadata"]["component"]["purl"]]) >= len(asked_for())
    text = bills[0].decode()
    assert str(ROOT) not in text
