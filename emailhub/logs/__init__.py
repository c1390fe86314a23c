"""Structured logs: an event name and fields, one line each.

    log = logs.get("courier")
    with logs.bound(message_id=job.id, correlation_id=job.correlation_id):
        log.info("sent", relay="default", seconds=0.2)

What is bound is on every line inside the block, also in tasks started there. Secrets, bodies and, by a setting,
addresses never reach a line; writing happens on a thread of its own, so that a blocked pipe stalls nobody.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from typing import IO

from emailhub.logs.redact import Redactor
from emailhub.logs.render import Entry, as_console, as_json
from emailhub.logs.writer import Writer, to_stream

__all__ = ["Log", "bind", "bound", "close", "configure", "context", "get", "hide"]

ROOT = "emailhub"
_FIELDS = "emailhub_fields"
_SILENT = ("aio_pika", "aiormq", "pamqp")
"""These write tracebacks at every normal loss of a connection, which our own events tell in one line."""
_LOUD = ("aiosqlite", "httpcore", "httpx", "aiosmtplib", "faststream", "asyncio", "multipart", "uvicorn", "litestar")
"""Below warning these write statements with their parameters, requests with their URLs, or mere noise."""
_FLUSH_SECONDS = 2.0

_context: ContextVar[Mapping[str, object]] = ContextVar("emailhub_log_context", default={})  # noqa: B039 - never changed
_redactor = Redactor()
_secrets: set[str] = set()


class Log:
    """Writes the events of one component. Event names are short and stable; what varies goes into fields."""

    __slots__ = ("_component", "_logger")

    def __init__(self, component: str) -> None:
        self._component = component
        self._logger = logging.getLogger(f"{ROOT}.{component}")

    def debug(self, event: str, /, **fields: object) -> None:
        """What only someone hunting a fault in emailhub wants to see."""
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        """What happened, as it should."""
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        """What went wrong and heals by itself."""
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, /, *, exc: BaseException | None = None, **fields: object) -> None:
        """What needs a human. `exc` adds its traceback."""
        self._write(logging.ERROR, event, fields, exc)

    def _write(self, level: int, event: str, fields: dict[str, object], exc: BaseException | None = None) -> None:
        if not self._logger.isEnabledFor(level):
            return
        handlers = logging.root.handlers
        handler = handlers[0] if len(handlers) == 1 else None
        if isinstance(handler, _Handler) and exc is None:
            # The library's way to the same handler takes twice as long as all that has to be done.
            handler.take(level, self._component, event, fields)
        else:
            self._logger.log(level, event, extra={_FIELDS: fields}, exc_info=exc)


def get(component: str) -> Log:
    """The log of `component`, such as `courier` or `rabbit`."""
    return Log(component)


class bound:  # noqa: N801 - it reads as the verb it is
    """Put `fields` on every line written inside the block: `with bound(message_id=id):`."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: object) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _context.set({**_context.get(), **self._fields})

    def __exit__(self, *_: object) -> None:
        _context.reset(self._token)


def bind(**fields: object) -> None:
    """Put `fields` on every further line of this task and those it starts."""
    _context.set({**_context.get(), **fields})


def context() -> Mapping[str, object]:
    """What is bound here."""
    return _context.get()


def hide(*secrets: str) -> None:
    """Never write any of `secrets`, whoever passes it in. Call it at start with every secret that is configured."""
    _secrets.update(secrets)
    for secret in secrets:
        _redactor.hide(secret)


def configure(
    level: str = "info",
    format: str = "auto",
    stream: IO[str] | None = None,
    addresses: str = "full",
) -> None:
    """Send every log line of the process to `stream` (standard output) and nowhere else.

    `level`: debug, info, warning or error, for emailhub's own events; libraries are heard from warning on. `format`:
    console, json or auto (console on a terminal). `addresses`: full or masked. Calling it again replaces what was.
    """
    global _redactor  # noqa: PLW0603 - one log a process
    close()
    target = sys.stdout if stream is None else stream
    terminal = target.isatty()
    _redactor = Redactor(masked=addresses == "masked")
    hide(*_secrets)
    console = format == "console" or (format == "auto" and terminal)
    handler = _Handler(target, console=console, colour=terminal and not os.environ.get("NO_COLOR"))
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level.upper())
    logging.captureWarnings(capture=True)
    # Nobody reads these, and finding them is half the cost of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    _tame_libraries()


def close(timeout: float = _FLUSH_SECONDS) -> bool:
    """Write what is waiting, at most `timeout` seconds long, and stop. True when every line is out."""
    finished = True
    for handler in [handler for handler in logging.root.handlers if isinstance(handler, _Handler)]:
        logging.root.removeHandler(handler)
        finished = handler.finish(timeout) and finished
    return finished


def _tame_libraries() -> None:
    for name in _SILENT:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.handlers.clear()
        logger.propagate = True


class _Handler(logging.Handler):
    """Makes a line of a record where it happens, because what is bound is known only there, and hands it over."""

    def __init__(self, stream: IO[str], *, console: bool, colour: bool) -> None:
        super().__init__()
        self._console = console
        self._colour = colour
        self._writer = Writer(to_stream(stream), self._notice)
        self._finished = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            event, trace = record.getMessage(), _trace(record)
        except Exception:  # noqa: BLE001 - a value whose str() fails must not stop who logged it
            self._writer.drop()
            return
        component, fields = record.name.removeprefix(f"{ROOT}."), getattr(record, _FIELDS, {})
        self.take(record.levelno, component, event, fields, at=record.created, trace=trace)

    def take(
        self,
        level: int,
        component: str,
        event: str,
        fields: Mapping[str, object],
        *,
        at: float | None = None,
        trace: str = "",
    ) -> None:
        """Make a line of an event and of what is bound here. Never raises, never blocks."""
        bound = _context.get()
        try:
            clean = _redactor.fields({**bound, **fields} if bound else fields)
            moment = time.time() if at is None else at
            self._writer.put(self._line(Entry(moment, level, component, _redactor.text(event), clean, trace)))
        except Exception:  # noqa: BLE001 - a value whose str() fails must not stop who logged it
            self._writer.drop()

    def finish(self, timeout: float) -> bool:
        """Write what is waiting and stop; True when every line is out."""
        self._finished = True
        super().close()
        return self._writer.close(timeout)

    def close(self) -> None:
        """Called at interpreter exit for whoever forgot to."""
        if not self._finished:
            self.finish(_FLUSH_SECONDS)

    def _line(self, entry: Entry) -> str:
        return as_console(entry, colour=self._colour) if self._console else as_json(entry)

    def _notice(self, dropped: int) -> str:
        return self._line(Entry(time.time(), logging.WARNING, "logs", "lines dropped", {"lines": dropped}))


def _trace(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return ""
    return _redactor.text("".join(traceback.format_exception(record.exc_info[1])).rstrip())
