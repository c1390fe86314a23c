"""The process that renders. It answers on its pipe until that ends, and can reach nothing else.

The kernel ends it when one rendering takes too long (SIGPROF), refuses it memory, and gives it no file and no socket.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from emailhub.adapters.renderer import frames
from emailhub.adapters.renderer.bounds import Bounds
from emailhub.adapters.renderer.sandbox import Kitchen, ProblemError

_PAGE = resource.getpagesize()
_UNKNOWN_SIZE = 128 * 1024 * 1024


def main() -> None:
    """Answer requests until standard input ends. The last argument holds the bounds, as JSON."""
    bounds = Bounds(*json.loads(sys.argv[-1]))
    _warm_up()
    _lock_in(bounds)
    try:
        _serve(bounds)
    except MemoryError:
        # What is left of the memory is in pieces: the next template gets a fresh process.
        os._exit(frames.OUT_OF_MEMORY)
    except BaseException:  # noqa: BLE001 - also what the libraries raise that is no Exception
        os._exit(frames.FAILED)


def _serve(bounds: Bounds) -> None:
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    kitchens: dict[str, Kitchen] = {}
    answer: dict[str, Any] = {"ready": True}
    while True:
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(frames.pack(answer))
        answers.flush()
        request = frames.read(asked)
        if request is None:
            return
        signal.setitimer(signal.ITIMER_PROF, bounds.cpu)
        answer = _answer(request, kitchens, bounds)


def _answer(request: dict[str, Any], kitchens: dict[str, Kitchen], bounds: Bounds) -> dict[str, Any]:
    for digest in request["forget"]:
        kitchens.pop(digest, None)
    digest = request["digest"]
    try:
        if request["template"] is not None:
            kitchens[digest] = Kitchen(request["template"]["sources"], request["template"]["parts"])
        if request["values"] is None:
            return {"problems": kitchens[digest].check()}
        return {"made": kitchens[digest].render(request["values"], bounds.output)}
    except ProblemError as error:
        return {"problems": [error.problem]}


def _warm_up() -> None:
    """Use everything once: what is imported only when it is used could not be any more."""
    html = (
        "<style>p { color: red }</style>{% for x in items|sort %}{{ x|title|urlize }}{{ loop.index|string|center(9) }}"
        "{% endfor %}{{ items|tojson|indent|wordwrap|forceescape }}{{ items|pprint }}{{ '%s'|format(1) }}{{ x.y }}"
    )
    for source in (html, "{{ random }}", "{% if %}", "{% include 'x' %}", "{{ [1]|random }}{{ 1.5|round }}"):
        kitchen = Kitchen({"subject": source, "html": source, "text": None}, {})
        kitchen.check()
        with suppress(ProblemError):
            kitchen.render({"items": ["a", "http://x.test"]}, 1_000_000)


def _lock_in(bounds: Bounds) -> None:
    with suppress(OSError):
        # When the machine's memory is short, this process ends and not the hub.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    memory = _size() + bounds.memory
    for what, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, 0),
        (resource.RLIMIT_NPROC, 0),
    ):
        _limit(what, most)
    # When there is not enough of the processor for both, the hub goes first.
    os.nice(5)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    # Ctrl-C on a terminal reaches every process of the group; the hub decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _limit(what: int, most: int) -> None:
    try:
        resource.setrlimit(what, (most, most))
    except (OSError, ValueError):
        # Some systems know no such limit (macOS: address space); the others hold all the same.
        return


def _size() -> int:
    """Bytes of address space in use."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * _PAGE
    except OSError:
        return _UNKNOWN_SIZE
