"""The faces: one engine verb per action, reads from the outbox's history."""
