"""What a task of Celery or dramatiq does: build the message with the standard library, hand it to smtplib.

Where it runs only the peers' packages and the standard library are there. From the environment: BENCH_SMTP_PORT,
BENCH_AMQP_URL, and BENCH_KEEP=1 for a connection that each thread keeps instead of one for each message.
"""

from __future__ import annotations

import os
import smtplib
import threading
from email.message import EmailMessage

from bench.messages import SENDER

AMQP_URL = os.environ["BENCH_AMQP_URL"]
_PORT = int(os.environ.get("BENCH_SMTP_PORT", "0"))
_KEEP = os.environ.get("BENCH_KEEP") == "1"
_of_thread = threading.local()


def _build(to: str, subject: str, body: str) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, to, subject
    message.set_content(body)
    return message


def send(to: str, subject: str, body: str) -> None:
    """Deliver one message."""
    message = _build(to, subject, body)
    if not _KEEP:
        with smtplib.SMTP("127.0.0.1", _PORT) as client:
            client.send_message(message)
        return
    if not hasattr(_of_thread, "client"):
        _of_thread.client = smtplib.SMTP("127.0.0.1", _PORT)
    _of_thread.client.send_message(message)
