-- Whom answers go to, as a JSON list, and the template a message was made from.
ALTER TABLE message ADD COLUMN reply_to TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN template TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN template_version TEXT NOT NULL DEFAULT '';
ALTER TABLE message ADD COLUMN template_language TEXT NOT NULL DEFAULT '';

CREATE INDEX message_template ON message (template, seq) WHERE template <> '';
