-- Bodies from the queue that could not be read, kept for whoever decides about them; also after RabbitMQ has them.
CREATE TABLE dead_letter (
    -- Pages go on after an id, and messages name one, so none must ever come back.
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    at             REAL NOT NULL,
    reason         TEXT NOT NULL,
    -- Empty once it was erased, or when its publisher asked that no content is kept.
    body           BLOB,
    size           INTEGER NOT NULL,
    headers        TEXT NOT NULL,
    content_type   TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    status         TEXT NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resent', 'discarded')),
    settled_at     REAL,
    actor          TEXT NOT NULL DEFAULT '',
    note           TEXT NOT NULL DEFAULT '',
    -- The message it became.
    message        TEXT,
    CHECK ((settled_at IS NULL) = (status = 'open')),
    CHECK ((message IS NOT NULL) = (status = 'resent'))
) STRICT;

CREATE INDEX dead_letter_status ON dead_letter (status, id);
