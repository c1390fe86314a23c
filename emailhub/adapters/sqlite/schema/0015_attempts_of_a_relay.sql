-- The latest attempts over one relay, however many there were over others since.
CREATE INDEX attempt_relay ON attempt (relay);
