"""The state diagram in docs/architecture.md is the transition table, no arrow more and none less."""

import re
from pathlib import Path

from emailhub.core.delivery import TRANSITIONS

PAGE = Path(__file__).parents[2] / "docs" / "architecture.md"


def drawn() -> set[tuple[str, str, str]]:
    block = PAGE.read_text("utf-8").split("<!-- transitions -->")[1].split("<!-- /transitions -->")[0]
    return set(re.findall(r"^\s+(\[\*\]|\w+) --> (\w+): (\w+)$", block, re.MULTILINE))


def allowed() -> set[tuple[str, str, str]]:
    return {
        (source, target.value, transition.verb.value)
        for transition in TRANSITIONS
        for source in ([state.value for state in transition.sources] or ["[*]"])
        for target in transition.targets
    }


def test_the_diagram_shows_exactly_the_allowed_transitions() -> None:
    assert drawn() == allowed()
