"""Into a new outbox with what a damaged one still tells; the old one is only read."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from msgspec import Struct, field

from emailhub.adapters.sqlite import database
from emailhub.adapters.sqlite.salvage import records, tables
from emailhub.adapters.sqlite.salvage.pages import Pages
from emailhub.adapters.sqlite.salvage.records import Row, Value
from emailhub.adapters.sqlite.salvage.tables import Roots, Table


class Saved(Struct):
    """What was saved and what was not, in numbers. `rows` and `dropped` by table.

    `told`: how many messages the damaged file says it had, None when that cannot be read. `unfinished` of the
    `messages` are held for a human. `bare`: messages whose content is lost, `bare_unfinished`: unfinished ones without
    content, which can never be sent. `loose`: contents that are damaged or whose message is lost, kept as files.
    `rebuilt`: recipients whose rows are lost and of whom an index told. `damaged`: pages of tables and indexes that
    cannot be read.
    """

    pages: int = 0
    damaged: int = 0
    version: int = 0
    told: int | None = None
    messages: int = 0
    unfinished: int = 0
    bare: int = 0
    bare_unfinished: int = 0
    loose: int = 0
    rebuilt: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)


def save(source: Path, target: Path, loose: Path, now: float) -> Saved:
    """Read every row of the outbox at `source` and of its log, and write them to `target`, a new file.

    Contents whose message is lost go to the folder `loose`, one .eml file each, made when there are any. Whoever opens
    `target` gets everything unfinished held, because it may have been sent since. Raises FileExistsError, OSError,
    sqlite3.Error.
    """
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    with Pages(source) as pages, closing(sqlite3.connect(target, isolation_level=None)) as connection:
        newest = database.migrations()[-1][0]
        version = pages.version()
        saved = Saved(pages=pages.count, version=version if version and version <= newest else newest)
        database.make(connection, saved.version)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("BEGIN")
        _Saving(pages, connection, saved).run()
        _part_loose(connection, loose, saved)
        _complete(connection, saved)
        connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('restored', ?)", (str(now),))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return saved


_ADDRESSES = "sqlite_autoindex_recipient_1"
"""The index of UNIQUE (seq, address); after them it holds the recipient's id."""
_REBUILD = """
INSERT INTO recipient (id, seq, address, kind, state, reason, due_at, changed_at, last)
SELECT ?1, m.seq, ?2, 'to', m.state, m.reason,
    CASE WHEN m.state IN ('queued', 'scheduled', 'deferred') THEN coalesce(m.due_at, m.expires_at) END, m.changed_at,
    'read from an index: its own row was damaged'
FROM message m WHERE m.seq = ?3 AND NOT EXISTS (SELECT 1 FROM recipient r WHERE r.seq = m.seq AND r.address = ?2)
"""


class _Saving:
    def __init__(self, pages: Pages, connection: sqlite3.Connection, saved: Saved) -> None:
        self._pages = pages
        self._connection = connection
        self._saved = saved
        self._tables = tables.tables_of(connection)
        self._shapes = [*self._tables.values(), *tables.indexes_of(connection)]
        self._roots = (Roots.read(pages) or Roots.of(connection)).pages
        self._seen: dict[int, str] = {}
        self._addresses: list[tuple[Value, ...]] = []

    def run(self) -> None:
        self._saved.told = self._told()
        self._seen.clear()
        for root, name in self._roots.items():
            for page in tables.walk(self._pages, root, self._seen, name):
                self._take(name, page)
        for number in range(1, self._pages.count + 1):
            if number not in self._seen:
                self._take_lost(number)
        self._rebuild()

    def _told(self) -> int | None:
        """The messages counted by state, as the damaged file has them."""
        root = next((root for root, name in self._roots.items() if name == "tally"), 0)
        counts = [row.values[1] for row in self._rows_of(root) if row is not None and len(row.values) == 2]
        whole = [count for count in counts if isinstance(count, int)]
        return sum(whole) if whole and len(whole) == len(counts) else None

    def _rows_of(self, root: int) -> Iterator[Row | None]:
        for page in tables.walk(self._pages, root):
            yield from records.rows(self._pages, page) if page is not None else [None]

    def _take(self, name: str, page: records.Page | None) -> None:
        if page is None:
            self._saved.damaged += 1
        elif name == _ADDRESSES:
            self._addresses += (row.values for row in records.rows(self._pages, page) if row is not None)
        elif table := self._tables.get(name):
            for row in records.rows(self._pages, page):
                self._insert(table, row)

    def _take_lost(self, number: int) -> None:
        """Of a page that no tree leads to: the branch above it may be damaged."""
        page = records.page_of(self._pages, number)
        if page is None or not page.cells:
            return
        found = list(records.rows(self._pages, page))
        name = tables.owner(self._shapes, [row for row in found if row is not None])
        if table := self._tables.get(name):
            for row in found:
                self._insert(table, row)

    def _rebuild(self) -> None:
        """Recipients whose own rows are lost, from the index of their addresses and the state their message shows."""
        for seq, address, id in self._addresses:
            with suppress(sqlite3.IntegrityError):
                self._saved.rebuilt += self._connection.execute(_REBUILD, (id, address, seq)).rowcount

    def _insert(self, table: Table, row: Row | None) -> None:
        if row is None or not table.fits(row):
            self._saved.dropped[table.name] += 1
            return
        names, values = table.names(row), table.stored(row)
        statement = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608
        try:
            self._connection.execute(statement, values)
        except (sqlite3.IntegrityError, OverflowError):
            self._saved.dropped[table.name] += 1


def _part_loose(connection: sqlite3.Connection, loose: Path, saved: Saved) -> None:
    """Keep contents apart whose message, or all of whose recipients, are lost: nobody can say whom they are for.

    And those that are not as they were accepted; no message holds a zero byte, as a page does that was wiped.
    """
    connection.execute("DELETE FROM message WHERE seq NOT IN (SELECT seq FROM recipient)")
    _keep_addresses(connection, loose)
    alone = "seq NOT IN (SELECT seq FROM message)"
    broken = (
        "length(content) > 0 AND (instr(content, x'00') > 0 OR "
        "length(content) <> (SELECT size FROM message WHERE message.seq = body.seq))"
    )
    wanted = f"SELECT seq, content FROM body WHERE length(content) > 0 AND ({alone} OR {broken})"  # noqa: S608
    for seq, content in connection.execute(wanted):
        _keep(loose, f"{seq}.eml", content)
        saved.loose += 1
    saved.bare += connection.execute(f"UPDATE body SET content = x'' WHERE {broken}").rowcount  # noqa: S608
    connection.execute(f"DELETE FROM body WHERE {alone}")  # noqa: S608 - our own words


def _keep_addresses(connection: sqlite3.Connection, loose: Path) -> None:
    """Whom the loose contents are for, where that is known: a line for each, as a table with tabs between."""
    alone = connection.execute(
        "SELECT seq, kind, address, state, last FROM recipient "
        "WHERE seq NOT IN (SELECT seq FROM message) ORDER BY seq, id"
    ).fetchall()
    if alone:
        lines = [("file", "kind", "address", "state", "last"), *((f"{seq}.eml", *rest) for seq, *rest in alone)]
        text = "".join("\t".join(" ".join(str(cell).split()) for cell in line) + "\n" for line in lines)
        _keep(loose, "recipients.tsv", text.encode())


def _keep(folder: Path, name: str, content: bytes) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)


def _complete(connection: sqlite3.Connection, saved: Saved) -> None:
    """Make what is there whole: no row belongs to nothing, every message has a body and the state of its recipients."""
    saved.bare += connection.execute(
        "INSERT INTO body (seq, content) SELECT seq, x'' FROM message WHERE seq NOT IN (SELECT seq FROM body)"
    ).rowcount
    for table, column, parent, key in _references(connection):
        connection.execute(f"DELETE FROM {table} WHERE {column} NOT IN (SELECT {key} FROM {parent})")  # noqa: S608
    # Of these only recipients that had ended were saved: there is nothing left to wait for.
    connection.execute(
        "UPDATE message SET state = r.state, reason = r.reason, final_at = r.changed_at, due_at = NULL, "
        "waiting_since = NULL FROM (SELECT seq, state, reason, max(changed_at) AS changed_at FROM recipient "
        "GROUP BY seq) AS r WHERE r.seq = message.seq AND message.final_at IS NULL AND NOT EXISTS (SELECT 1 "
        "FROM recipient u WHERE u.seq = message.seq AND u.state NOT IN ('sent', 'failed', 'canceled', 'suppressed'))"
    )
    _count(connection, saved)


def _references(connection: sqlite3.Connection) -> Sequence[tuple[str, str, str, str]]:
    """What points where: table, its column, the other table, and that one's column."""
    return connection.execute(
        'SELECT t.name, k."from", k."table", k."to" FROM sqlite_schema t, pragma_foreign_key_list(t.name) k '
        "WHERE t.type = 'table'"
    ).fetchall()


def _count(connection: sqlite3.Connection, saved: Saved) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall():
        saved.rows[name] = connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
    saved.messages = saved.rows["message"]
    saved.unfinished, saved.bare_unfinished = connection.execute(
        "SELECT count(*), count(*) FILTER (WHERE length(content) = 0) FROM message JOIN body USING (seq) "
        "WHERE final_at IS NULL"
    ).fetchone()
