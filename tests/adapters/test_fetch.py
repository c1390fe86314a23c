"""Files fetched from URLs: over real TLS, from nowhere but public servers, within their bounds."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from emailhub.adapters.fetch import Fetcher, resolved
from emailhub.core.errors import FetchFailed

CA = trustme.CA()
PDF = b"%PDF-" + b"x" * 100_000


class FileServer:
    """Answers every request with `answer`, as `files.example.org`; `asked` keeps the heads that came."""

    def __init__(self) -> None:
        self.answer = response(PDF)
        self.asked: list[str] = []
        self.port = 0
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(self.answer)
            await writer.drain()
            if b"Content-Length" not in self.answer:
                await reader.read()
        writer.close()

    @property
    def url(self) -> str:
        return f"https://files.example.org:{self.port}/a%20b.pdf?v=1"


def response(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


@pytest.fixture
async def server() -> AsyncIterator[FileServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CA.issue_cert("files.example.org").configure_cert(context)
    files = FileServer()
    listening = await asyncio.start_server(files.serve, "127.0.0.1", 0, ssl=context)
    files.port = listening.sockets[0].getsockname()[1]
    try:
        yield files
    finally:
        listening.close()


@contextlib.asynccontextmanager
async def fetching(*addresses: str, timeout: float = 5.0, public: bool = True) -> AsyncIterator[Fetcher]:
    """A fetcher for which every name has `addresses`; `public` says that those may be connected to."""
    context = ssl.create_default_context()
    CA.configure_trust(context)

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    rule = {"may_connect": lambda _: True} if public else {}
    fetcher = Fetcher(resolve=resolve, context=context, timeout=timeout, **rule)  # type: ignore[arg-type]
    try:
        yield fetcher
    finally:
        await fetcher.close()


async def failure(fetcher: Fetcher, url: str, most_bytes: int = 200_000) -> str:
    with pytest.raises(FetchFailed) as caught:
        await fetcher.fetch(url, most_bytes)
    return str(caught.value)


async def test_a_file_comes_from_the_address_that_was_checked_with_the_certificate_of_the_name(
    server: FileServer,
) -> None:
    async with fetching("127.0.0.1") as fetcher:
        assert await fetcher.fetch(server.url, len(PDF)) == PDF
    (head,) = server.asked
    assert head.startswith("GET /a%20b.pdf?v=1 HTTP/1.1\r\n")
    assert f"\r\nhost: files.example.org:{server.port}\r\n" in head.lower()
    assert "cookie" not in head.lower()
    assert "authorization" not in head.lower()


async def test_no_proxy_and_no_password_of_the_hubs_own_environment_is_used(
    server: FileServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login hub password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with fetching("127.0.0.1") as fetcher:
        assert await fetcher.fetch(server.url, len(PDF)) == PDF
    assert "authorization" not in server.asked[0].lower()


async def test_the_next_address_is_tried_when_one_cannot_be_reached(server: FileServer) -> None:
    async with fetching("127.0.0.2", "127.0.0.1") as fetcher:
        assert await fetcher.fetch(server.url, len(PDF)) == PDF


async def test_a_server_with_another_name_in_its_certificate_is_not_trusted(server: FileServer) -> None:
    async with fetching("127.0.0.1") as fetcher:
        text = await failure(fetcher, server.url.replace("files.", "other."))
    assert text == "other.example.org cannot be reached or does not speak HTTPS: ConnectError"
    assert server.asked == []


@pytest.mark.parametrize("addresses", (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["::1"]))
async def test_nothing_is_connected_to_when_one_address_of_the_name_is_not_public(
    server: FileServer, addresses: list[str]
) -> None:
    async with fetching(*addresses, public=False) as fetcher:
        text = await failure(fetcher, server.url)
    assert text == "files.example.org is not an address of the public internet"
    assert server.connections == 0


@pytest.mark.parametrize(
    "url",
    (
        "https://localhost:{port}/a",
        "https://127.0.0.1:{port}/a",
        "https://127.1:{port}/a",
        "https://2130706433:{port}/a",
        "https://0x7f000001:{port}/a",
        "https://0177.0.0.1:{port}/a",
        "https://[::1]:{port}/a",
        "https://[::ffff:127.0.0.1]:{port}/a",
        "https://[::ffff:7f00:1]:{port}/a",
        "https://0.0.0.0:{port}/a",
        "https://[::]:{port}/a",
        "https://169.254.169.254/latest/meta-data",
    ),
)
async def test_however_the_hub_s_own_machine_is_called_it_is_not_reached(server: FileServer, url: str) -> None:
    fetcher = Fetcher()
    try:
        await failure(fetcher, url.format(port=server.port))
    finally:
        await fetcher.close()
    assert server.connections == 0


@pytest.mark.parametrize(
    ("url", "word"),
    (
        ("http://files.example.org/a", "https"),
        ("ftp://files.example.org/a", "https"),
        ("https:///a", "https URL"),
        ("https://user:secret@files.example.org/a", "password"),
        ("https://files.example.org:99999/a", "not a URL"),
        ("https://[::1/a", "not a URL"),
        ("https://xn--a\x7f/", "not a URL"),
    ),
)
async def test_a_url_that_is_none_or_brings_credentials_is_refused(url: str, word: str) -> None:
    async with fetching("127.0.0.1") as fetcher:
        text = await failure(fetcher, url)
    assert word in text
    assert "secret" not in text


async def test_a_name_nobody_has_is_told() -> None:
    async with fetching() as fetcher:
        assert await failure(fetcher, "https://nowhere.example/a") == "there is no host nowhere.example"


async def test_an_address_resolves_to_itself() -> None:
    assert await resolved("127.0.0.1", 443) == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("answer", "word"),
    (
        (response(b"", "302 Found", Location="https://files.example.org/b"), "302, and no redirect is followed"),
        (response(b"gone", "404 Not Found"), "answered 404"),
        (response(b"", "204 No Content"), "answered 204"),
        (response(b"x", Content_Encoding="gzip"), "compressed"),
        (response(PDF, Content_Length="9" * 15), "larger than the 200000 bytes"),
        (response(b"x" * 200_001), "larger than the 200000 bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_001, "larger than the 200000 bytes"),
        (response(PDF, Content_Length="9" * 30), "RemoteProtocolError"),
        (response(PDF)[:-10], "RemoteProtocolError"),
        (b"nonsense\r\n\r\n", "RemoteProtocolError"),
    ),
    ids=lambda value: str(value)[:60],
)
async def test_an_answer_that_is_no_file_of_the_right_size_is_refused(
    server: FileServer, answer: bytes, word: str
) -> None:
    server.answer = answer
    async with fetching("127.0.0.1") as fetcher:
        assert word in await failure(fetcher, server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("answer", "passing"),
    (
        (response(b"", "503 Service Unavailable"), True),
        (response(b"", "429 Too Many Requests"), True),
        (b"", True),
        (response(b"", "404 Not Found"), False),
        (response(b"", "403 Forbidden"), False),
        (response(b"x", Content_Encoding="gzip"), False),
    ),
    ids=lambda value: str(value)[:40],
)
async def test_what_may_be_better_in_a_moment_is_told_apart(server: FileServer, answer: bytes, passing: bool) -> None:
    server.answer = answer
    async with fetching("127.0.0.1") as fetcher:
        with pytest.raises(FetchFailed) as failed:
            await fetcher.fetch(server.url, 1000)
    assert failed.value.passing is passing


async def test_a_server_that_says_nothing_is_given_up(server: FileServer) -> None:
    server.answer = b"HTTP/1.1 200 OK\r\n\r\nx"
    async with fetching("127.0.0.1", timeout=0.3) as fetcher:
        assert await failure(fetcher, server.url) == "it took longer than 0.3 s"
