"""Celery: `celery -A bench.peers.celery_app worker`, and to publish `python -m bench.peers.celery_app FIRST COUNT`.

Durable as mail wants it: confirmed publications, acknowledged after the work, redelivered when a worker is lost.
"""

from __future__ import annotations

import sys

from celery import Celery

from bench.peers import task
from bench.peers.publish import publish

app = Celery("bench", broker=task.AMQP_URL)
app.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=4,
    worker_hijack_root_logger=False,
)


@app.task(name="send")
def send(to: str, subject: str, body: str) -> None:
    """Deliver one message."""
    task.send(to, subject, body)


if __name__ == "__main__":
    publish(send.delay, int(sys.argv[1]), int(sys.argv[2]))
