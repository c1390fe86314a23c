"""What a process told the kernel, in order, as strace saw it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.support.skips import need

CALLS = "read,recvfrom,recvmsg,write,writev,sendto,sendmsg,pwrite64,fdatasync,fsync"
_LINE = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)")
_FILE = re.compile(r"\d+<([^>]*)>")


def strace(to: Path) -> tuple[str, ...]:
    """The command that traces another into the file `to`, and is not its parent. Gives up the test without strace."""
    found = shutil.which("strace")
    if found is None:
        need("strace", "apt install strace")
    if subprocess.run([found, "-o", "/dev/null", "true"], check=False, capture_output=True, timeout=30).returncode:
        need("the right to trace processes", "docker run --cap-add SYS_PTRACE, or sysctl kernel.yama.ptrace_scope=1")
    return (found, "-D", "-f", "-yy", "-s", "5000", "-e", f"trace={CALLS}", "-e", "signal=none", "-o", str(to))


class Call(NamedTuple):
    """A system call that began at line `began` of the trace and was over at line `over`. `file` as strace names it."""

    name: str
    file: str
    text: str
    began: int
    over: int


def calls(trace: str) -> list[Call]:
    """The calls in the order they ended; one that another thread interrupted has a beginning before that."""
    found, open_calls = [], dict[str, tuple[int, str]]()
    for number, line in enumerate(trace.splitlines()):
        parts = _LINE.match(line)
        if parts is None:
            continue
        pid, name, how, rest = parts.groups()
        if how == "(" and rest.endswith("<unfinished ...>"):
            open_calls[pid] = number, rest
            continue
        began, before = (number, "") if how == "(" else open_calls.pop(pid, (number, ""))
        text = before + rest
        file = _FILE.match(text)
        found.append(Call(name, file[1] if file else "", text, began, number))
    return found
