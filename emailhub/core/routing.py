"""Which relay a message belongs to, and which others may carry it: by the sender's domain, priority and weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct


class Route(Struct, frozen=True, kw_only=True):
    """What a relay may be asked for.

    `domains` are patterns the sender's domain must match (`matches`), none: every domain. The lower `priority` the
    sooner it is asked; `weight` divides mail among those of the same priority, 0: only what covers for others.
    `draining`: no new mail.
    """

    name: str
    domains: tuple[str, ...] = ()
    priority: int = 0
    weight: int = 1
    draining: bool = False

    def carries(self, domain: str) -> bool:
        """Whether it may send for `domain` (lower case, ASCII)."""
        return not self.domains or any(matches(pattern, domain) for pattern in self.domains)


def matches(pattern: str, domain: str) -> bool:
    """`example.com` is that domain alone, `*.example.com` every sub-domain of it but not itself."""
    if pattern.startswith("*."):
        return domain.endswith(pattern[1:]) and len(domain) > len(pattern) - 1
    return domain == pattern


def domain_of(address: str) -> str:
    """The domain of an addr-spec in lower case; "" when it has none."""
    return address.rpartition("@")[2].lower() if "@" in address else ""


class Router:
    """The routes of all relays that send. Pure: `draw` in [0, 1) is the caller's randomness."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes: tuple[Route, ...] = tuple(sorted(routes, key=lambda r: (r.priority, -r.weight, r.name)))
        first = self.routes[0] if len(self.routes) == 1 else None
        self._only = first.name if first and not first.domains and not first.draining else None

    @property
    def uniform(self) -> bool:
        """True when no route asks for the sender's domain: what holds for one domain holds for all."""
        return not any(route.domains for route in self.routes)

    def candidates(self, domain: str) -> tuple[Route, ...]:
        """All that may carry mail of `domain`, the best first: by priority, then the larger weight, then name."""
        return tuple(route for route in self.routes if route.carries(domain))

    def home(self, domain: str, draw: float) -> str | None:
        """Where a new message of `domain` belongs; None when no relay that takes new mail may send for it."""
        if self._only is not None:
            return self._only
        open = [route for route in self.candidates(domain) if not route.draining]
        takers = [route for route in open if route.weight > 0] or open
        best = [route for route in takers if route.priority == takers[0].priority]
        return _drawn(best, draw).name if best else None


def _drawn(routes: Sequence[Route], draw: float) -> Route:
    point = draw * sum(route.weight for route in routes)
    for route in routes:
        point -= route.weight
        if point < 0:
            return route
    # All weights are 0, or the last sliver was lost to rounding.
    return routes[0]
