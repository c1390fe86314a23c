-- How long messages took from acceptance to sent, counted once their minute is over: by minute for two days, by hour
-- for as long as messages are kept. A bucket is a length of time; see core.spread.
CREATE TABLE timing (
    step     INTEGER NOT NULL CHECK (step IN (60, 3600)),
    at       INTEGER NOT NULL,
    bucket   INTEGER NOT NULL CHECK (bucket >= 0),
    messages INTEGER NOT NULL CHECK (messages > 0),
    PRIMARY KEY (step, at, bucket)
) STRICT, WITHOUT ROWID;
