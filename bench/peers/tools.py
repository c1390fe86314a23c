"""Where the peers' programs are: installed, named by a variable, or fetched into a cache by this module."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from bench.processes import ROOT

PYTHON_PACKAGES = (
    "celery==5.7.0", "kombu==5.7.0", "amqp==5.4.2", "dramatiq==2.2.1", "pika==1.4.4", "py-spy==0.4.2",
)  # fmt: skip
NODE_PACKAGES = ("bullmq@6.7.0", "ioredis@6.0.0", "nodemailer@10.6.0")
_VENV = ROOT / ".cache" / "bench" / "peers"
_NODE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "emailhub-bench" / "node"


class Missing(Exception):
    """A program is not here. The text says which, and what brings it."""


def whether(find: Callable[[], object]) -> Callable[[], str]:
    """What `find` lacks, "" when nothing."""

    def missing() -> str:
        try:
            find()
        except Missing as error:
            return str(error)
        return ""

    return missing


@functools.cache
def python() -> Path:
    """The Python of a virtual environment with the peers' packages, made when it is not there. Raises Missing."""
    stamp, wanted = _VENV / "packages", " ".join(PYTHON_PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        _run([sys.executable, "-m", "venv", "--clear", str(_VENV)])
        _run([str(_VENV / "bin" / "python"), "-m", "pip", "install", "-q", *PYTHON_PACKAGES])
        stamp.write_text(wanted)
    return _VENV / "bin" / "python"


def py_spy() -> Path:
    """The profiler, from the same environment. Raises Missing."""
    return python().with_name("py-spy")


@functools.cache
def node() -> tuple[Path, Path]:
    """The program node, and `node_modules` with the peers' packages, made when it is not there. Raises Missing."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise Missing("node and npm are not installed: apt install nodejs npm")
    stamp, wanted = _NODE / "packages", " ".join(NODE_PACKAGES)
    if not stamp.exists() or stamp.read_text() != wanted:
        _NODE.mkdir(parents=True, exist_ok=True)
        _run([npm, "install", "--prefix", str(_NODE), "--no-audit", "--no-fund", "--ignore-scripts", *NODE_PACKAGES])
        stamp.write_text(wanted)
    return Path(program), _NODE / "node_modules"


@functools.cache
def redis() -> Path:
    """The program redis-server: REDIS_SERVER, or the one on PATH. Raises Missing."""
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if not found or not Path(found).exists():
        raise Missing("Redis is not installed: apt install redis-server, or name it with REDIS_SERVER")
    return Path(found)


@functools.cache
def postfix() -> Path:
    """The folder that holds Postfix's usr/: POSTFIX_ROOT, where its package was unpacked, or /. Raises Missing."""
    root = Path(os.environ.get("POSTFIX_ROOT", "/"))
    if not (root / "usr/lib/postfix/sbin/master").exists():
        raise Missing("Postfix is not installed: apt install postfix, or name where it was unpacked in POSTFIX_ROOT")
    if os.geteuid() != 0:
        raise Missing("Postfix starts as root only")
    return root


def _run(command: list[str]) -> None:
    """Raises Missing with the end of what it said."""
    print(f"bench: {' '.join(command)}", file=sys.stderr, flush=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Missing(f"could not be installed: {(done.stderr or done.stdout).strip()[-300:]}")
