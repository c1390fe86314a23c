"""What a load generator tells of its run, one line of JSON on its standard output."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Told:
    """A generator's run. Times in seconds, `begun` as unix time, `cpu` its own CPU time since then.

    `latencies` in the order of the answers; `sent` the unix time by number of the message; `wrong` counts refusals.
    """

    begun: float
    seconds: float
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)
    wrong: int = 0


def tell(run: dict[str, Any]) -> None:
    print(json.dumps(run), flush=True)


def heard(line: str) -> Told:
    """The run that a line tells. Raises ValueError or TypeError when it is none."""
    fields: dict[str, Any] = json.loads(line)
    fields["sent"] = {int(number): at for number, at in fields.get("sent", {}).items()}
    return Told(**fields)
