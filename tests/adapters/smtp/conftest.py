"""A scriptable SMTP server, certificates for it, and relays that are closed when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
import trustme

from emailhub.adapters.smtp import SmtpRelay
from tests.support.smtp_relays import Authority, Relays
from tests.support.smtp_server import SmtpServer


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    ca = trustme.CA()
    file: Path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(file))
    return Authority(ca, str(file))


@pytest_asyncio.fixture
async def server() -> AsyncIterator[SmtpServer]:
    async with SmtpServer() as running:
        yield running


@pytest_asyncio.fixture
async def relays() -> AsyncIterator[Relays]:
    made: list[SmtpRelay] = []
    yield Relays(made)
    for relay in made:
        await relay.close()
        facts = relay.facts()
        assert (facts.open, facts.busy) == (0, 0)
