"""Access tokens: one request however many ask, renewed ahead, and refusals told without a secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from emailhub.adapters.oauth import OAuthOptions, TokenSource
from emailhub.core.errors import TokenFailed
from tests.support.ports import free_port
from tests.support.smtp_relays import Clock
from tests.support.token_endpoint import TokenEndpoint, denied, granted

Make = Callable[..., TokenSource]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def source(clock: Clock) -> AsyncIterator[Make]:
    made: list[TokenSource] = []

    def make(url: str, *, jitter: float = 0.0, **options: Any) -> TokenSource:
        given = {"client_id": "app", "client_secret": "s3cret-of-app", "refresh_token": "r3fresh-0"} | options
        made.append(TokenSource(OAuthOptions(token_url=url, **given), jitter=lambda: jitter, clock=clock))
        return made[-1]

    yield make
    for one in made:
        await one.close()


async def test_a_refresh_token_is_exchanged_as_a_form(source: Make) -> None:
    async with TokenEndpoint(granted("t1")) as endpoint:
        assert await source(endpoint.url, scope="https://mail.google.com/")() == "t1"
        assert endpoint.asked == [
            {
                "grant_type": "refresh_token",
                "client_id": "app",
                "client_secret": "s3cret-of-app",
                "refresh_token": "r3fresh-0",
                "scope": "https://mail.google.com/",
            }
        ]
        assert "application/x-www-form-urlencoded" in endpoint.heads[0]


async def test_client_credentials_send_no_refresh_token(source: Make) -> None:
    async with TokenEndpoint(granted("t1")) as endpoint:
        scope = "https://outlook.office365.com/.default"
        tokens = source(endpoint.url, grant="client_credentials", refresh_token="", scope=scope)
        assert await tokens() == "t1"
        assert endpoint.asked[0].keys() == {"grant_type", "client_id", "client_secret", "scope"}


async def test_however_many_ask_there_is_one_request_and_one_that_gives_up_takes_it_from_nobody(source: Make) -> None:
    async with TokenEndpoint(granted("t1")) as endpoint:
        endpoint.hold.clear()
        tokens = source(endpoint.url)
        asking = [asyncio.create_task(tokens()) for _ in range(20)]
        async with asyncio.timeout(10):
            await endpoint.arrived.wait()
        asking[0].cancel()
        endpoint.hold.set()
        got = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(got[0], asyncio.CancelledError)
        assert got[1:] == ["t1"] * 19
        assert len(endpoint.asked) == 1


@pytest.mark.parametrize(("jitter", "first_try"), ((0.0, 3300.0), (1.0, 3240.0), (-1.0, 3360.0)))
async def test_a_token_is_renewed_minutes_before_its_end_while_logins_go_on_with_the_old_one(
    source: Make, clock: Clock, jitter: float, first_try: float
) -> None:
    async with TokenEndpoint(granted("t1"), granted("t2")) as endpoint:
        tokens = source(endpoint.url, jitter=jitter)
        await tokens()
        endpoint.arrived.clear()
        clock.now += first_try - 1
        assert await tokens() == "t1"
        assert len(endpoint.asked) == 1
        clock.now += 1
        assert await tokens() == "t1"
        await renewed(tokens, "t2")
        assert len(endpoint.asked) == 2


async def renewed(tokens: TokenSource, token: str) -> None:
    """Return once `tokens` gives `token`. Raises TimeoutError."""
    async with asyncio.timeout(10):
        while await tokens() != token:  # noqa: ASYNC110 - what happens in the background has no event
            await asyncio.sleep(0.001)


async def test_an_expired_token_is_never_used(source: Make, clock: Clock) -> None:
    async with TokenEndpoint(granted("t1"), granted("t2")) as endpoint:
        tokens = source(endpoint.url)
        await tokens()
        clock.now += 3595
        assert await tokens() == "t2"


@pytest.mark.parametrize("expires_in", (None, "3600", "soon", -5, 1e300))
async def test_an_odd_lifetime_neither_breaks_nor_makes_a_token_eternal(
    source: Make, clock: Clock, expires_in: object
) -> None:
    async with TokenEndpoint(granted("t1", expires_in=expires_in), granted("t2")) as endpoint:
        tokens = source(endpoint.url)
        assert await tokens() == "t1"
        clock.now += 3600
        assert await tokens() == "t2"


async def test_a_renewal_that_fails_leaves_the_token_in_use_and_is_not_repeated_at_once(
    source: Make, clock: Clock
) -> None:
    async with TokenEndpoint(granted("t1"), (503, b"busy"), granted("t2")) as endpoint:
        tokens = source(endpoint.url)
        await tokens()
        endpoint.arrived.clear()
        clock.now += 3400
        assert await tokens() == "t1"
        async with asyncio.timeout(10):
            while tokens._failed_at is None:  # noqa: ASYNC110 - what happens in the background has no event
                await asyncio.sleep(0.001)
        assert await tokens() == "t1"
        assert len(endpoint.asked) == 2
        clock.now += 30
        assert await tokens() == "t1"
        await renewed(tokens, "t2")


async def test_a_new_refresh_token_is_used_from_then_on(source: Make, clock: Clock) -> None:
    async with TokenEndpoint(granted("t1", refresh_token="r3fresh-1"), granted("t2"), granted("t3")) as endpoint:
        tokens = source(endpoint.url)
        for _ in range(3):
            await tokens()
            clock.now += 4000
        assert [form["refresh_token"] for form in endpoint.asked] == ["r3fresh-0", "r3fresh-1", "r3fresh-1"]


async def test_a_dropped_token_is_replaced_and_one_that_is_not_in_use_any_more_drops_nothing(source: Make) -> None:
    async with TokenEndpoint(granted("t1"), granted("t2")) as endpoint:
        tokens = source(endpoint.url)
        assert await tokens() == "t1"
        tokens.drop("t1")
        assert await tokens() == "t2"
        tokens.drop("t1")
        assert await tokens() == "t2"
        assert len(endpoint.asked) == 2


@pytest.mark.parametrize(
    ("answer", "rejected", "says"),
    (
        (denied("invalid_grant", "AADSTS7: expired\r\nTrace: 1"), True, "invalid_grant (AADSTS7: expired Trace: 1)"),
        (denied("invalid_client", status=401), True, "check the client id and its secret"),
        (denied("invalid_grant", "bad s3cret-of-app for r3fresh-0"), True, "bad ••• for •••"),
        (denied("s3cret-of-app"), False, "no access token: •••"),
        (denied("temporarily_unavailable"), False, "temporarily_unavailable"),
        (denied("invalid_client", status=429), False, "invalid_client"),
        (denied("invalid_grant", status=503), False, "invalid_grant"),
        ((500, b"<html>"), False, "answered 500 and gives no reason"),
        ((302, b""), False, "answered 302"),
        ((200, b"[]"), False, "answered 200 without a bearer token"),
        ((200, {"access_token": "a b"}), False, "without a bearer token"),
        ((200, {"access_token": "a\x01b"}), False, "without a bearer token"),
        ((200, {"access_token": "ab", "token_type": "mac"}), False, "without a bearer token"),
        ((200, b"x" * 70_000), False, "more than 64 KiB"),
    ),
)  # fmt: skip
async def test_a_refusal_names_the_host_and_the_error_and_no_secret(
    source: Make, answer: tuple[int, Any], rejected: bool, says: str
) -> None:
    async with TokenEndpoint(answer) as endpoint:
        with pytest.raises(TokenFailed) as caught:
            await source(endpoint.url)()
    text = str(caught.value)
    assert caught.value.rejected is rejected
    assert text.startswith("127.0.0.1 ")
    assert says in text
    assert text.isprintable()
    assert "s3cret" not in text
    assert "r3fresh" not in text


async def test_an_endpoint_that_cannot_be_reached_is_ordinary_trouble_and_asked_again_next_time(source: Make) -> None:
    tokens = source(f"http://127.0.0.1:{free_port()}/token")
    for _ in range(2):
        with pytest.raises(TokenFailed, match=r"^127\.0\.0\.1 cannot be reached for an access token") as caught:
            await tokens()
        assert not caught.value.rejected


async def test_closing_gives_up_a_request_under_way(source: Make) -> None:
    async with TokenEndpoint(granted("t1")) as endpoint:
        endpoint.hold.clear()
        tokens = source(endpoint.url)
        asking = asyncio.create_task(tokens())
        async with asyncio.timeout(10):
            await endpoint.arrived.wait()
        await tokens.close()
        with pytest.raises(asyncio.CancelledError):
            await asking
        endpoint.hold.set()


@pytest.mark.parametrize(
    ("options", "says"),
    (
        ({"refresh_token": ""}, "needs a refresh token"),
        ({"grant": "client_credentials", "client_secret": ""}, "needs a client secret"),
        ({"grant": "password"}, "not 'password'"),
    ),
)
def test_options_that_cannot_work_together_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        OAuthOptions(**{"token_url": "https://x.test/t", "client_id": "app", "refresh_token": "r"} | options)


def test_options_print_without_secrets() -> None:
    options = OAuthOptions(token_url="https://x.test/t?k=1", client_id="app", client_secret="s3", refresh_token="r3")
    assert repr(options) == "OAuthOptions(x.test, grant=refresh_token)"
