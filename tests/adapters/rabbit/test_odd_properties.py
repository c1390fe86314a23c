"""Properties no decoder expects: they must not close the connection again and again for ever."""

from datetime import UTC, datetime
from typing import Any

import aiormq
import pytest
from aiormq import spec

from tests.adapters.rabbit.conftest import Hub, producer


class Latin(str):
    """A text that goes over the wire in Latin-1, as from a client that never heard of UTF-8."""

    __slots__ = ()

    def encode(self, *_: str) -> bytes:
        return super().encode("latin-1")


class FarFuture(datetime):
    """A time in nanoseconds, where AMQP has seconds."""

    def timestamp(self) -> float:
        return 1_700_000_000_000_000_000.0


async def _publish(hub: Hub, properties: spec.Basic.Properties) -> None:
    async with producer(hub.options.url) as channel:
        raw = await channel.get_underlay_channel()
        assert isinstance(raw, aiormq.Channel)
        await raw.basic_publish(b"odd", routing_key="email.queue", properties=properties)


@pytest.mark.parametrize(
    "odd",
    (
        {"message_id": Latin("m-ü")},
        {"timestamp": FarFuture(2026, 1, 1, tzinfo=UTC)},
        {"headers": {Latin("schlüssel"): "a"}},
        {"headers": {"a": Latin("ü")}},
        {"headers": {"when": FarFuture(2026, 1, 1, tzinfo=UTC)}},
    ),
    ids=["text", "time", "header name", "header value", "header time"],
)
async def test_an_odd_property_costs_at_most_itself(hub: Hub, odd: dict[str, Any]) -> None:
    await _publish(hub, spec.Basic.Properties(content_type="application/json", **odd))
    await hub.publish(b"next")
    await hub.until(lambda: hub.bodies == [b"odd", b"next"])
    assert hub.taken[0].properties.content_type == "application/json"
    assert hub.rabbit.status().recoveries == 0
