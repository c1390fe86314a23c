"""API keys: made, rotated, revoked, counted; kept in a real outbox."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from emailhub.adapters.sqlite import Database, open_database
from emailhub.adapters.sqlite.audit import SqliteAudit
from emailhub.adapters.sqlite.keys import SqliteKeys
from emailhub.core.access import Scope
from emailhub.core.api_key import DAY, GRACE, Grant, KeyState, Use
from emailhub.core.audit import AuditFilter
from emailhub.core.errors import InvalidMessage, KeyDoubled, KeyEnded, NotFound, Spent
from emailhub.core.limits import Rate
from emailhub.engine.desk import Actor
from emailhub.engine.keyring import PREFIX, Keyring
from tests.support.web_hub import START, Clock

ANN = Actor("ann", "dashboard", "10.0.0.9")
BILLING = Grant(
    name="billing",
    scopes=frozenset({Scope.SEND}),
    from_domains=("example.com",),
    rates=(Rate(10, 1.0),),
    quota=3,
    expires_at=START + 30 * DAY,
)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    found = await open_database(tmp_path / "emailhub.db", on_events=lambda _: None)
    yield found
    await found.close()


async def ring_of(database: Database, clock: Clock) -> Keyring:
    """The keyring as a start of the hub finds it."""
    ring = Keyring(SqliteKeys(database), now=clock, entropy=secrets.token_bytes)
    await ring.load()
    return ring


async def test_a_key_is_known_by_its_secret_also_after_a_restart(database: Database, clock: Clock) -> None:
    made = await (await ring_of(database, clock)).create(BILLING, ANN, "new service")
    ring = await ring_of(database, clock)
    found = ring.find(made.secret, clock())
    assert found is not None
    assert found.principal == made.key.principal
    assert (found.principal.name, found.principal.scopes) == ("key billing", {Scope.SEND})
    assert ring.get(made.key.id)[0] == made.key


async def test_the_secret_has_160_random_bits_and_the_outbox_holds_none_of_them_but_four_characters(
    database: Database, clock: Clock
) -> None:
    made = await (await ring_of(database, clock)).create(BILLING, ANN)
    random = made.secret.removeprefix(PREFIX)
    assert len(random) * 5 == 160
    held = await database.read(lambda reader: "".join(reader.iterdump()))
    assert made.key.secrets[0].start in held
    assert random[4:12] not in held


async def test_nothing_but_a_whole_secret_is_one(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(BILLING, ANN)
    for text in ("", PREFIX, made.secret[:-1], made.secret.upper(), f"{made.secret}a", made.key.id):
        assert ring.find(text, clock()) is None


async def test_a_key_ends_when_it_expires_and_when_it_is_revoked(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    one = await ring.create(BILLING, ANN)
    other = await ring.create(Grant(name="other"), ANN)
    clock.at = START + 30 * DAY
    assert ring.find(one.secret, clock()) is None
    assert one.key.state(clock()) is KeyState.EXPIRED
    await ring.revoke(other.key.id, ANN, "leaked")
    await ring.revoke(other.key.id, Actor("bob"), "leaked too")
    assert ring.find(other.secret, clock()) is None
    again = await ring_of(database, clock)
    assert again.find(other.secret, clock()) is None
    ended = again.get(other.key.id)[0].revoked
    assert ended is not None
    assert (ended.actor, ended.reason) == ("ann from 10.0.0.9", "leaked")


async def test_after_a_rotation_both_secrets_work_until_the_old_ones_grace_is_over(
    database: Database, clock: Clock
) -> None:
    ring = await ring_of(database, clock)
    old = await ring.create(Grant(name="billing"), ANN)
    new = await ring.rotate(old.key.id, ANN)
    for now, works in ((START, True), (START + GRACE - 1, True), (START + GRACE, False)):
        assert (ring.find(old.secret, now) is not None) is works
        assert ring.find(new.secret, now) is not None
    assert (await ring_of(database, clock)).find(old.secret, START + GRACE) is None


async def test_no_more_than_two_secrets_of_a_key_work(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    first = await ring.create(Grant(name="billing"), ANN)
    second = await ring.rotate(first.key.id, ANN)
    with pytest.raises(KeyDoubled, match="still works beside"):
        await ring.rotate(first.key.id, ANN)
    clock.at += GRACE
    third = await ring.rotate(first.key.id, ANN)
    assert [ring.find(one.secret, clock()) is not None for one in (first, second, third)] == [False, True, True]


async def test_a_rotation_without_grace_ends_every_old_secret_at_once(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    first = await ring.create(Grant(name="billing"), ANN)
    second = await ring.rotate(first.key.id, ANN)
    third = await ring.rotate(first.key.id, ANN, "leaked", grace=0)
    assert [ring.find(one.secret, clock()) is not None for one in (first, second, third)] == [False, False, True]


async def test_what_has_ended_is_not_rotated(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(BILLING, ANN)
    clock.at = START + 31 * DAY
    with pytest.raises(KeyEnded, match="expired"):
        await ring.rotate(made.key.id, ANN)
    await ring.revoke(made.key.id, ANN)
    with pytest.raises(KeyEnded, match="revoked"):
        await ring.rotate(made.key.id, ANN)
    with pytest.raises(NotFound):
        await ring.rotate("nobody", ANN)


async def test_two_keys_that_may_work_have_two_names(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(Grant(name="billing"), ANN)
    with pytest.raises(InvalidMessage, match="another key"):
        await ring.create(Grant(name="billing"), ANN)
    await ring.revoke(made.key.id, ANN)
    await ring.create(Grant(name="billing"), ANN)


async def test_every_change_is_in_the_audit_log_with_who_from_where_and_why(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(BILLING, ANN, "new service")
    await ring.rotate(made.key.id, ANN, "yearly")
    await ring.revoke(made.key.id, ANN, "moved")
    page = await SqliteAudit(database).page(AuditFilter(what="key"), before=None, after=None, limit=10)
    told = [(one.deed.what, one.deed.target, one.deed.actor, one.deed.peer, one.deed.reason) for one in page.items]
    assert told == [
        ("key.revoke", "billing", "ann", "10.0.0.9", "moved"),
        ("key.rotate", "billing", "ann", "10.0.0.9", "yearly"),
        ("key.create", "billing", "ann", "10.0.0.9", "new service"),
    ]


async def test_a_quota_holds_a_day_in_utc_and_says_when_the_next_begins(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    principal = (await ring.create(BILLING, ANN)).key.principal
    ring.spend(principal, 2)
    with pytest.raises(Spent) as spent:
        ring.spend(principal, 2)
    assert (spent.value.name, spent.value.status) == ("daily_quota_exceeded", 429)
    assert (clock() + spent.value.retry_after) % DAY == 0
    ring.spend(principal)
    ring.give_back(principal)
    ring.spend(principal)
    clock.at += spent.value.retry_after
    ring.spend(principal, 3)


async def test_what_was_given_today_and_when_it_was_used_survive_a_restart(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(BILLING, ANN)
    ring.spend(made.key.principal, 3)
    found = ring.find(made.secret, clock())
    assert found is not None
    found.used(clock())
    await ring.note()
    again = await ring_of(database, clock)
    with pytest.raises(Spent):
        again.spend(made.key.principal)
    assert again.get(made.key.id)[1].last == START


async def test_use_is_noted_only_when_there_was_some(database: Database, clock: Clock) -> None:
    ring = await ring_of(database, clock)
    made = await ring.create(BILLING, ANN)
    noted: list[object] = []

    class Counting(SqliteKeys):
        async def note(self, uses: object, at: float) -> None:
            noted.append((uses, at))

    again = Keyring(Counting(database), now=clock, entropy=secrets.token_bytes)
    await again.load()
    await again.note()
    assert noted == []
    again.spend(made.key.principal)
    await again.note()
    await again.note()
    assert len(noted) == 1


def test_a_clock_that_is_set_back_a_little_does_not_give_the_quota_anew() -> None:
    use = Use()
    use.give(3, START)
    assert use.given_on(START - 3600) == 3
    assert use.given_on(START + DAY) == 0
