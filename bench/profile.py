"""Where a hub's time goes under load: `python -m bench.profile [--door amqp] [--latency 0.02] [--count 5000]`.

py-spy looks at the running hub two hundred times a second. A moment belongs to the innermost Python function, with the
compiled code it called; moments in which a thread only waits do not count. Prints two Markdown tables: shares by layer
of emailhub or by library, and the functions that take most.
"""

from __future__ import annotations

import argparse
import linecache
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from bench import hub
from bench.line import Case, Place
from bench.peers import tools
from bench.processes import ROOT, sink
from bench.rabbit import Rabbit

_RATE = 200
_FUNCTIONS = 25
_WARM_UP = 200
_FRAME = re.compile(r"(?P<function>.+) \((?P<file>[^()]+?)(?::(?P<line>\d+))?\)$")
_WAITING = re.compile(r"= \w+\.get\((block=True)?\)$|\b(sleep|wait)\(")
"""The line of a thread that waits for work or for its time, which py-spy cannot always tell from one that works."""


def record(case: Case, count: int, rabbit: Rabbit, folder: Path) -> list[str]:
    """py-spy's raw lines: a stack, outermost function first, and how often it was seen."""
    found = folder / "stacks"
    with sink(case.latency, chunking=case.chunking) as server:
        place = Place(server.port, folder, rabbit.url() if case.rabbitmq else "")
        with case.start(place) as line:
            line.send(0, _WARM_UP)
            server.wait_for(_WARM_UP, 60)
            server.reset()
            (pid,) = line.pids()
            command = [str(tools.py_spy()), "record", "--pid", str(pid), "--format", "raw", "--full-filenames"]
            spy = subprocess.Popen(
                [*command, "--rate", str(_RATE), "--duration", "unlimited", "--output", str(found)],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            line.send(_WARM_UP, count)
            server.wait_for(count, 30 + count / 20)
            spy.send_signal(2)
            spy.wait(60)
    return found.read_text().splitlines()


def innermost(line: str) -> tuple[str, str, int]:
    """The function, its file, and how often it was seen at work."""
    stack, _, seen = line.rpartition(" ")
    frame = _FRAME.match(stack.rpartition(";")[2])
    if frame is None:
        return stack, "", int(seen)
    waits = _WAITING.search(linecache.getline(frame["file"], int(frame["line"] or 0)).strip())
    return frame["function"], frame["file"], 0 if waits else int(seen)


def owner(file: str) -> str:
    """The layer of emailhub (`emailhub.engine`, `emailhub.adapters.smtp`), the library, or the standard library."""
    path = file.replace("\\", "/")
    if "/site-packages/" in path:
        return path.partition("/site-packages/")[2].partition("/")[0].removesuffix(".py")
    if path.startswith(f"{ROOT}/emailhub/"):
        parts = path.removeprefix(f"{ROOT}/").split("/")[:-1]
        return ".".join(parts[:3] if parts[1:2] == ["adapters"] else parts[:2])
    return "standard library" if path.endswith(".py") else path or "?"


def shares(title: str, counts: Counter[str], most: int) -> str:
    total = sum(counts.values())
    rows = [f"| {name} | {100 * seen / total:.1f} % |" for name, seen in counts.most_common(most)]
    return "\n".join([f"| {title} | share |", "|---|---|", *rows])


def report(lines: list[str]) -> str:
    layers: Counter[str] = Counter()
    functions: Counter[str] = Counter()
    for function, file, seen in map(innermost, lines):
        layers[owner(file)] += seen
        functions[f"{owner(file)} {Path(file).stem}.{function}"] += seen
    return f"{shares('layer or library', layers, 12)}\n\n{shares('function', functions, _FUNCTIONS)}"


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--door", choices=("http", "handoffs", "amqp"), default="http")
    parser.add_argument("--latency", type=float, default=0.0)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--count", type=int, default=5000)
    options = parser.parse_args()
    case = hub.case(
        options.door, options.door, latency=options.latency, connections=options.connections,
        amqp=options.door == "amqp", rabbitmq=options.door == "handoffs",
    )  # fmt: skip
    rabbit = Rabbit()
    try:
        tools.py_spy()
        if case.rabbitmq:
            rabbit.start()
        with tempfile.TemporaryDirectory() as name:
            print(report(record(case, options.count, rabbit, Path(name))))
    except tools.Missing as missing:
        sys.exit(str(missing))
    finally:
        rabbit.close()


if __name__ == "__main__":
    main()
