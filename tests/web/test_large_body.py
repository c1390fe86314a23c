"""A large body is looked at in slices: what is read, and what is wrong with it, is the same as in one go."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emailhub.core.errors import InvalidMessage
from emailhub.engine.lag import LagWatch
from emailhub.web import body, lifting
from emailhub.web.errors import WebError
from tests.support.web_hub import WebHub

TEXTS = st.text(st.sampled_from('aü日🎉"\\/\n\ud83c\udc00'), max_size=8)
DOCUMENTS = st.dictionaries(TEXTS, st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3), max_leaves=6))


def outcome(source: bytes) -> Any:
    try:
        return body.parsed(source)
    except InvalidMessage as error:
        return error.problems
    except WebError as error:
        return error.problems


@settings(max_examples=200)
@given(DOCUMENTS, st.booleans(), st.binary(max_size=3), st.integers(0, 60), st.integers(1, 9))
def test_in_slices_the_same_is_read_and_refused_as_in_one_go(
    document: object, escaped: bool, garbage: bytes, at: int, size: int
) -> None:
    source = json.dumps(document, ensure_ascii=escaped).encode(errors="surrogatepass")
    source = source[:at] + garbage + source[at:]
    whole = outcome(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(body, "_SMALL", -1)
        patch.setattr(body, "_SLICE", size)
        assert outcome(source) == whole


@given(st.lists(st.sampled_from([b'"content"', b'"html"', b'"', b"content", b"x"]), max_size=8), st.integers(1, 12))
def test_a_name_is_found_wherever_a_slice_ends(pieces: list[bytes], size: int) -> None:
    source = b"".join(pieces)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lifting, "_SLICE", size)
        found = lifting._named(source, 0)
        places = [at for at in (source.find(b'"content"'), source.find(b'"html"')) if at >= 0]
        assert (found.start() if found else None) == min(places, default=None)


@pytest.mark.parametrize("one", (b'{"a":1}', b"[]", b'"ab"'))
async def test_a_body_of_millions_of_values_is_refused_and_meanwhile_the_loop_goes_on(one: bytes, hub: WebHub) -> None:
    source = b'{"tags":[' + b",".join([one] * 2_000_000) + b"]}"
    late: list[float] = []
    beats = asyncio.create_task(LagWatch(late.append, late.append).run())
    used = time.thread_time()
    answer = await hub.client.post("/emails", content=source, headers={"content-type": "application/json"})
    used = time.thread_time() - used
    beats.cancel()
    assert answer.status_code == 422
    assert "more than 200,000 values" in answer.json()["message"]
    assert used < 0.2, "the loop itself has nothing to do with it; parsing it would take over a second"
    assert max(late, default=0.0) < 1.0
