"""Who has to wait after wrong passwords. Times are given."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from ipaddress import IPv6Address, IPv6Network

from msgspec import Struct

from emailhub.engine.origins import address


class _Record(Struct):
    failures: int
    last: float
    until: float


class Backoff:
    """Who has to wait after wrong passwords: `free` tries, then 1, 2, 4 … minutes up to `cap` seconds.

    Failures are forgotten `forget` seconds after the last one. At most `capacity` names are kept; the one that failed
    longest ago makes room, so that an attacker with many addresses cannot fill the memory.
    """

    def __init__(
        self, *, free: int = 5, first: float = 60.0, cap: float = 960.0, forget: float = 86400.0, capacity: int = 4096
    ) -> None:
        self._free = free
        self._first = first
        self._cap = cap
        self._forget = forget
        self._capacity = capacity
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def wait(self, who: str, now: float) -> float:
        """Seconds until `who` may try again; 0 when at once."""
        record = self._records.get(who)
        return max(record.until - now, 0.0) if record else 0.0

    def failed(self, who: str, now: float) -> None:
        """`who` gave a wrong password."""
        record = self._records.pop(who, None)
        failures = 1 if record is None or now - record.last >= self._forget else record.failures + 1
        beyond = failures - self._free
        wait = min(self._first * 2.0 ** min(beyond, 16), self._cap) if beyond >= 0 else 0.0
        self._records[who] = _Record(failures, now, now + wait)
        while len(self._records) > self._capacity:
            self._records.popitem(last=False)

    def succeeded(self, who: str) -> None:
        """`who` gave the right password: the count starts again."""
        self._records.pop(who, None)


class Guesses:
    """Wrong passwords, counted for the name and for the network they come from.

    Where somebody has logged in before, only what was guessed from that very network makes them wait: otherwise a
    stranger with five guesses could keep the operator out.
    """

    def __init__(self) -> None:
        self._names = Backoff()
        self._networks = Backoff()
        self._places: OrderedDict[tuple[str, str], None] = OrderedDict()

    def know(self, places: Iterable[tuple[str, str]]) -> None:
        """These names have logged in from these networks."""
        for name, network in places:
            self._remember(name, network)

    def wait(self, name: str, network: str, now: float) -> float:
        """Seconds until a password for `name` is looked at again; 0 when at once."""
        here = self._networks.wait(network, now)
        return here if (name, network) in self._places else max(here, self._names.wait(name, now))

    def wrong(self, name: str, network: str, now: float) -> None:
        """The password was not right."""
        self._networks.failed(network, now)
        if (name, network) not in self._places:
            self._names.failed(name, now)

    def right(self, name: str, network: str) -> None:
        """The password was right: the counts start again."""
        self._networks.succeeded(network)
        self._names.succeeded(name)
        self._remember(name, network)

    def _remember(self, name: str, network: str) -> None:
        self._places[name, network] = None
        self._places.move_to_end((name, network))
        while len(self._places) > _PLACES:
            self._places.popitem(last=False)


_PLACES = 10_000


def network_of(client: str) -> str:
    """The address, or for IPv6 its /64: whoever has one address there has all of them."""
    found = address(client)
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else client
