-- What has waited longest, and how many messages of one relay wait.
DROP INDEX message_waiting;
CREATE INDEX message_waiting ON message (relay, waiting_since) WHERE waiting_since IS NOT NULL;

-- What servers said to messages they did not take: found by a code in it without a look at any other message.
CREATE INDEX message_said ON message (seq, last, recipients) WHERE state <> 'sent' AND (last <> '' OR recipients > 1);
