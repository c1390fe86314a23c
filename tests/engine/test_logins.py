"""Logging in and out: what is asked, what is told, and what a stranger learns."""

from __future__ import annotations

import asyncio

import pytest
import pytest_asyncio

from emailhub.core.access import Role
from emailhub.core.errors import LogInRefused, NotFound, OutboxError
from emailhub.engine.desk import Actor
from emailhub.engine.logins import WAITING, Attempt
from emailhub.engine.refusals import BURST
from tests.support.staff import People

NOW = 1_800_000_000.0
ANN = Actor("ann")
SECRET = "the admin's secret"


@pytest_asyncio.fixture
async def people() -> People:
    return await People(admin=SECRET, at=NOW).load()


def attempt(name: str = "admin", password: str = SECRET, client: str = "10.0.0.9", old: str | None = None) -> Attempt:
    return Attempt(name=name, password=password, client=client, agent="Firefox", old=old)


async def refused(people: People, given: Attempt) -> LogInRefused:
    with pytest.raises(LogInRefused) as caught:
        await people.logins.log_in(given)
    return caught.value


async def test_a_log_in_is_kept_with_where_it_came_from_and_is_in_the_log(people: People) -> None:
    token = await people.logins.log_in(attempt())
    principal = people.users.use(token, NOW)
    assert principal is not None
    assert (principal.name, principal.scopes) == ("admin", Role.OPERATOR.scopes)
    (session,) = people.users.sessions("admin")
    assert (session.peer, session.agent, session.began) == ("10.0.0.9", "Firefox", NOW)
    assert people.users.get("admin").last_login == NOW
    (deed,) = people.store.deeds
    assert (deed.what, deed.actor, deed.peer, deed.result) == ("session.begin", "admin", "10.0.0.9", "done")


async def test_an_unknown_name_and_a_wrong_password_are_answered_alike_and_cost_the_same(people: People) -> None:
    wrong = await refused(people, attempt(password="guess"))
    unknown = await refused(people, attempt(name="eve", password="guess", client="10.0.0.10"))
    assert (wrong.status, wrong.name, str(wrong)) == (unknown.status, unknown.name, str(unknown))
    assert wrong.status == 401
    assert people.hasher.looked == [people.users.hash_of("admin"), None]


async def test_a_log_in_ends_the_one_before_of_the_same_browser(people: People) -> None:
    first = await people.logins.log_in(attempt())
    second = await people.logins.log_in(attempt(old=first))
    assert second != first
    assert people.users.use(first, NOW) is None
    assert len(people.store.rows) == 1


async def test_five_wrong_passwords_make_wait_and_the_answer_says_how_long(people: People) -> None:
    for _ in range(5):
        assert (await refused(people, attempt(password="guess"))).status == 401
    looked = len(people.hasher.looked)
    waiting = await refused(people, attempt())
    assert (waiting.status, waiting.retry_after) == (429, 60.0)
    assert str(waiting) == "Too many wrong passwords. Try again in 1 min."
    people.now += 15.5
    assert str(await refused(people, attempt())).endswith("in 45 s.")
    assert len(people.hasher.looked) == looked
    people.now += 44.5
    assert await people.logins.log_in(attempt())


async def test_a_stranger_who_guesses_keeps_nobody_out_where_they_have_logged_in_before(people: People) -> None:
    await people.logins.log_in(attempt(client="192.0.2.7"))
    for number in range(10):
        await refused(people, attempt(password="guess", client=f"10.0.0.{number}"))
    assert (await refused(people, attempt(client="203.0.113.1"))).status == 429
    assert await people.logins.log_in(attempt(client="192.0.2.7"))


async def test_guesses_sent_at_the_same_moment_are_counted_one_by_one(people: People) -> None:
    found = await asyncio.gather(
        *(refused(people, attempt(password="guess")) for _ in range(WAITING)), return_exceptions=True
    )
    assert sorted(one.status for one in found if isinstance(one, LogInRefused)) == [401] * 5 + [429] * 5


async def test_a_flood_is_turned_away_before_it_waits(people: People) -> None:
    found = await asyncio.gather(
        *(people.logins.log_in(attempt(client=f"10.0.0.{n}")) for n in range(WAITING + 3)), return_exceptions=True
    )
    away = [one for one in found if isinstance(one, LogInRefused)]
    assert [(one.status, one.retry_after) for one in away] == [(429, 5.0)] * 3


async def test_a_failed_log_in_is_in_the_log_without_what_was_typed_as_a_name(people: People) -> None:
    await refused(people, attempt(password="guess"))
    await refused(people, attempt(name="my password by mistake", password="admin", client="10.0.0.10"))
    assert [(deed.what, deed.actor, deed.peer, deed.result) for deed in people.store.deeds] == [
        ("session.begin", "admin", "10.0.0.9", "refused"),
        ("session.begin", "unknown", "10.0.0.10", "refused"),
    ]
    assert "mistake" not in repr(people.store.deeds)


async def test_an_attack_does_not_fill_the_log(people: People) -> None:
    for number in range(BURST + 7):
        await refused(people, attempt(name=f"u{number}", client=f"10.0.1.{number}"))
    assert len(people.store.deeds) == BURST
    people.now += 60
    await refused(people, attempt(name="u", client="10.0.2.1"))
    assert people.store.deeds[-1].detail == "wrong name or password, and 7 more before"


async def test_a_log_that_cannot_be_written_changes_no_answer(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(_: object) -> None:
        raise OutboxError("full")

    monkeypatch.setattr(people.logins, "_record", full)
    assert (await refused(people, attempt(password="guess"))).status == 401


async def test_logging_out_ends_one_log_in_and_everywhere_ends_all_of_one_person(people: People) -> None:
    await people.users.add("vera", Role.VIEWER, "a long password", ANN)
    vera = await people.logins.log_in(attempt("vera", "a long password"))
    tokens = [await people.logins.log_in(attempt()) for _ in range(3)]
    await people.logins.log_out(tokens[0])
    assert [people.users.alive(token, NOW) for token in tokens] == [False, True, True]
    assert await people.logins.log_out_everywhere("admin", actor="admin", peer="10.0.0.9") == 2
    assert [people.users.alive(token, NOW) for token in (*tokens, vera)] == [False, False, False, True]
    assert [session.user for session in people.store.rows.values()] == ["vera"]
    assert [deed.what for deed in people.store.deeds[-2:]] == ["session.end", "session.end_all"]
    assert (people.store.deeds[-1].target, people.store.deeds[-1].detail) == ("admin", "2 log-ins")
    with pytest.raises(NotFound):
        await people.logins.log_out_everywhere("eve", actor="admin", peer="")


async def test_logging_out_with_a_token_nobody_has_does_nothing(people: People) -> None:
    await people.logins.log_out("made up")
    assert people.store.deeds == []


async def test_a_password_changed_while_it_was_looked_at_lets_nobody_in(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people.users.add("vera", Role.VIEWER, "a long password", ANN)
    begin = people.store.begin

    async def meanwhile(*given: object) -> None:
        await people.users.set_password("vera", "another long password", ANN)
        await begin(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(people.store, "begin", meanwhile)
    assert (await refused(people, attempt("vera", "a long password"))).status == 401
    assert people.store.rows == {}
    assert people.users.sessions("vera") == []
