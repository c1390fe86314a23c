"""What can still be read of a damaged outbox, page by page and without SQLite, put into a new one."""

from emailhub.adapters.sqlite.salvage.saving import Saved, save

__all__ = ["Saved", "save"]
