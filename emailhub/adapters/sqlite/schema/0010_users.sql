-- The people who log in to the dashboard, their log-ins that go on, and where each has logged in from before.

CREATE TABLE user (
    name       TEXT PRIMARY KEY,
    role       TEXT NOT NULL CHECK (role IN ('viewer', 'operator')),
    -- argon2id, in the form that names its parameters.
    password   TEXT NOT NULL,
    since      REAL NOT NULL,
    last_login REAL
) STRICT, WITHOUT ROWID;

-- user is no reference: the account whose password is a setting has no row.
CREATE TABLE session (
    -- The hash of the token: who reads this file logs in with none of them.
    digest BLOB PRIMARY KEY,
    user   TEXT NOT NULL,
    began  REAL NOT NULL,
    seen   REAL NOT NULL,
    peer   TEXT NOT NULL,
    agent  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX session_user ON session (user);

-- Networks somebody has logged in from: guesses from elsewhere keep nobody out there.
CREATE TABLE place (
    user TEXT NOT NULL,
    peer TEXT NOT NULL,
    at   REAL NOT NULL,
    PRIMARY KEY (user, peer)
) STRICT, WITHOUT ROWID;
