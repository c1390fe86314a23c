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

    @property
    def disk_low(self) -> bool:
        """Whether the free space is the reserve, which is not for new messages."""
        return self.free_disk is not None and self.free_disk < self.disk_reserve

    def lack(self) -> Refused | None:
        """What new messages are turned away for; None while there is room."""
        if self.waiting >= self.most_waiting:
            return Refused(
                "outbox_full",
                f"{self.waiting} messages wait already, the limit is {self.most_waiting} (EMAILHUB_MAX_WAITING)",
                retry_after=30.0,
            )
        if self.free_disk is not None and self.disk_low:
            return Refused(
                "disk_full",
                f"only {self.free_disk // 1048576} MiB are free on the disk, "
                f"{self.disk_reserve // 1048576} MiB are kept back (EMAILHUB_DISK_RESERVE)",
                retry_after=60.0,
            )
        return None

    def check(self) -> None:
        """Raises Refused when nothing more can be taken, saying why and when to come back."""
        if self.stopping:
            raise Refused("service_unavailable", "emailhub is stopping: send it again in a few seconds")
        lack = self.lack()
        if lack is not None:
            raise lack

    def spend(self, size: int) -> None:
        """`size` bytes of bodies are about to be stored; without this a fast second could eat the whole reserve."""
        if self.free_disk is not None:
            # Once in the write-ahead log, and once more when that is copied into the database.
            self.free_disk -= 2 * size
