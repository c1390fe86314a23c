"""RabbitMQ: requests in, hand-offs and dead letters out; there when RabbitMQ is, harmless when it is not."""

from emailhub.adapters.rabbit.options import Delivery, RabbitOptions
from emailhub.adapters.rabbit.rabbit import Rabbit

__all__ = ["Delivery", "Rabbit", "RabbitOptions"]
