"""The socket the hub listens on, or in words why there is none."""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from emailhub.core.errors import EmailhubError

BACKLOG = 2048


class CannotListen(EmailhubError, OSError):
    """The address to listen on is taken, not ours, or not allowed."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises CannotListen, saying what to do.

    Listening begins here and not at the start, because only then a second process on the same port is noticed.
    """
    try:
        family, kind, protocol, _, address = _resolved(host, port)
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}: {error.strerror or error}. Set EMAILHUB_HOST.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # `::` means every address, also those of IPv4.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if host == "::" else 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except (OSError, OverflowError) as error:
        listener.close()
        raise CannotListen(_why_not(host, port, error)) from None
    return listener


def _resolved(host: str, port: int) -> tuple[Any, ...]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # `localhost` is usually both; people and health checks type 127.0.0.1.
    return min(found, key=lambda entry: entry[0] != socket.AF_INET)


def _why_not(host: str, port: int, error: OSError | OverflowError) -> str:
    number = getattr(error, "errno", None)
    if number == errno.EADDRINUSE:
        return _taken(host, port)
    if number == errno.EACCES:
        return f"cannot listen on port {port}: ports below 1024 need a privilege. Set EMAILHUB_PORT to a higher one."
    if number == errno.EADDRNOTAVAIL:
        return f"cannot listen on {host}: it is not an address of this machine. Set EMAILHUB_HOST."
    return f"cannot listen on {host} port {port}: {os.strerror(number) if number else error}."


def _taken(host: str, port: int) -> str:
    return (
        f"cannot listen on {host} port {port}: another process listens there. "
        "Is emailhub running already? Stop it, or set EMAILHUB_PORT to a free port."
    )
