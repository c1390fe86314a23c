"""Real mail servers around the relay: where their mail goes on to, and a certificate they show."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from emailhub.adapters.smtp import SmtpRelay
from tests.support.mtas import exim, postfix, reachable_folder
from tests.support.smtp_relays import Authority, Relays
from tests.support.smtp_server import SmtpServer


@pytest_asyncio.fixture
async def relays() -> AsyncIterator[Relays]:
    made: list[SmtpRelay] = []
    yield Relays(made)
    for relay in made:
        await relay.close()


@pytest_asyncio.fixture(scope="module")
async def onward() -> AsyncIterator[SmtpServer]:
    """Where the mail servers carry what they took."""
    async with SmtpServer() as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, str(file))


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder for one mail server."""
    with reachable_folder() as made:
        yield made


@pytest_asyncio.fixture(scope="module")
async def postfix_port(onward: SmtpServer, authority: Authority) -> AsyncIterator[int]:
    """A running Postfix, for the tests of a module."""
    with reachable_folder() as folder:
        chain = folder / "chain.pem"
        authority.ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(chain))
        async with postfix(folder, onward.port, chain) as port:
            yield port


@pytest_asyncio.fixture(scope="module")
async def exim_port(onward: SmtpServer) -> AsyncIterator[int]:
    """A running Exim, for the tests of a module."""
    with reachable_folder() as folder:
        async with exim(folder, onward.port) as port:
            yield port
