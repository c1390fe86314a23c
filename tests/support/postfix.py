"""An instance of Postfix in a folder of its own, for tests and measurements: nothing of this machine's is touched."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

_QUEUES = "active bounce corrupt defer deferred flush hold incoming private saved trace"
_MAIN = """
compatibility_level = 3.6
config_directory = {etc}
queue_directory = {queue}
data_directory = {data}
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {etc}
import_environment = LD_LIBRARY_PATH SASL_PATH MAIL_CONFIG MAIL_LOGTAG LANG=C
mail_owner = {user}
setgid_group = {group}
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtp_tls_security_level = none
alias_maps =
alias_database =
local_recipient_maps =
"""
_MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
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


def owner() -> tuple[str, str, int]:
    """A user and a group that are not root's: Postfix's own, or some of every system when it was only unpacked."""
    try:
        return "postfix", "postdrop", pwd.getpwnam("postfix").pw_uid
    except KeyError:
        return "news", "games", pwd.getpwnam("news").pw_uid


def configure(root: Path, folder: Path, port: int, settings: str) -> Path:
    """Make an instance of the Postfix in `root` that will listen on `port`; the folder of its configuration.

    `settings` are added to those every instance has. Needs root's rights.
    """
    user, group, uid = owner()
    etc, queue, data = (folder / name for name in ("etc", "queue", "data"))
    for made in (etc, queue, data, queue / "pid", queue / "public", queue / "maildrop"):
        made.mkdir(mode=0o755)
    for name in _QUEUES.split():
        (queue / name).mkdir(mode=0o700)
    for owned in (data, *(queue / name for name in (*_QUEUES.split(), "public", "maildrop"))):
        os.chown(owned, uid, -1)
    names = {"etc": etc, "queue": queue, "data": data, "root": root, "user": user, "group": group}
    (etc / "main.cf").write_text(_MAIN.format(**names) + settings)
    (etc / "master.cf").write_text(_MASTER.format(port=port))
    return etc
