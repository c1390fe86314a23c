"""A service that is not on this machine: skip and say so last, or fail where it was promised (`CI=true`)."""

import os
from typing import NoReturn

import pytest

_MARK = "needs "


def need(service: str, command: str) -> NoReturn:
    """Give up the calling test or fixture for want of `service`; `command` is what brings it.

    Skips on a person's machine, fails when the environment says `CI=true`: there a test that did not run
    is a promise that was not kept.
    """
    reason = f"{_MARK}{service}; to run it: {command}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"CI=true and this test {reason}", pytrace=False)
    pytest.skip(reason)


def missing_services(skip_reasons: list[str]) -> dict[str, int]:
    """How many tests were skipped for each missing service, of all the `skip_reasons` of a run."""
    counts: dict[str, int] = {}
    for reason in skip_reasons:
        text = reason.removeprefix("Skipped: ")
        if text.startswith(_MARK):
            counts[text] = counts.get(text, 0) + 1
    return counts
