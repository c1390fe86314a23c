-- 0: its sender asked that its content is erased as soon as it is final, and shown to nobody before.
ALTER TABLE message ADD COLUMN store_body INTEGER NOT NULL DEFAULT 1 CHECK (store_body IN (0, 1));
