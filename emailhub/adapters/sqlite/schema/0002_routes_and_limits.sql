-- Several relays: whose mail a message is, what stands in for whom, and how much each relay has carried.

-- The sender's domain decides which relays may carry the message.
ALTER TABLE message ADD COLUMN domain TEXT NOT NULL DEFAULT '';
-- An outcome over its relay was unknown: no other relay may ever send it again.
ALTER TABLE message ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0 CHECK (pinned IN (0, 1));
-- The addresses it was written to, when it goes to others instead: a JSON list.
ALTER TABLE message ADD COLUMN diverted TEXT NOT NULL DEFAULT '';
-- Why another relay than its own carried the message, in words.
ALTER TABLE attempt ADD COLUMN why TEXT NOT NULL DEFAULT '';
-- Recipients the relay took, or may have taken.
ALTER TABLE attempt ADD COLUMN recipients INTEGER NOT NULL DEFAULT 0;

-- What follows the last @: rtrim strips everything behind it, since no character of the rest is one.
UPDATE message SET domain = lower(substr(sender, length(rtrim(sender, replace(sender, '@', ''))) + 1))
WHERE instr(sender, '@') > 0;

UPDATE message SET pinned = 1 WHERE final_at IS NULL AND (
    EXISTS (SELECT 1 FROM recipient r WHERE r.seq = message.seq AND r.unknowns > 0)
    OR EXISTS (SELECT 1 FROM attempt a WHERE a.seq = message.seq AND a.results LIKE '%"kind":"unknown"%')
);

-- What waits because its From may not be sent over its relay: found again when that is over.
CREATE INDEX message_suspended ON message (relay, domain) WHERE due_at IS NOT NULL AND reason = 'sender trouble';

-- The list of one relay's messages: a spare one may have carried ten of a million.
CREATE INDEX message_relay ON message (relay, seq);

-- Recipients each relay took, per minute: a start must not give a used up day away again.
CREATE TABLE usage (
    relay      TEXT NOT NULL,
    at         INTEGER NOT NULL,
    recipients INTEGER NOT NULL,
    PRIMARY KEY (relay, at)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER usage_forgotten AFTER INSERT ON usage BEGIN
    DELETE FROM usage WHERE relay = NEW.relay AND at < NEW.at - 172800;
END;

-- From-domains a relay does not let send.
CREATE TABLE suspension (
    relay    TEXT NOT NULL,
    domain   TEXT NOT NULL,
    since    REAL NOT NULL,
    reply    TEXT NOT NULL,
    next_try REAL NOT NULL,
    tries    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (relay, domain)
) STRICT, WITHOUT ROWID;
