"""What every test shares: one uvloop for the run, RabbitMQ, Chromium, and the list of what could not run."""

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
import pytest_asyncio
import uvloop
from playwright.async_api import Browser, Page

from tests.support.browser import Guard, guard_of, launched_browser
from tests.support.rabbit_node import RabbitNode
from tests.support.skips import missing_services

PROVED = "proved"
_MARK_BY_FIXTURE = {
    "rabbit": pytest.mark.rabbit,
    "own_rabbit_node": pytest.mark.rabbit,
    "browser": pytest.mark.browser,
}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, Callable[[], Any]]:
    """The loop that serves in production runs the tests."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the services they ask for, so that `-m "not rabbit"` means what it says."""
    for item in items:
        for fixture in getattr(item, "fixturenames", ()):
            if mark := _MARK_BY_FIXTURE.get(fixture):
                item.add_marker(mark)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None, None, None]:
    """After everything else: what was proved, and what did not run for want of a service and how to get it."""
    yield
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    proofs = [text for report in reports for name, text in getattr(report, "user_properties", ()) if name == PROVED]
    if proofs:
        terminalreporter.section("proved")
    for text in dict.fromkeys(proofs):
        terminalreporter.line(text)
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    missing = missing_services(reasons)
    if missing:
        terminalreporter.section("not run", yellow=True)
    for reason, count in missing.items():
        terminalreporter.line(f"{count} test{'s' if count > 1 else ''}: {reason}")


@pytest.fixture
def proved(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Tell what a test found, in figures: the run ends with all of it, whichever process ran the test."""
    return lambda text: request.node.user_properties.append((PROVED, text))


@pytest_asyncio.fixture(scope="session")
async def rabbit() -> AsyncIterator[RabbitNode]:
    """The run's RabbitMQ server, shared: stay in a vhost of your own (`rabbit_vhost`) and leave it running."""
    node = RabbitNode()
    try:
        await node.start()
        yield node
    finally:
        await node.close()


@pytest_asyncio.fixture
async def rabbit_vhost(rabbit: RabbitNode) -> str:
    """The AMQP address of an empty vhost for this test alone."""
    return rabbit.vhost_url(await rabbit.fresh_vhost())


@pytest_asyncio.fixture
async def own_rabbit_node() -> AsyncIterator[RabbitNode]:
    """A running RabbitMQ server for this test alone: stop it, kill it, start it again."""
    node = RabbitNode()
    try:
        await node.start()
        yield node
    finally:
        await node.close()


@pytest.fixture(scope="session")
def _watching() -> Guard:
    return Guard()


@pytest_asyncio.fixture(scope="session")
async def browser(_watching: Guard) -> AsyncIterator[Browser]:
    """The run's headless Chromium; open a context of your own, or ask for `page`."""
    async with launched_browser() as launched:
        guard_of(launched, _watching)
        yield launched


@pytest.fixture(autouse=True)
def guard(request: pytest.FixtureRequest, _watching: Guard) -> Iterator[Guard]:
    """Fails every test in whose browser something went wrong that it did not `expect`."""
    _watching.begin()
    yield _watching
    assert _watching.unexpected() == []


@pytest_asyncio.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page of a fresh browser context: no cookies, no storage, 1280x800."""
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    try:
        yield await context.new_page()
    finally:
        await context.close()
