-- The durable queue and the history of every message. Times are unix seconds (UTC).

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row per accepted message. state, reason, due_at, attempts and last summarise its recipients and are rewritten
-- in the same transaction as they are, so that lists and the claim read one narrow table.
CREATE TABLE message (
    seq            INTEGER PRIMARY KEY,
    id             TEXT NOT NULL UNIQUE,
    message_id     TEXT NOT NULL,
    relay          TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('queued', 'scheduled', 'sending', 'deferred', 'held',
                                                  'sent', 'failed', 'canceled', 'suppressed')),
    reason         TEXT NOT NULL,
    due_at         REAL,
    priority       INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 2),
    on_unknown     TEXT NOT NULL CHECK (on_unknown IN ('retry', 'hold', 'fail')),
    accepted_at    REAL NOT NULL,
    scheduled_at   REAL,
    expires_at     REAL NOT NULL,
    changed_at     REAL NOT NULL,
    final_at       REAL,
    -- Since when it waits for its first or next try: acceptance, the time it was scheduled for, or the last retry.
    waiting_since  REAL,
    attempts       INTEGER NOT NULL DEFAULT 0,
    troubles       INTEGER NOT NULL DEFAULT 0,
    last           TEXT NOT NULL DEFAULT '',
    face           TEXT NOT NULL,
    origin         TEXT NOT NULL DEFAULT '',
    correlation_id TEXT NOT NULL,
    request_id     TEXT,
    sender         TEXT NOT NULL,
    from_header    TEXT NOT NULL,
    to_header      TEXT NOT NULL,
    recipients     INTEGER NOT NULL CHECK (recipients > 0),
    subject        TEXT NOT NULL,
    size           INTEGER NOT NULL,
    smtputf8       INTEGER NOT NULL CHECK (smtputf8 IN (0, 1)),
    -- Nothing waits without a next time. due_at is empty while an attempt runs, so that a message has one at a time.
    CHECK (state NOT IN ('queued', 'scheduled', 'deferred') OR due_at IS NOT NULL),
    CHECK (due_at IS NULL OR state NOT IN ('sending', 'sent', 'failed', 'canceled', 'suppressed')),
    CHECK ((waiting_since IS NOT NULL) = (state IN ('queued', 'sending', 'deferred'))),
    CHECK ((final_at IS NOT NULL) = (state IN ('sent', 'failed', 'canceled', 'suppressed')))
) STRICT;

-- What is due for a relay, by priority then time.
CREATE INDEX message_due ON message (relay, priority, due_at) WHERE due_at IS NOT NULL;
-- Which messages expire next.
CREATE INDEX message_expires ON message (expires_at) WHERE final_at IS NULL;
-- Which final messages have outlived their keeping.
CREATE INDEX message_final ON message (final_at) WHERE final_at IS NOT NULL;
-- What has waited longest.
CREATE INDEX message_waiting ON message (waiting_since) WHERE waiting_since IS NOT NULL;
CREATE INDEX message_state ON message (state, seq);
CREATE INDEX message_request ON message (request_id, seq) WHERE request_id IS NOT NULL;
CREATE INDEX message_correlation ON message (correlation_id);

-- The bytes and what only one page reads, apart from what lists read.
CREATE TABLE body (
    seq        INTEGER PRIMARY KEY REFERENCES message (seq) ON DELETE CASCADE,
    content    BLOB NOT NULL,
    queue_body BLOB,
    snippet    TEXT NOT NULL DEFAULT '',
    tags       TEXT NOT NULL DEFAULT '[]',
    metadata   TEXT NOT NULL DEFAULT '[]'
) STRICT;

-- One row per recipient: the truth about it. attempts counts those used of the current allowance.
CREATE TABLE recipient (
    id          INTEGER PRIMARY KEY,
    seq         INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    address     TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('to', 'cc', 'bcc')),
    state       TEXT NOT NULL CHECK (state IN ('queued', 'scheduled', 'sending', 'deferred', 'held',
                                               'sent', 'failed', 'canceled', 'suppressed')),
    reason      TEXT NOT NULL,
    due_at      REAL,
    attempts    INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    troubles    INTEGER NOT NULL DEFAULT 0 CHECK (troubles >= 0),
    unknowns    INTEGER NOT NULL DEFAULT 0 CHECK (unknowns >= 0),
    troubled_at REAL,
    wish        TEXT CHECK (wish IN ('cancel', 'hold', 'expire')),
    changed_at  REAL NOT NULL,
    last        TEXT NOT NULL DEFAULT '',
    UNIQUE (seq, address),
    CHECK ((due_at IS NOT NULL) = (state IN ('queued', 'scheduled', 'deferred'))),
    CHECK (wish IS NULL OR state = 'sending')
) STRICT;

CREATE INDEX recipient_address ON recipient (address, seq);

-- One row per SMTP transaction. finished_at is empty while it runs: at most one open per message.
CREATE TABLE attempt (
    id          INTEGER PRIMARY KEY,
    seq         INTEGER NOT NULL REFERENCES message (seq) ON DELETE CASCADE,
    number      INTEGER NOT NULL,
    relay       TEXT NOT NULL,
    started_at  REAL NOT NULL,
    body_at     REAL,
    finished_at REAL,
    counted     INTEGER NOT NULL DEFAULT 0 CHECK (counted IN (0, 1)),
    results     TEXT NOT NULL DEFAULT '[]',
    transcript  TEXT NOT NULL DEFAULT '[]',
    session     TEXT NOT NULL DEFAULT '{}',
    UNIQUE (seq, number)
) STRICT;

CREATE UNIQUE INDEX attempt_open ON attempt (seq) WHERE finished_at IS NULL;

-- Everything that happened, in order; AUTOINCREMENT because live streams resume by id and an id must never come back.
CREATE TABLE event (
    id    INTEGER PRIMARY KEY AUTOINCREMENT,
    at    REAL NOT NULL,
    kind  TEXT NOT NULL,
    seq   INTEGER REFERENCES message (seq) ON DELETE CASCADE,
    relay TEXT,
    data  TEXT NOT NULL DEFAULT '{}'
) STRICT;

CREATE INDEX event_message ON event (seq, id) WHERE seq IS NOT NULL;
-- Events of no message, which are erased by age.
CREATE INDEX event_alone ON event (at) WHERE seq IS NULL;
CREATE INDEX event_relay ON event (relay, id) WHERE relay IS NOT NULL;

-- One namespace for all faces. explicit: other content under this key is a conflict.
CREATE TABLE idempotency_key (
    key         TEXT PRIMARY KEY,
    fingerprint BLOB NOT NULL,
    explicit    INTEGER NOT NULL CHECK (explicit IN (0, 1)),
    id          TEXT NOT NULL,
    created_at  REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_key_created ON idempotency_key (created_at);

-- What must reach the dead-letter queue; a row until RabbitMQ has confirmed it.
CREATE TABLE publication (
    id             INTEGER PRIMARY KEY,
    created_at     REAL NOT NULL,
    reason         TEXT NOT NULL,
    body           BLOB NOT NULL,
    headers        TEXT NOT NULL,
    content_type   TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    message        TEXT,
    recipient      TEXT,
    tries          INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE breaker (
    relay    TEXT PRIMARY KEY,
    snapshot TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Counts per minute, so that the charts survive a restart and cost nothing to read.
CREATE TABLE minute (
    at       INTEGER PRIMARY KEY,
    accepted INTEGER NOT NULL DEFAULT 0,
    sent     INTEGER NOT NULL DEFAULT 0,
    deferred INTEGER NOT NULL DEFAULT 0,
    failed   INTEGER NOT NULL DEFAULT 0
) STRICT;

-- How many messages are in each state, kept by triggers: counting a million rows for a tab would take seconds.
CREATE TABLE tally (
    state    TEXT PRIMARY KEY,
    messages INTEGER NOT NULL CHECK (messages >= 0)
) STRICT, WITHOUT ROWID;

INSERT INTO tally VALUES ('queued', 0), ('scheduled', 0), ('sending', 0), ('deferred', 0), ('held', 0),
                         ('sent', 0), ('failed', 0), ('canceled', 0), ('suppressed', 0);

CREATE TRIGGER message_counted AFTER INSERT ON message BEGIN
    UPDATE tally SET messages = messages + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER message_recounted AFTER UPDATE OF state ON message WHEN OLD.state <> NEW.state BEGIN
    UPDATE tally SET messages = messages - 1 WHERE state = OLD.state;
    UPDATE tally SET messages = messages + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER message_uncounted AFTER DELETE ON message BEGIN
    UPDATE tally SET messages = messages - 1 WHERE state = OLD.state;
END;
