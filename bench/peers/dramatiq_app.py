"""dramatiq: `dramatiq bench.peers.dramatiq_app`, and to publish `python -m bench.peers.dramatiq_app FIRST COUNT`."""

from __future__ import annotations

import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from bench.peers import task
from bench.peers.publish import publish

dramatiq.set_broker(RabbitmqBroker(url=task.AMQP_URL, confirm_delivery=True))


@dramatiq.actor
def send(to: str, subject: str, body: str) -> None:
    """Deliver one message."""
    task.send(to, subject, body)


if __name__ == "__main__":
    publish(send.send, int(sys.argv[1]), int(sys.argv[2]))
