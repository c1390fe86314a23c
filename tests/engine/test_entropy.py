"""Random bytes by the page: none is given twice, whoever asks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import count

from emailhub.engine.entropy import Entropy


def numbered() -> Entropy:
    """Entropy out of a system that gives every four bytes once."""
    numbers = count()
    return Entropy(lambda size: b"".join(next(numbers).to_bytes(4, "big") for _ in range(-(-size // 4)))[:size])


def test_no_bytes_are_given_twice_over_many_pages() -> None:
    entropy = numbered()
    given = [entropy(20) for _ in range(2000)]
    assert {len(one) for one in given} == {20}
    pieces = [one[at : at + 4] for one in given for at in range(0, 20, 4)]
    assert len(set(pieces)) == len(pieces)


def test_threads_that_ask_at_the_same_time_get_different_bytes() -> None:
    entropy = Entropy()
    with ThreadPoolExecutor(8) as threads:
        given = list(threads.map(lambda _: entropy(10), range(20_000)))
    assert len(set(given)) == len(given)


def test_more_than_a_page_comes_from_the_system_itself() -> None:
    assert len(Entropy()(10_000)) == 10_000
