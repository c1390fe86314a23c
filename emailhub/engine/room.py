"""How much the hub can still take."""

from __future__ import annotations

from msgspec import Struct

from emailhub.core.errors import Refused


class Room(Struct):
    """How much the hub can still take; kept up to date by the keeper, and by intake between its rounds.

    `free_disk` in bytes, None when it cannot be told.
    """

    most_waiting: int
    disk_reserve: int
    waiting: int = 0
    free_disk: int | None = None
    stopping: bool = False

    def check(self) -> None:
        """Raises Refused when nothing more can be taken, saying why and when to come back."""
        if self.stopping:
            raise Refused("service_unavailable", "emailhub is stopping: send it again in a few seconds")
        if self.waiting >= self.most_waiting:
            raise Refused(
                "outbox_full",
                f"{self.waiting} messages wait already, the limit is {self.most_waiting} (EMAILHUB_MAX_WAITING)",
                retry_after=30.0,
            )
        if self.free_disk is not None and self.free_disk < self.disk_reserve:
            raise Refused(
                "disk_full",
                f"only {self.free_disk // 1048576} MiB are free on the disk, "
                f"{self.disk_reserve // 1048576} MiB are kept back (EMAILHUB_DISK_RESERVE)",
                status=507,
                retry_after=60.0,
            )

    def spend(self, size: int) -> None:
        """`size` bytes of bodies are about to be stored; without this a fast second could eat the whole reserve."""
        if self.free_disk is not None:
            # Once in the write-ahead log, and once more when that is copied into the database.
            self.free_disk -= 2 * size
