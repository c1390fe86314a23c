"""A RabbitMQ server of one's own: started on free ports in a folder of its own, made to fail, and gone at the end."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.support.ports import free_port
from tests.support.skips import need

# Debian's /usr/sbin wrappers change to the user rabbitmq, who may not read a folder of ours.
_DEBIAN = Path("/usr/lib/rabbitmq/bin")
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = 1

# The server outlives a test run that is killed. So a watcher holds the other end of a pipe: when the run is gone
# without a word, it takes the server, its port mapper (which refuses while it still knows the node) and its folder.
_WATCHED = """
exec 3<&0
"$1" </dev/null 3<&- &
server=$!
{
    read -r ended <&3 && exit
    kill -9 "$(cat "$RABBITMQ_PID_FILE")"
    for try in 1 2 3 4 5 6 7 8 9 10; do
        epmd -port "$ERL_EPMD_PORT" -kill && break
        sleep 0.2
    done
    rm -rf "$HOME"
} >/dev/null 2>&1 &
exec 3<&-
wait "$server"
"""


def server_path() -> Path:
    """The `rabbitmq-server` to start; gives up the test when there is none."""
    places = (os.environ.get("RABBITMQ_SERVER"), _DEBIAN / "rabbitmq-server", shutil.which("rabbitmq-server"))
    found = next((Path(place) for place in places if place and Path(place).exists()), None)
    if found is None:
        need("RabbitMQ", "apt install rabbitmq-server")
    return found


class RabbitNode:
    """One RabbitMQ server. `start` and `stop` may alternate: ports, users, vhosts and durable queues stay.

    `close` ends it for good and removes everything it left, whatever state it is in.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._server = server_path()
        self._folder = Path(tempfile.mkdtemp(prefix="emailhub-rabbit-"))
        self._pid_file = self._folder / "pid"
        self._environment = self._make_environment()
        self._process: asyncio.subprocess.Process | None = None
        self._watch = -1
        self._fresh_vhosts: list[str] = []
        self._vhosts_made = 0
        (self._folder / "plugins").write_text("[].")
        (self._folder / "rabbitmq.conf").write_text(
            "loopback_users = none\ndisk_free_limit.absolute = 1MB\nvm_memory_high_watermark.absolute = 2GB\n"
        )

    @property
    def url(self) -> str:
        """The AMQP address of the vhost `/`, for the administrator guest."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    def vhost_url(self, vhost: str, user: str = "guest", password: str = "guest") -> str:
        """The AMQP address of `vhost` for `user`."""
        return f"amqp://{user}:{password}@127.0.0.1:{self.port}/{vhost}"

    async def start(self) -> None:
        """Start the server and wait until it speaks AMQP.

        Raises RuntimeError with the end of its output when it ends or takes longer than 60 s.
        """
        watched, self._watch = os.pipe()
        with (self._folder / "output").open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                "/bin/sh", "-c", _WATCHED, "rabbit", str(self._server),
                stdin=watched, stdout=output, stderr=output,
                env=self._environment, cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        os.close(watched)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._speaks_amqp()
        except TimeoutError:
            raise RuntimeError(f"RabbitMQ did not start:\n{self._last_output()}") from None

    async def stop(self) -> None:
        """Stop the server the orderly way; what is durable is there at the next `start`."""
        self._signal(signal.SIGTERM)
        await self._gone()

    async def kill9(self) -> None:
        """Kill the server without a chance to say goodbye."""
        self._signal(signal.SIGKILL)
        await self._gone()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Inside the block the server neither reads nor writes nor ends: its connections stay open and say nothing."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    async def close(self) -> None:
        """End the server, its port mapper and its folder."""
        await self.kill9()
        epmd = await self._run("epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill")
        await epmd.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def ctl(self, *arguments: str) -> str:
        """What `rabbitmqctl` prints for `arguments`; raises RuntimeError with its output when it fails."""
        process = await self._run(str(self._server.with_name("rabbitmqctl")), "-q", *arguments)
        out, err = await process.communicate()
        if process.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(arguments)}: {out.decode()}{err.decode()}")
        return out.decode()

    async def stop_app(self) -> None:
        """Stop RabbitMQ inside the running Erlang node: connections close, the port refuses."""
        await self.ctl("stop_app")

    async def start_app(self) -> None:
        await self.ctl("start_app")

    async def close_all_connections(self, reason: str = "test") -> None:
        """Close every client's connection, as an administrator would."""
        await self.ctl("close_all_connections", reason)

    async def set_memory_alarm(self, on: bool) -> None:
        """Raise or clear the memory alarm: while it is on, publishing connections are blocked."""
        await self.set_alarm("memory", on)

    async def set_alarm(self, resource: str, on: bool) -> None:
        """Raise or clear the alarm of `resource`, memory or disk."""
        alarm = f"{{resource_limit, {resource}, node()}}"
        verb = f"rabbit_alarm:set_alarm({{{alarm}, []}})." if on else f"rabbit_alarm:clear_alarm({alarm})."
        await self.ctl("eval", verb)

    async def add_user(self, name: str, password: str, vhost: str = "/", rights: str = ".*") -> None:
        """Add a user whose configure, write and read rights in `vhost` are all the pattern `rights`."""
        await self.ctl("add_user", name, password)
        await self.ctl("set_permissions", "-p", vhost, name, rights, rights, rights)

    async def delete_queue(self, name: str, vhost: str = "/") -> None:
        """Delete the queue with all it holds, under the feet of its consumers."""
        await self.ctl("delete_queue", "-p", vhost, name)

    async def list_queues(self, vhost: str = "/") -> dict[str, int]:
        """Messages (ready and unacknowledged) in each queue of `vhost`, by name."""
        rows = await self._table(vhost, "list_queues", "name", "messages")
        return {str(row["name"]): int(str(row["messages"])) for row in rows}

    async def list_consumers(self, vhost: str = "/") -> dict[str, int]:
        """How many consumers each queue of `vhost` has, by name."""
        rows = await self._table(vhost, "list_queues", "name", "consumers")
        return {str(row["name"]): int(str(row["consumers"])) for row in rows}

    async def fresh_vhost(self) -> str:
        """The name of an empty vhost that nobody was given before and guest may use."""
        if not self._fresh_vhosts:
            await self._make_vhosts(8)
        return self._fresh_vhosts.pop()

    async def _make_vhosts(self, count: int) -> None:
        # One call for all of them: each rabbitmqctl starts an Erlang runtime.
        names = [f"test-{self._vhosts_made + n}" for n in range(count)]
        self._vhosts_made += count
        listed = ", ".join(f'<<"{name}">>' for name in names)
        await self.ctl(
            "eval",
            f'[begin rabbit_vhost:add(V, <<"tests">>), rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, V, <<".*">>, <<".*">>, <<".*">>, <<"tests">>) end || V <- [{listed}]].',
        )
        self._fresh_vhosts = names

    async def _table(self, vhost: str, verb: str, *columns: str) -> list[dict[str, object]]:
        rows: list[dict[str, object]] = json.loads(
            await self.ctl("-p", vhost, "--formatter", "json", verb, *columns) or "[]"
        )
        return rows

    async def _run(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            env=self._environment, cwd=self._folder,
        )  # fmt: skip

    async def _speaks_amqp(self) -> None:
        while not await self._greets():
            if not self.running:
                raise RuntimeError(f"RabbitMQ ended while starting:\n{self._last_output()}")
            await asyncio.sleep(0.05)

    async def _greets(self) -> bool:
        # The port opens before the broker answers on it.
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        try:
            writer.write(_AMQP_HEADER)
            return (await reader.read(1))[:1] == bytes([_METHOD_FRAME])
        except OSError:
            return False
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _signal(self, number: signal.Signals) -> None:
        if not self.running:
            return
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
            os.kill(int(self._pid_file.read_text()), number)

    async def _gone(self) -> None:
        process = self._process
        if process is None:
            return
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        self._pid_file.unlink(missing_ok=True)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._watch, b"ended\n")
        os.close(self._watch)
        self._process = None

    def _last_output(self) -> str:
        lines = (self._folder / "output").read_text(errors="replace").splitlines()
        return "\n".join(lines[-20:])

    def _make_environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin",
            "HOME": folder,  # the Erlang cookie lies there
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"emailhub-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "ERL_EPMD_PORT": str(free_port()),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_PID_FILE": str(self._pid_file),
            # Two cores are shared with the tests: schedulers that spin while idle would take them.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
        }
