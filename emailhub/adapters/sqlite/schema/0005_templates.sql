-- Templates made over the API or in the dashboard, with the versions of each. A version never changes.

CREATE TABLE template (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    -- What messages may call it by, beside its id.
    alias        TEXT UNIQUE,
    created_at   REAL NOT NULL,
    updated_at   REAL NOT NULL,
    newest       INTEGER NOT NULL CHECK (newest > 0),
    -- The version messages are made from; none: it does not send.
    published    INTEGER,
    published_at REAL,
    CHECK ((published IS NULL) = (published_at IS NULL)),
    CHECK (published BETWEEN 1 AND newest)
) STRICT, WITHOUT ROWID;

CREATE TABLE template_version (
    template TEXT NOT NULL REFERENCES template (id) ON DELETE CASCADE,
    number   INTEGER NOT NULL CHECK (number > 0),
    saved_at REAL NOT NULL,
    saved_by TEXT NOT NULL,
    note     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    -- All of it, as JSON; the subject too, which lists read without the rest.
    wording  TEXT NOT NULL,
    PRIMARY KEY (template, number)
) STRICT, WITHOUT ROWID;

-- What happened to a template, found among everything that concerns no message and no relay.
CREATE INDEX event_template ON event (json_extract(data, '$.template'), id) WHERE seq IS NULL AND relay IS NULL;
