-- What somebody wants done to many messages, and how far it is.
CREATE TABLE bulk (
    id       TEXT PRIMARY KEY,
    made_at  REAL NOT NULL,
    phase    TEXT NOT NULL CHECK (phase IN ('running', 'stopped', 'done')),
    -- As JSON: see core.bulk.Order.
    wanted   TEXT NOT NULL,
    total    INTEGER NOT NULL,
    done     INTEGER NOT NULL DEFAULT 0,
    skipped  INTEGER NOT NULL DEFAULT 0,
    -- The number of the last message looked at.
    at       INTEGER NOT NULL DEFAULT 0,
    why      TEXT NOT NULL DEFAULT '',
    ended_at REAL,
    ended_by TEXT NOT NULL DEFAULT '',
    CHECK ((ended_at IS NULL) = (phase = 'running'))
) STRICT, WITHOUT ROWID;

CREATE INDEX bulk_running ON bulk (id) WHERE phase = 'running';
