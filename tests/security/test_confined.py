"""The hub needs nothing of what a container is asked to take away: it works as nobody in particular, on a read-only
root with one folder to write to, without any capability and without a way to new ones.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.hub import Hub
from tests.support.smtp_server import SmtpServer

pytestmark = pytest.mark.nightly

CONFINE = """
set -eu
data=$1 scratch=$2
shift 2
mount --bind "$data" "$data"
mount -t tmpfs tmpfs "$scratch"
awk '$4 ~ /^rw/ && $3 !~ /^(proc|sysfs|devpts|cgroup2?|mqueue)$/ { print $2 }' /proc/self/mounts | sort -ru |
while read -r place; do
    case $place in "$data" | "$scratch" | /dev | /dev/*) ;; *) mount -o remount,bind,ro "$place" ;; esac
done
cd "$data"
exec unshare --user --map-user=10001 --map-group=10001 --keep-caps \\
    setpriv --bounding-set=-all --inh-caps=-all --ambient-caps=-all --no-new-privs "$@"
"""


def confined(data: Path, scratch: Path) -> tuple[str, ...]:
    """What to put before a command so that it may write to `data` and `scratch`, in memory, and to nothing else."""
    return ("unshare", "--mount", "--propagation", "private", "sh", "-c", CONFINE, "sh", str(data), str(scratch))


@pytest.fixture
def under(tmp_path: Path) -> tuple[str, ...]:
    """The command; skipped, aloud, where nobody may confine a process like this."""
    scratch = tmp_path.parent / f"{tmp_path.name}-scratch"
    scratch.mkdir()
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("unshare and setpriv are needed: install util-linux")
    command = confined(tmp_path, scratch)
    tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        pytest.skip(f"this machine lets nobody mount and drop rights: {tried.stderr.strip()}")
    return command


def status_of(pid: int) -> str:
    """What the system says of the process."""
    return Path(f"/proc/{pid}/status").read_text()


def test_the_walls_hold(under: tuple[str, ...], tmp_path: Path) -> None:
    outside = f"/opt/outside /usr/outside {Path.home()}/outside"
    script = f"id -u; touch {tmp_path}/inside && echo wrote; touch {outside}; mount -t tmpfs x /mnt"
    done = subprocess.run([*under, "sh", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["10001", "wrote"]
    assert done.stderr.count("Read-only file system") == 3
    assert "mount" in done.stderr


async def test_the_hub_takes_makes_and_delivers_mail_with_no_right_at_all(
    under: tuple[str, ...], make_hub: Callable[..., Hub], smtp: SmtpServer, tmp_path: Path
) -> None:
    template = tmp_path / "templates" / "welcome"
    template.mkdir(parents=True)
    (template / "subject.txt").write_text("Welcome, {{ name }}")
    (template / "body.html").write_text("<p>Hello {{ name }}</p>")
    hub = make_hub(smtp, EMAILHUB_TEMPLATES=str(tmp_path / "templates"))
    hub.under = under
    await hub.start()
    assert hub.process is not None
    status = status_of(hub.process.pid)
    assert re.findall(r"^Cap(?:Inh|Prm|Eff|Bnd|Amb):\t(\w+)$", status, re.MULTILINE) == ["0" * 16] * 5
    assert "NoNewPrivs:\t1" in status
    await hub.send(text="Hi.")
    await hub.send(subject=None, text=None, template={"id": "welcome", "variables": {"name": "Ada"}})
    await hub.settled(2)
    assert len(smtp.messages) == 2
    await hub.kill9()
    await hub.start()
    await hub.settled(2)
    assert await hub.stop() == 0
    assert not [line for line in hub.log() if line["level"] == "error"]
