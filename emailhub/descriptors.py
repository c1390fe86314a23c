"""How many files and connections the system lets the process have open, and how many of them callers may take.

Every descriptor that a stranger's connection holds is one that deliveries, the database and RabbitMQ cannot have.
"""

from __future__ import annotations

import resource

WANTED = 8192
OWN = 64
"""For all but callers and relays: the database and its readers, RabbitMQ, the renderer, the log. An idle hub has 25."""
_FEWEST = 16


def widen() -> None:
    """Have as many as allowed, up to `WANTED`: many systems begin with 1,024, and let everybody ask for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def for_callers(most: int, *, relays: int) -> int:
    """How many connections callers may have, at most `most`, beside `relays` to relays."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if soft == resource.RLIM_INFINITY else max(_FEWEST, min(most, soft - OWN - relays))
