"""Real mail servers, each in a folder of its own: smtp-sink, a Postfix with STARTTLS and logins, an Exim."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.postfix import configure, owner
from tests.support.skips import need

UNPACKED = Path(__file__).parents[2] / ".cache/mtas"
USER, PASSWORD = "hub@x.test", "s3cret"
"""The login that Postfix takes; it owns the sender me@x.test."""
LIMIT = 3
"""Recipients that Postfix takes in one transaction."""
SIZE = 50_000
"""Bytes of the largest message that Postfix takes."""
_SASL = ("/usr/lib/x86_64-linux-gnu/sasl2", "/usr/lib/aarch64-linux-gnu/sasl2", "/usr/lib/sasl2")


def unpacked_postfix() -> Path:
    """The folder that holds Postfix's usr/, or the test is given up."""
    roots = (Path(os.environ.get("POSTFIX_ROOT", "/")), UNPACKED / "postfix")
    found = next((root for root in roots if (root / "usr/lib/postfix/sbin/master").exists()), None)
    return found or need("Postfix", ".ci/mtas")


def unpacked_exim() -> Path:
    """The folder that holds Exim's usr/, or the test is given up."""
    found = UNPACKED / "exim"
    return found if (found / "usr/sbin/exim4").exists() else need("Exim", ".ci/mtas")


def _as_root() -> None:
    if os.geteuid() != 0:
        need("root, as mail servers do", "sudo make nightly")


def _libraries(root: Path) -> str:
    found = [root / "usr/lib/postfix", *(root / "usr/lib").glob("*-linux-gnu*"), *(root / "lib").glob("*-linux-gnu*")]
    return ":".join(map(str, found))


@asynccontextmanager
async def _running(command: list[str], environment: dict[str, str], port: int, log: Path) -> AsyncIterator[None]:
    """The program, from when `port` answers until it is ended."""
    with log.open("wb") as out:
        program = await asyncio.create_subprocess_exec(
            *command, env={"PATH": os.environ["PATH"], **environment}, stdout=out, stderr=out, stdin=subprocess.DEVNULL
        )
    try:
        await _until(lambda: _answers(port) or program.returncode is not None)
        assert program.returncode is None, f"{command[0]} ended at once: {_told(log)}"
        yield
    finally:
        await _ended(program)


async def _ended(program: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        program.terminate()
        await asyncio.wait_for(program.wait(), 10.0)
    with contextlib.suppress(ProcessLookupError):
        program.kill()
    await program.wait()


def _told(log: Path) -> str:
    return log.read_text(errors="replace")[-1000:]


async def _until(true: Callable[[], bool], timeout: float = 20.0) -> None:
    async with asyncio.timeout(timeout):
        while not true():  # noqa: ASYNC110 - another process tells nobody
            await asyncio.sleep(0.02)


def _answers(port: int) -> bool:
    """Whether somebody listens, found without connecting: a connection would meet the fault meant for the test."""
    listening = f":{port:04X} "
    return any(
        line.split()[1].endswith(listening.strip()) and line.split()[3] == "0A"
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    )


@contextlib.contextmanager
def reachable_folder() -> Iterator[Path]:
    """A folder that a server without our rights can reach; pytest closes its own to all others whenever one starts."""
    with tempfile.TemporaryDirectory(prefix="emailhub-mta-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


class Sink:
    """A running smtp-sink: its `port`, and the messages it took."""

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self._folder = folder

    def taken(self) -> list[str]:
        """Each message as it is in its file, the envelope in X- headers."""
        return [file.read_text() for file in sorted(self._folder.iterdir())]


@asynccontextmanager
async def smtp_sink(folder: Path, *flags: str) -> AsyncIterator[Sink]:
    """smtp-sink with its fault `flags`."""
    root, port = unpacked_postfix(), free_port()
    program = shutil.which("smtp-sink") or str(root / "usr/sbin/smtp-sink")
    took = folder / "took"
    took.mkdir()
    took.chmod(0o777)
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    command = [program, *user, *flags, "-d", f"{took}/%H%M.", f"127.0.0.1:{port}", "100"]
    async with _running(command, {"LD_LIBRARY_PATH": _libraries(root)}, port, folder / "log"):
        yield Sink(port, took)


_SETTINGS = """
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
myhostname = postfix.x.test
mynetworks =
default_transport = smtp:[127.0.0.1]:{onward}
message_size_limit = {size}
smtpd_recipient_limit = {limit}
smtpd_recipient_overshoot_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_soft_error_limit = 1000
smtpd_junk_command_limit = 1000
smtpd_tls_security_level = may
smtpd_tls_chain_files = {chain}
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = cyrus
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {folder}/etc/sasl
smtpd_sasl_local_domain = x.test
smtpd_sender_login_maps = texthash:{folder}/etc/senders
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = check_recipient_access texthash:{folder}/etc/access, permit
header_checks = regexp:{folder}/etc/content
smtpd_reject_footer =
"""


@asynccontextmanager
async def postfix(folder: Path, onward: int, chain: Path) -> AsyncIterator[int]:
    """The port of a Postfix that offers STARTTLS with the certificate in `chain` and carries onward to port `onward`.

    It refuses refused@x.test, puts off later@x.test, takes mail only from USER, who may send as me@x.test.
    """
    root = unpacked_postfix()
    _as_root()
    port = free_port()
    settings = _SETTINGS.format(folder=folder, onward=onward, chain=chain, size=SIZE, limit=LIMIT)
    etc = configure(root, folder, port, settings)
    (etc / "sasl").mkdir(mode=0o755)
    (etc / "senders").write_text(f"me@x.test {USER}\nother@x.test nobody@x.test\n")
    (etc / "content").write_text("/^Subject: spam/ REJECT 5.7.1 not this content\n")
    (etc / "access").write_text("refused@x.test 550 5.1.1 no such user here\nlater@x.test 450 4.2.1 mailbox busy\n")
    environment = {"LD_LIBRARY_PATH": _libraries(root), "MAIL_CONFIG": str(etc), "SASL_PATH": _plugins(root)}
    _make_login(root, etc, environment, owner()[2])
    command = [f"{root}/usr/lib/postfix/sbin/master", "-c", str(etc), "-d"]
    async with _running(command, environment, port, folder / "log"):
        yield port


def _plugins(root: Path) -> str:
    return ":".join(dict.fromkeys(path for base in ("", str(root).rstrip("/")) for path in (base + s for s in _SASL)))


def _make_login(root: Path, etc: Path, environment: dict[str, str], uid: int) -> None:
    database = etc / "sasl" / "sasldb"
    program = shutil.which("saslpasswd2") or str(root / "usr/sbin/saslpasswd2")
    subprocess.run(
        [program, "-p", "-c", "-f", str(database), "-u", "x.test", USER.partition("@")[0]],
        input=PASSWORD.encode(), env={"PATH": os.environ["PATH"], **environment}, check=True, capture_output=True,
    )  # fmt: skip
    os.chown(database, uid, -1)
    (etc / "sasl" / "smtpd.conf").write_text(
        f"pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\nsasldb_path: {database}\n"
    )


_EXIM = """
primary_hostname = exim.x.test
exim_path = {program}
spool_directory = {folder}/spool
log_file_path = {folder}/log/%s
pid_file_path = {folder}/exim.pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
chunking_advertise_hosts = *
pipelining_advertise_hosts = *
acl_smtp_rcpt = rcpt
acl_smtp_data = data
acl_not_smtp =
deliver_drop_privilege = true
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
smtp_accept_max_per_connection = 0
recipients_max = 3
recipients_max_reject = false
message_size_limit = {size}
host_lookup =
rfc1413_hosts =
never_users =
timezone = UTC
keep_environment = LD_LIBRARY_PATH : LD_PRELOAD : ^NSS_WRAPPER
begin acl
rcpt:
  deny local_parts = refused
       message = 550 5.1.1 no such user here
  defer local_parts = later
       message = 450 4.2.1 mailbox busy
  accept
data:
  deny condition = ${{if match{{$message_body}}{{not this content}}}}
       message = 554 5.7.1 not this content
  accept
begin routers
all:
  driver = manualroute
  route_list = * 127.0.0.1
  transport = out
  self = send
begin transports
out:
  driver = smtp
  port = {onward}
  allow_localhost
begin retry
* * F,2h,1s
"""


@asynccontextmanager
async def exim(folder: Path, onward: int) -> AsyncIterator[int]:
    """The port of an Exim that offers PIPELINING and CHUNKING and carries onward to port `onward`.

    It refuses refused@x.test, puts off later@x.test, and refuses a body that says "not this content".
    """
    root = unpacked_exim()
    _as_root()
    port = free_port()
    for made in (folder / "spool", folder / "log"):
        made.mkdir()
    _lend_user(folder, "Debian-exim", "news")
    configuration = folder / "exim.conf"
    program = root / "usr/sbin/exim4"
    configuration.write_text(_EXIM.format(program=program, folder=folder, port=port, onward=onward, size=SIZE))
    environment = {
        "LD_LIBRARY_PATH": _libraries(root),
        "LD_PRELOAD": "libnss_wrapper.so",
        "NSS_WRAPPER_PASSWD": str(folder / "passwd"),
        "NSS_WRAPPER_GROUP": str(folder / "group"),
    }
    # Exim gives up root's rights and starts itself anew for each delivery: were it setuid, the loader would not look
    # where our libraries are.
    program.chmod(0o755)
    command = [str(program), "-C", str(configuration), "-bdf", "-q1m"]
    async with _running(command, environment, port, folder / "out"):
        yield port


def _lend_user(folder: Path, name: str, existing: str) -> None:
    """Exim looks up its user by the name its package gives it; here that is another name of a user of every system."""
    user = pwd.getpwnam(existing)
    (folder / "passwd").write_text(
        Path("/etc/passwd").read_text() + f"{name}:x:{user.pw_uid}:{user.pw_gid}::/nonexistent:/bin/false\n"
    )
    (folder / "group").write_text(Path("/etc/group").read_text() + f"{name}:x:{user.pw_gid}:\n")
    for owned in (folder, folder / "spool", folder / "log"):
        os.chown(owned, user.pw_uid, user.pw_gid)
