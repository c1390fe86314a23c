-- What people and services did, with who, from where, why and what came of it. Kept longer than what it was done to.

CREATE TABLE audit (
    -- Pages go on after an id, so one must never come back.
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    at     REAL NOT NULL,
    actor  TEXT NOT NULL,
    peer   TEXT NOT NULL,
    what   TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    result TEXT NOT NULL CHECK (result IN ('done', 'refused')),
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX audit_actor ON audit (actor, id);
CREATE INDEX audit_what ON audit (what, id);
CREATE INDEX audit_target ON audit (target, id);
-- Which entries have outlived their keeping.
CREATE INDEX audit_at ON audit (at);
