"""Postfix as a queueing relay: an instance of its own in a folder, submitted to over 20 connections."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from bench.line import Case, Line, Place
from bench.peers import tools
from bench.processes import answers, our_load, running, tree, wait_until
from tests.support.ports import free_port
from tests.support.postfix import configure

_SUBMITTING = 20
_TUNED = """
in_flow_delay = 0
default_process_limit = 200
initial_destination_concurrency = 50
default_destination_concurrency_limit = 100
smtp_connection_cache_destinations = 127.0.0.1
smtp_connection_cache_on_demand = yes
"""
"""A hundred deliveries at a time over kept connections, and no pause for those who submit."""
_SETTINGS = """
myhostname = postfix.bench.example
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{relay}
smtpd_tls_security_level = none
"""


@contextmanager
def _start(place: Place, *, tuned: bool) -> Iterator[Line]:
    root, port, log = tools.postfix(), free_port(), place.folder / "log"
    for folder in (place.folder, place.folder.parent):
        folder.chmod(0o755)
    settings = _SETTINGS.format(relay=place.sink) + (_TUNED if tuned else "")
    configuration = configure(root, place.folder, port, settings)
    environment = {
        "PATH": os.environ["PATH"], "MAIL_CONFIG": str(configuration), "LD_LIBRARY_PATH": f"{root}/usr/lib/postfix"
    }  # fmt: skip
    command = [f"{root}/usr/lib/postfix/sbin/master", "-c", str(configuration), "-d"]
    with running(command, log=log, environment=environment) as master:
        wait_until(lambda: answers(port), master, log)
        yield Line(
            lambda first, count: our_load("smtp_load", port, first, count, _SUBMITTING), lambda: tree(master.pid)
        )


def _case(key: str, title: str, *, tuned: bool, latency: float = 0.0, share: float = 0.6) -> Case:
    return Case(
        key, "peer", title, lambda place: _start(place, tuned=tuned), tools.whether(tools.postfix),
        latency=latency, share=share,
    )  # fmt: skip


def cases() -> list[Case]:
    """Postfix as it is installed, and tuned."""
    return [
        _case("postfix", "Postfix", tuned=False),
        _case("postfix-tuned", "Postfix, tuned", tuned=True),
        _case("postfix-tuned-20", "Postfix, tuned", tuned=True, latency=0.02, share=0.4),
    ]
