-- The words of messages, for the search. Filled behind the mail.
CREATE VIRTUAL TABLE search USING fts5 (subject, people, sender, tags, tokenize = 'unicode61 remove_diacritics 2');

CREATE TRIGGER message_unsearchable AFTER DELETE ON message BEGIN
    DELETE FROM search WHERE rowid = OLD.seq;
END;

-- Files attached.
ALTER TABLE message ADD COLUMN files INTEGER NOT NULL DEFAULT 0;
-- has:attachment: few messages of many have one.
CREATE INDEX message_files ON message (seq) WHERE files > 0;

-- Messages from `since` to `until` are in it. What comes in follows at once, what was there before it the newest first.
CREATE TABLE searchable (
    since INTEGER NOT NULL,
    until INTEGER NOT NULL
) STRICT;

INSERT INTO searchable (since, until) SELECT coalesce(max(seq), 0) + 1, coalesce(max(seq), 0) FROM message;
