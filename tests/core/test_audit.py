"""Which events are deeds of somebody, and how they read in the audit log."""

from __future__ import annotations

import pytest

from emailhub.core.audit import deed_of, read_signature, signed
from emailhub.core.records import Scalar

BY = "ann from 10.0.0.7"


@pytest.mark.parametrize(
    ("name", "peer"),
    (("ann", "10.0.0.7"), ("key billing", "2001:db8::7"), ("local", ""), ("note from mars", ""), ("x from y", "::1")),
)
def test_who_signs_is_read_back(name: str, peer: str) -> None:
    assert read_signature(signed(name, peer)) == (name, peer)


def test_an_event_without_an_actor_is_nobodys_deed() -> None:
    assert deed_of("queued", 1.0, {"state": "queued"}, message="M") is None
    assert deed_of("queued", 1.0, {"actor": ""}, message="M") is None


def test_an_event_that_only_repeats_a_name_is_no_second_deed() -> None:
    for kind in ("accepted", "breaker_opened", "breaker_probing", "breaker_closed"):
        assert deed_of(kind, 1.0, {"actor": BY}, message="M") is None


@pytest.mark.parametrize(
    ("kind", "facts", "what", "detail"),
    (
        ("queued", {}, "message.retry", ""),
        ("held", {"text": "held by ann"}, "message.hold", ""),
        ("canceled", {}, "message.cancel", ""),
        ("wish", {"wish": "hold"}, "message.hold", "once the attempt that is under way has ended"),
        ("scheduled", {"text": "rescheduled for 9:00"}, "message.reschedule", "rescheduled for 9:00"),
        ("copied", {"copy": "N", "over": "ses"}, "message.copy", "as N over ses"),
    ),
)
def test_what_is_done_to_a_message_names_it(kind: str, facts: dict[str, Scalar], what: str, detail: str) -> None:
    deed = deed_of(kind, 5.0, {"actor": BY, "note": "asked", **facts}, message="M")
    assert deed is not None
    assert (deed.at, deed.actor, deed.peer, deed.reason, deed.result) == (5.0, "ann", "10.0.0.7", "asked", "done")
    assert (deed.what, deed.target, deed.detail) == (what, "M", detail)


@pytest.mark.parametrize(
    ("kind", "facts", "what", "target", "detail"),
    (
        ("suppression_added", {"address": "a@b.c", "origin": "manual"}, "suppression.add", "a@b.c", "manual"),
        (
            "template_published",
            {"template": "T", "called": "hi", "version": 3},
            "template.publish",
            "T",
            "hi, version 3",
        ),
        ("chaos_set", {"text": "mode down"}, "chaos.set", "", "mode down"),
        ("thing_done", {"thing": "K", "text": "send"}, "thing.done", "K", "send"),
        ("thing_done", {"name": "N"}, "thing.done", "N", ""),
        ("thing_done", {"id": "I"}, "thing.done", "I", ""),
    ),
)
def test_what_is_done_to_anything_else_names_that(
    kind: str, facts: dict[str, Scalar], what: str, target: str, detail: str
) -> None:
    deed = deed_of(kind, 5.0, {"actor": "local", **facts})
    assert deed is not None
    assert (deed.actor, deed.peer, deed.what, deed.target, deed.detail) == ("local", "", what, target, detail)


def test_who_lets_a_suspended_sender_send_is_told_with_the_relay_and_the_domain() -> None:
    deed = deed_of("sender_resumed", 5.0, {"actor": BY, "domain": "example.com"}, relay="ses")
    assert deed is not None
    assert (deed.actor, deed.what, deed.target, deed.detail) == ("ann", "sender.resume", "ses", "example.com")


def test_a_breaker_tells_how_it_was_forced_and_until_when_it_holds() -> None:
    deed = deed_of("breaker_forced", 5.0, {"actor": BY, "mode": "open", "until": 1_800_000_000.0}, relay="ses")
    assert deed is not None
    assert (deed.what, deed.target, deed.detail) == ("breaker.force", "ses", "open until 2027-01-15 08:00:00 UTC")
