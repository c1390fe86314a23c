-- Keys made over the API or in the dashboard, revoked ones too: records name them.
CREATE TABLE api_key (
    id         TEXT PRIMARY KEY,
    -- What it may do, as JSON.
    what       TEXT NOT NULL,
    created_at REAL NOT NULL,
    created_by TEXT NOT NULL,
    -- When, by whom and why it was ended, as JSON.
    revoked    TEXT,
    -- How many messages it gave in the day (of the unix epoch, UTC), as far as that was counted at counted_at.
    day        INTEGER NOT NULL DEFAULT 0,
    given      INTEGER NOT NULL DEFAULT 0 CHECK (given >= 0),
    counted_at REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- A key has two while services change over from the old one.
CREATE TABLE api_secret (
    -- SHA-256 of a text of 160 random bits.
    digest     BLOB PRIMARY KEY CHECK (length(digest) = 32),
    key        TEXT NOT NULL REFERENCES api_key (id) ON DELETE CASCADE,
    start      TEXT NOT NULL,
    created_at REAL NOT NULL,
    ends_at    REAL,
    used_at    REAL
) STRICT, WITHOUT ROWID;

CREATE INDEX api_secret_key ON api_secret (key);
