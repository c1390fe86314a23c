"""What goes out for a message's content is the same in one go and slice by slice."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emailhub.adapters.smtp import body

contents = st.lists(st.sampled_from((b".", b"\r", b"\n", b"\r\n", b"a", b"a" * 40)), max_size=40).map(b"".join)


@pytest.mark.parametrize("chunked", (False, True))
async def test_slices_make_the_same_as_the_whole(chunked: bool) -> None:
    content = b".one\r\n" * 100_000 + b"..two\n" * 100_000 + b"three\r" * 100_000 + b"."
    whole = body.chunk(body.lines(content)) if chunked else body.stuffed(content)
    assert await body.outgoing(content, chunked=chunked) == whole


@settings(max_examples=200)
@given(contents, st.integers(1, 60))
@example(b"aaaa\r\n.\r\n", 5)
def test_wherever_slices_end_nothing_is_stuffed_twice_or_not_at_all(content: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "SLICE", size)
        assert body._in_slices(content, chunked=False) == body.stuffed(content)
        assert body._in_slices(content, chunked=True) == body.chunk(body.lines(content))
