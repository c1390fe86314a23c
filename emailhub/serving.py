"""The process: runs one hub, and gives what ended it in words and as an exit code."""

from __future__ import annotations

import os

import uvloop

from emailhub import descriptors, logs
from emailhub.app import Hub
from emailhub.core.errors import OutboxBusy, OutboxError, OutboxFull, OutboxUnusable
from emailhub.parts import EXIT_FAILED
from emailhub.reload import Read
from emailhub.settings import Loaded

EXIT_BUSY = 75
EXIT_CONFIG = 78

log = logs.get("app")


def serve(loaded: Loaded, read: Read) -> int:
    """Run emailhub until it is told to stop; the exit code: 0 stopped, 70 a part died, 75 busy or full, 78 not usable.

    `read` gives the settings anew when somebody asks for them to be reloaded.
    """
    settings = loaded.settings
    logs.configure(settings.log_level, settings.log_format, addresses=settings.log_addresses)
    logs.hide(*settings.secrets())
    for warning in loaded.warnings:
        log.warning("setting", text=warning)
    os.umask(0o077)
    descriptors.widen()
    try:
        return uvloop.run(Hub(loaded, read).run())
    except OutboxBusy as error:
        log.error("outbox busy", text=str(error))
        return EXIT_BUSY
    except OutboxFull as error:
        # What the last process left open must be closed before anything is sent, and cannot be written down.
        log.error("cannot start yet", text=str(error))
        return EXIT_BUSY
    except (OutboxUnusable, OSError) as error:
        log.error("cannot start", text=str(error))
        return EXIT_CONFIG
    except OutboxError as error:
        log.error("cannot start", text=str(error))
        return EXIT_FAILED
    finally:
        logs.close()
