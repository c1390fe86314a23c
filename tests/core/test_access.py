"""Who may do what."""

from __future__ import annotations

import pytest

from emailhub.core.access import ALL, Kind, Principal, Role, Scope


def principal(**facts: object) -> Principal:
    return Principal(kind=Kind.KEY, name="key billing", **facts)  # type: ignore[arg-type]


def test_a_viewer_reads_and_an_operator_does_everything() -> None:
    assert Role.VIEWER.scopes == {Scope.READ}
    assert Role.OPERATOR.scopes == ALL == {Scope.SEND, Scope.READ, Scope.ADMIN}


def test_no_scope_includes_another() -> None:
    for scope in Scope:
        allowed = {needed for needed in Scope if principal(scopes=frozenset({scope})).may(frozenset({needed}))}
        assert allowed == {scope}


def test_one_of_the_scopes_needed_is_enough_and_none_is_not() -> None:
    either = frozenset({Scope.SEND, Scope.READ})
    assert principal(scopes=frozenset({Scope.SEND})).may(either)
    assert not principal(scopes=frozenset({Scope.ADMIN})).may(either)
    assert not principal().may(either)


@pytest.mark.parametrize(
    ("patterns", "domain", "allowed"),
    (
        ((), "example.org", True),
        (("example.org",), "example.org", True),
        (("example.org",), "mail.example.org", False),
        (("example.org",), "badexample.org", False),
        (("*.example.org",), "mail.example.org", True),
        (("*.example.org",), "example.org", False),
        (("example.org", "*.example.org"), "mail.example.org", True),
        (("example.org",), "", False),
    ),
)
def test_a_sender_must_be_of_one_of_the_domains_when_there_are_any(
    patterns: tuple[str, ...], domain: str, *, allowed: bool
) -> None:
    assert principal(from_domains=patterns).may_send_from(domain) is allowed
