"""RabbitMQ behind TLS: nothing is said to a server that cannot prove its name, and nothing in clear text instead."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
import trustme

from emailhub.core.status import Link
from tests.adapters.rabbit.conftest import Hub, running
from tests.support.rabbit_node import RabbitNode


class Front:
    """TLS in front of RabbitMQ. `heard` is all that came through; what is no TLS handshake never does."""

    def __init__(self, behind: int, certificate: trustme.LeafCert) -> None:
        self.heard = bytearray()
        self._behind = behind
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self._context)
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Its port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        for source, target in ((reader, inner_writer), (inner_reader, writer)):
            task = asyncio.create_task(self._pipe(source, target, noting=source is reader))
            self._tasks.add(task)

    async def _pipe(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, noting: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await source.read(65536):
                if noting:
                    self.heard += chunk
                target.write(chunk)
        target.close()


def behind_tls(rabbit: RabbitNode, vhost_url: str, port: int, ca: str = "") -> str:
    """The address of the vhost through the front at `port`, trusting the authority in the file `ca` too."""
    url = vhost_url.replace("amqp://", "amqps://").replace(f":{rabbit.port}/", f":{port}/")
    return f"{url}?cafile={quote(ca)}" if ca else url


async def test_requests_come_over_tls_from_a_server_whose_authority_is_named_in_the_url(
    rabbit: RabbitNode, rabbit_vhost: str, tmp_path: Path
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with Front(rabbit.port, ca.issue_cert("127.0.0.1")).listening() as port:
        hub = Hub(behind_tls(rabbit, rabbit_vhost, port, str(tmp_path / "ca.pem")))
        async with running(hub):
            await hub.linked(Link.CONSUMING)


@pytest.mark.parametrize("name", ("127.0.0.1", "elsewhere.test"))
async def test_a_server_that_cannot_prove_its_name_is_refused_and_hears_nothing(
    rabbit: RabbitNode, rabbit_vhost: str, tmp_path: Path, name: str
) -> None:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trusted = str(tmp_path / "ca.pem") if name == "elsewhere.test" else ""
    front = Front(rabbit.port, ca.issue_cert(name))
    async with (
        front.listening() as port,
        running(Hub(behind_tls(rabbit, rabbit_vhost, port, trusted), refused_wait=0.05)) as hub,
    ):
        status = await hub.linked(Link.REFUSED)
        assert f"the certificate of RabbitMQ at 127.0.0.1:{port}" in status.detail
        assert "not trusted" in status.detail
        await asyncio.sleep(0.3)  # several tries more
        assert not front.heard
