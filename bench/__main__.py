"""Measure emailhub beside its peers and print Markdown tables: `make bench`, or `python -m bench --help`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench import accepting, engine_lines, figures, hub, machine, tables
from bench.accepting import Accepting
from bench.figures import Figures
from bench.goals import goals
from bench.line import Case
from bench.measure import Run, measure
from bench.peers import bullmq, postfix, queues
from bench.rabbit import Rabbit

_STATES, _ACCEPTING = "states", "accepting"
"""What --only calls the figures that belong to no case."""


def cases() -> list[Case]:
    """All rows in the order they take turns: the peers of a ratio stand close together."""
    return [*hub.cases(), *postfix.cases(), *queues.cases(), *bullmq.cases(), *engine_lines.cases()]


def chosen(only: list[str], rabbit: Rabbit) -> Iterator[Case]:
    """The cases that were asked for and can run; says which cannot."""
    for case in cases():
        if only and not any(word.lower() in case.label.lower() for word in only):
            continue
        missing = rabbit.missing if case.rabbitmq and rabbit.missing else case.missing()
        if missing:
            print(f"without {case.label}: {missing}", file=sys.stderr, flush=True)
        else:
            yield case


def rounds(selected: list[Case], runs: int, count: int, rabbit: Rabbit, folder: Path) -> dict[Case, list[Run]]:
    """Every case in turn, so many times. A peer that fails is left out; when emailhub fails, so does the bench."""
    results: dict[Case, list[Run]] = {case: [] for case in selected}
    for number in range(runs):
        for case in list(results):
            try:
                run = measure(case, max(int(count * case.share), 1), rabbit, folder)
            except RuntimeError as error:
                if not case.peer:
                    raise
                print(f"without {error}", file=sys.stderr, flush=True)
                del results[case]
                continue
            results[case].append(run)
            print(f"{number + 1}/{runs} {tables.row(case, [run])}", file=sys.stderr, flush=True)
    return results


def report(facts: list[str], results: dict[Case, list[Run]], taken: Figures | None, accepted: list[Accepting]) -> str:
    parts = ["\n".join(f"- {fact}" for fact in facts)]
    if results:
        parts.append(tables.rates(results.items()))
    if taken is not None:
        parts.append(tables.states(taken))
    if accepted:
        parts.append(tables.accepting(accepted))
    parts.append(tables.goals(goals({case.key: runs for case, runs in results.items()}, taken, accepted)))
    return "\n\n".join(parts)


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="measurements of each case (3)")
    parser.add_argument("--count", type=int, default=5000, help="messages in each; slow peers are given a part (5000)")
    parser.add_argument(
        "--only", action="append", default=[],
        help="cases whose group or name contains this, such as hub, peer, engine, Postfix, '20 ms'; "
        f"{_STATES} for what the outbox holds, {_ACCEPTING} for what a request costs; may be given more than once",
    )  # fmt: skip
    parser.add_argument("--history", type=int, default=1_000_000, help="messages of the long history (1000000)")
    parser.add_argument("--waiting", type=int, default=100_000, help="messages of the long queue (100000)")
    parser.add_argument("--folder", type=Path, help="where the outboxes lie (the system's temporary folder)")
    return parser


def main() -> None:
    parser = _arguments()
    options = parser.parse_args()
    if not Path("/proc/self/stat").exists():
        parser.exit(69, "bench reads CPU time and memory from /proc, which only Linux has\n")
    rabbit = Rabbit()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        try:
            rabbit.start()
            facts = machine.facts(folder, rabbit.version)
            results = rounds(list(chosen(options.only, rabbit)), options.runs, options.count, rabbit, folder)
            accepted: list[Accepting] = []
            if not options.only or _ACCEPTING in options.only:
                accepted = accepting.take(options.runs, folder)
            taken = None
            if not options.only or _STATES in options.only:
                taken = figures.take(
                    options.runs, options.count,
                    history=options.history, waiting=options.waiting, rabbit=rabbit, folder=folder,
                )  # fmt: skip
        finally:
            rabbit.close()
    if not results and taken is None and not accepted:
        parser.exit(64, f"no case is called {options.only}\n")
    print(report(facts, results, taken, accepted))


if __name__ == "__main__":
    main()
