"""The language of the search: what it means, what it explains, and that nothing can be smuggled through it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.delivery import State
from emailhub.core.query import FIELDS, LONGEST, TERMS, Field, Query, Term, parse, written

NOW = datetime(2026, 11, 24, 15, 30, tzinfo=UTC).timestamp()


def _at(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc, arg-type]


def _one(text: str) -> Term:
    query = parse(text, NOW)
    assert query.mistakes == ()
    (term,) = query.terms
    return term


def _mistake(text: str) -> str:
    (mistake,) = parse(text, NOW).mistakes
    return mistake.text


@pytest.mark.parametrize(
    ("text", "term"),
    (
        ("order", Term(Field.TEXT, "order")),
        ("-order", Term(Field.TEXT, "order", negated=True)),
        ('"your order"', Term(Field.TEXT, "your order", whole=True)),
        ('-"your order"', Term(Field.TEXT, "your order", negated=True, whole=True)),
        ("e-mail", Term(Field.TEXT, "e-mail")),
        ("12:30", Term(Field.TEXT, "12:30")),
        ("ada@example.org", Term(Field.TEXT, "ada@example.org", whole=True)),
        ("ada@exam", Term(Field.TEXT, "ada@exam")),
        ("to:ada", Term(Field.TO, "ada")),
        ("TO:Ada", Term(Field.TO, "Ada")),
        ('subject:"Your order"', Term(Field.SUBJECT, "Your order", whole=True)),
        ("from:shop@example.org", Term(Field.FROM, "shop@example.org", whole=True)),
        ("request:order/17:a", Term(Field.REQUEST, "order/17:a")),
        ("tag:category=welcome", Term(Field.TAG, "category=welcome")),
        ("-relay:spare", Term(Field.RELAY, "spare", negated=True)),
        ("id:01kaq5n3", Term(Field.ID, "01KAQ5N3")),
        ("id:<01KAQ5N3@example.org>", Term(Field.ID, "01KAQ5N3")),
        ("state:failed", Term(Field.STATE, "failed", states=(State.FAILED,))),
        ("state:Failed,held", Term(Field.STATE, "Failed,held", states=(State.FAILED, State.HELD))),
        ("code:550", Term(Field.CODE, "550")),
        ("code:5.1.1", Term(Field.CODE, "5.1.1")),
        ("code:4xx", Term(Field.CODE, "4")),
        ("has:attachments", Term(Field.HAS, "attachment")),
        ("before:2026-11-01", Term(Field.BEFORE, "2026-11-01", at=_at(2026, 11, 1))),
        ("after:2026-11-24T09:30", Term(Field.AFTER, "2026-11-24T09:30", at=_at(2026, 11, 24, 9, 30))),
        ('after:"2026-11-24 09:30:05"', Term(Field.AFTER, "2026-11-24 09:30:05", at=_at(2026, 11, 24, 9, 30, 5))),
        ("after:6h", Term(Field.AFTER, "6h", at=NOW - 6 * 3600)),
        ("after:today", Term(Field.AFTER, "today", at=_at(2026, 11, 24))),
        ("before:yesterday", Term(Field.BEFORE, "yesterday", at=_at(2026, 11, 23))),
    ),
)  # fmt: skip
def test_a_piece_means_one_condition(text: str, term: Term) -> None:
    assert _one(text) == term


def test_all_pieces_count_in_any_order_and_each_once() -> None:
    query = parse('  to:ada state:failed  "no such user" to:ada ', NOW)
    assert [term.field for term in query.terms] == [Field.TO, Field.STATE, Field.TEXT]


@pytest.mark.parametrize(
    ("text", "says"),
    (
        ("state:sendt", "state: knows queued, scheduled, sending, deferred, held, sent, failed, canceled, suppressed"),
        ("state:sendt", "; not `sendt`; did you mean sent?"),
        ("state:,", "state: needs one of queued"),
        ("to:", "to: needs a value"),
        ('to:""', "to: needs a value"),
        ("-", "there are no words in it"),
        ('subject:"never ends', 'the quote `"` has no end'),
        ("form:ada", "there is no field `form`; did you mean from:?"),
        ("https://example.org", "Put words with a colon in quotes"),
        ("%%%", "`%%%` has no letter or digit, and only those are searched"),
        ("to:a\x00b", "there is a control character in it"),
        ("\ud800", "there is a control character in it"),
        ("code:abc", "code: takes a reply code such as 550, 5.1.1 or 5xx; not `abc`"),
        ("code:355", "code: takes a reply code"),
        ("has:time", "has: knows only attachment; not `time`"),
        ("before:soon", "before: takes a time such as 2026-11-24"),
        ("after:2026-02-30", "after: takes a time"),
        ("x" * (LONGEST + 1), f"the search has {LONGEST + 1} characters; at most {LONGEST} are read"),
        (" ".join(f"a{number}" for number in range(TERMS + 1)), f"the search has {TERMS + 1} conditions"),
    ),
)  # fmt: skip
def test_a_mistake_is_explained_with_what_would_be_right(text: str, says: str) -> None:
    assert says in _mistake(text)


def test_a_mistake_names_the_piece_and_the_rest_is_still_read() -> None:
    query = parse("to:ada state:sendt", NOW)
    assert [one.piece for one in query.mistakes] == ["state:sendt"]
    assert [term.field for term in query.terms] == [Field.TO]


def test_a_sign_beside_words_says_nothing() -> None:
    assert [term.value for term in parse("Tom & Jerry's", NOW).terms] == ["Tom", "Jerry's"]


def test_nothing_asks_for_everything() -> None:
    assert parse("  \t", NOW) == Query()


@given(st.text(max_size=400))
def test_any_text_is_read_or_explained(text: str) -> None:
    query = parse(text, NOW)
    assert query.terms or query.mistakes or not text.strip()


@given(
    st.sampled_from([Field.TEXT, *FIELDS]),
    st.text(st.characters(exclude_characters='"', exclude_categories=["C"]), min_size=1, max_size=60),
)
def test_what_is_written_is_read_as_it_was_meant(field: Field, value: str) -> None:
    query = parse(written(field, value), NOW)
    for term in query.terms:
        assert term.field is field
        assert not term.negated
    assert len(query.terms) + len(query.mistakes) == 1


@given(
    st.text(st.characters(exclude_characters='"', exclude_categories=["C"]), min_size=1, max_size=60).filter(str.strip)
)
def test_a_written_request_id_comes_back_unchanged_but_for_its_spaces(value: str) -> None:
    assert _one(written(Field.REQUEST, value)).value == " ".join(value.split())
