"""The transaction engine alone beside aiosmtplib, as rows: ready bytes, fifty kept connections, no queue."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.line import Case, Line, Place
from bench.processes import our_load

_CONNECTIONS = 50
_TITLES = {
    "aiosmtplib": "aiosmtplib.sendmail alone",
    "data": "transaction engine alone, DATA",
    "bdat": "transaction engine alone, BDAT",
}


def _case(key: str, way: str, *, share: float, latency: float = 0.0) -> Case:
    @contextmanager
    def start(place: Place) -> Iterator[Line]:
        yield Line(lambda first, count: our_load("engine", way, place.sink, first, count, _CONNECTIONS))

    return Case(key, "engine", _TITLES[way], start, lambda: "", latency=latency, share=share, chunking=True)


def cases() -> list[Case]:
    """Each way against both servers."""
    return [
        _case("aiosmtplib", "aiosmtplib", share=2),
        _case("engine", "data", share=4),
        _case("engine-bdat", "bdat", share=4),
        _case("aiosmtplib-20", "aiosmtplib", share=0.5, latency=0.02),
        _case("engine-20", "data", share=1, latency=0.02),
        _case("engine-bdat-20", "bdat", share=2, latency=0.02),
    ]
