-- What failed last and why, so that reasons are counted without a look at the messages.
CREATE INDEX message_failed ON message (final_at, last, recipients) WHERE state = 'failed';
