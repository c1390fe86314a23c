"""Reading properties that are not what AMQP says they are.

RabbitMQ passes a publisher's properties on unread. pamqp raises on text that is not UTF-8 and on times beyond the
calendar, which closes the connection; the message goes back to the queue and closes the next one, and nothing behind it
is ever taken.
"""

from __future__ import annotations

from pamqp import decode
from pamqp.base import BasicProperties

_strict_text = decode.short_str
_strict_properties = BasicProperties.unmarshal


def read_leniently() -> None:
    """From now on, in this process: names that are not UTF-8 are read as Latin-1, and of properties that cannot be
    read at all, that one and those behind it stay empty."""
    decode.METHODS["shortstr"] = _text
    BasicProperties.unmarshal = _properties  # type: ignore[method-assign]


def _text(value: bytes) -> tuple[int, str]:
    try:
        return _strict_text(value)
    except UnicodeDecodeError:
        end = value[0] + 1
        return end, value[1:end].decode("latin-1")


def _properties(self: BasicProperties, flags: int, data: bytes) -> None:
    try:
        _strict_properties(self, flags, data)
    except (ValueError, ArithmeticError, LookupError, OSError):
        # Whatever it was, the body may still be a good request, and the properties before it have been read.
        return
