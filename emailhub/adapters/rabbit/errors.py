"""What the errors of the AMQP libraries mean to a human, and whether waiting helps."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aio_pika.exceptions import (
    CONNECTION_EXCEPTIONS,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ConnectionChannelError, InvalidFrameError
from faststream.exceptions import FastStreamException
from msgspec import Struct

from emailhub.adapters.rabbit.options import RabbitOptions

_INSIST_SECONDS = 1.0


class Lost(Exception):
    """A connection, a channel or the consumer on it is gone; everything is built anew."""


FAILURES: tuple[type[Exception], ...] = (*CONNECTION_EXCEPTIONS, FastStreamException, Lost)
"""All that talking to RabbitMQ can raise (TimeoutError is an OSError)."""


class Trouble(Struct, frozen=True):
    """Why we are not connected: `text` for a human; `lasting` when waiting alone will hardly help; `absent` when the
    queue does not exist."""

    text: str
    lasting: bool = False
    absent: bool = False


@contextmanager
def amqp_call() -> Iterator[None]:
    """Set right what the AMQP library makes of cancellation.

    A call cut off by a closing connection raises CancelledError, though nobody cancelled us: Lost. When somebody did,
    it may answer with another error or none: CancelledError, or a loop that goes on after the call would never end.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if _cancelled():
            raise
        raise Lost("the connection closed") from error
    except Exception:
        if _cancelled():
            raise asyncio.CancelledError from None
        raise
    if _cancelled():
        raise asyncio.CancelledError


def _cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def end(*tasks: asyncio.Task[Any]) -> None:
    """Cancel `tasks` until they have ended, whatever the AMQP library swallows. What they raise is dropped."""
    while running := [task for task in tasks if not task.done()]:
        for task in running:
            task.cancel()
        await asyncio.wait(running, timeout=_INSIST_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)


def explain(error: BaseException, options: RabbitOptions) -> Trouble:
    """`error`, raised while connecting or connected, in words that name the next step and never the password."""
    if refusal := _refusal(error, options):
        return Trouble(refusal, lasting=True)
    text = plain(error)
    if isinstance(error, ChannelNotFoundEntity):
        return Trouble(f"{text}; waiting until somebody creates it", absent=True)
    if isinstance(error, TimeoutError):
        return Trouble(f"no answer from RabbitMQ at {options.place} in {options.connect:g} s")
    if isinstance(error, Lost):
        return Trouble(text)
    return Trouble(f"no connection to RabbitMQ at {options.place}: {text}")


def _refusal(error: BaseException, options: RabbitOptions) -> str:
    """What RabbitMQ, or we, refuse until a human changes something, or ""."""
    text = plain(error)
    if isinstance(error, ProbableAuthenticationError):
        return (
            f"RabbitMQ at {options.place} refused the login of user {options.user!r}: "
            "check user and password in RABBITMQ_URL"
        )
    if isinstance(error, ChannelAccessRefused):
        return f"RabbitMQ refused a permission: {text}; grant user {options.user!r} the right"
    if isinstance(error, ChannelPreconditionFailed):
        return f"RabbitMQ refused to make what was asked for: {text}; check EMAILHUB_QUEUE_ARGUMENTS"
    if isinstance(error, ChannelLockedResource):
        return f"the queue belongs to another connection alone: {text}"
    if _refuses_vhost(error, text):
        return (
            f"RabbitMQ at {options.place} does not let user {options.user!r} into vhost {options.vhost!r}: "
            "create it, or grant the user access"
        )
    if isinstance(error.__cause__, ssl.SSLCertVerificationError):
        return f"the certificate of RabbitMQ at {options.place} is not trusted: {error.__cause__}"
    return ""


def plain(error: BaseException) -> str:
    """The server's or the system's own words, on one line; the class when there are none."""
    words = " ".join(str(part) for part in error.args if isinstance(part, str)) or str(error)
    return " ".join(words.split()) or type(error).__name__


def _refuses_vhost(error: BaseException, text: str) -> bool:
    # The library loses the server's words here; but nothing else is closed in place of being opened.
    if isinstance(error, InvalidFrameError) and "OpenOk" in text and "Connection.Close" in text:
        return True
    # A vhost that is still starting is refused with the same code; that passes.
    return "NOT_ALLOWED" in text and "is down" not in text and not isinstance(error, ConnectionChannelError)
