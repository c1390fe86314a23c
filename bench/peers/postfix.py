"""Postfix as a queueing relay: an instance of its own in a folder, submitted to over 20 connections."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.line import Case, Line, Place
from bench.peers import tools
from bench.processes import answers, our_load, running, tree, wait_until
from tests.support.ports import free_port

_SUBMITTING = 20
_QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace"
_TUNED = """
in_flow_delay = 0
default_process_limit = 200
initial_destination_concurrency = 50
default_destination_concurrency_limit = 100
smtp_connection_cache_destinations = 127.0.0.1
smtp_connection_cache_on_demand = yes
"""
"""A hundred deliveries at a time over kept connections, and no pause for those who submit."""
_SERVICES = """
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""


def _owner() -> tuple[str, str, int]:
    """A user and a group that are not root's: Postfix's own, or some of every system when it was only unpacked."""
    try:
        return "postfix", "postdrop", pwd.getpwnam("postfix").pw_uid
    except KeyError:
        return "news", "games", pwd.getpwnam("news").pw_uid


def _configure(root: Path, folder: Path, port: int, relay: int, *, tuned: bool) -> Path:
    """Write an instance; the folder of its configuration."""
    user, group, uid = _owner()
    configuration, queue, data = (folder / name for name in ("etc", "queue", "data"))
    for made in (configuration, queue, data, queue / "pid", queue / "public", queue / "maildrop"):
        made.mkdir(mode=0o755)
    for name in _QUEUES.split():
        (queue / name).mkdir(mode=0o700)
    for owned in (data, *(queue / name for name in (*_QUEUES.split(), "public", "maildrop"))):
        os.chown(owned, uid, -1)
    settings = f"""
compatibility_level = 3.6
config_directory = {configuration}
queue_directory = {queue}
data_directory = {data}
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
meta_directory = {configuration}
shlib_directory = {root}/usr/lib/postfix
import_environment = LD_LIBRARY_PATH MAIL_CONFIG MAIL_LOGTAG LANG=C
mail_owner = {user}
setgid_group = {group}
myhostname = postfix.bench.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [127.0.0.1]:{relay}
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_tls_security_level = none
smtp_tls_security_level = none
alias_maps =
alias_database =
local_recipient_maps =
"""
    (configuration / "main.cf").write_text(settings + (_TUNED if tuned else ""))
    (configuration / "master.cf").write_text(_SERVICES.format(port=port))
    return configuration


@contextmanager
def _start(place: Place, *, tuned: bool) -> Iterator[Line]:
    root, port, log = tools.postfix(), free_port(), place.folder / "log"
    for folder in (place.folder, place.folder.parent):
        folder.chmod(0o755)
    configuration = _configure(root, place.folder, port, place.sink, tuned=tuned)
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
