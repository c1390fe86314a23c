"""The outbox on SQLite: one writing connection with group commit, readers that cannot write."""

from emailhub.adapters.sqlite.database import Database, open_database
from emailhub.adapters.sqlite.history import SqliteHistory
from emailhub.adapters.sqlite.outbox import SqliteOutbox

__all__ = ["Database", "SqliteHistory", "SqliteOutbox", "open_database"]
