-- Addresses nothing is sent to. AUTOINCREMENT because pages of the list resume by id and an id must never come back.
CREATE TABLE suppression (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    -- In lower case.
    address TEXT NOT NULL UNIQUE,
    origin  TEXT NOT NULL CHECK (origin IN ('bounce', 'complaint', 'unsubscribe', 'manual')),
    note    TEXT NOT NULL DEFAULT '',
    face    TEXT NOT NULL,
    actor   TEXT NOT NULL DEFAULT '',
    -- The id of the message that was refused; it may be erased by now.
    message TEXT,
    since   REAL NOT NULL
) STRICT;

-- What waits for an address is found when that is suppressed, in whatever case it was written.
DROP INDEX recipient_address;
CREATE INDEX recipient_address ON recipient (address COLLATE NOCASE, seq);
