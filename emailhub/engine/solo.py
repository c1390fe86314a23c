"""Working without RabbitMQ: the outbox alone is the queue."""

from __future__ import annotations

from collections.abc import Sequence

from emailhub.core.errors import BrokerDown
from emailhub.core.records import DeadLetter
from emailhub.core.status import RabbitStatus


class NoBroker:
    """Stands where RabbitMQ would be. See `ports.Broker`."""

    can_hand_off = False

    def hand_off(self, ids: Sequence[str]) -> None:
        """Do nothing: without a hand-off the rows are due at once."""

    async def publish(self, letter: DeadLetter) -> None:
        """Raises BrokerDown."""
        raise BrokerDown(f"no RabbitMQ is set up, dead letter {letter.id} stays in the outbox")

    def pause(self, why: str) -> None:
        """Do nothing: there is no queue to leave alone."""

    def resume(self) -> None:
        """Do nothing."""

    def status(self) -> RabbitStatus:
        """Link OFF."""
        return RabbitStatus(detail="RABBITMQ_URL is not set: the outbox is the queue")
