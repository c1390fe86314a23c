"""Who may come in, decided without any server."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
import pytest_asyncio
from msgspec.structs import replace

from emailhub.core.access import Role, Scope
from emailhub.engine.desk import Actor
from emailhub.engine.gate import Access, Area, Caller, Denial, Gate, Knock, Way
from emailhub.engine.logins import Attempt
from emailhub.engine.origins import client_of, host_port, same_site, scheme_of
from tests.support.staff import People

NOW = 1_800_000_000.0
KEYS = ("eh_first", "eh_second")
LOCAL = Knock(area=Area.API, peer="127.0.0.1", host="localhost:8000")
AWAY = Knock(area=Area.API, peer="10.9.9.9", host="10.0.0.5:8000")
LOGIN_TABLE = {
    # (listen, keys, password): the areas open to somebody without credentials, from the address that belongs to it
    ("127.0.0.1", False, False): {Area.SEND, Area.API, Area.DASHBOARD, Area.SHARED, Area.OPEN, Area.LOGIN},
    ("127.0.0.1", True, False): {Area.DASHBOARD, Area.SHARED, Area.OPEN, Area.LOGIN},
    ("127.0.0.1", False, True): {Area.SEND, Area.API, Area.SHARED, Area.OPEN, Area.LOGIN},
    ("127.0.0.1", True, True): {Area.OPEN, Area.LOGIN},
    ("0.0.0.0", False, False): {Area.OPEN},
    ("0.0.0.0", True, False): {Area.OPEN},
    ("0.0.0.0", False, True): {Area.OPEN, Area.LOGIN},
    ("0.0.0.0", True, True): {Area.OPEN, Area.LOGIN},
    ("::1", False, False): {Area.SEND, Area.API, Area.DASHBOARD, Area.SHARED, Area.OPEN, Area.LOGIN},
    ("::", True, True): {Area.OPEN, Area.LOGIN},
    ("localhost", False, False): {Area.SEND, Area.API, Area.DASHBOARD, Area.SHARED, Area.OPEN, Area.LOGIN},
    ("192.168.1.5", False, False): {Area.OPEN},
}


def gate(people: People | None = None, **access: object) -> Gate:
    return Gate(Access(**access), people=people.users if people else None)  # type: ignore[arg-type]


def way(decision: Caller | Denial) -> Way | int:
    return decision.way if isinstance(decision, Caller) else decision.status


@pytest.mark.parametrize("case", tuple(LOGIN_TABLE))
def test_a_face_without_a_credential_is_open_on_loopback_and_closed_elsewhere(case: tuple[str, bool, bool]) -> None:
    listen, keys, password = case
    it = gate(listen=listen, api_keys=KEYS if keys else (), admin_password="secret" if password else None)
    knock = LOCAL if listen in {"127.0.0.1", "::1", "localhost"} else AWAY
    admitted = {area for area in Area if isinstance(it.admit(replace(knock, area=area), NOW), Caller)}
    assert admitted == LOGIN_TABLE[case]


def test_a_proxy_on_the_same_machine_does_not_make_the_world_local() -> None:
    it = gate()
    assert way(it.admit(LOCAL, NOW)) is Way.OPEN
    denial = it.admit(replace(LOCAL, forwarded=True), NOW)
    assert isinstance(denial, Denial)
    assert denial.status == 403
    assert "proxy" in denial.message


def test_the_public_address_of_a_loopback_hub_is_not_local() -> None:
    it = gate(public_url="https://mail.example.org")
    assert way(it.admit(replace(LOCAL, host="mail.example.org"), NOW)) == 403
    assert way(it.admit(LOCAL, NOW)) is Way.OPEN


def test_a_network_that_may_send_may_do_nothing_else() -> None:
    it = gate(listen="0.0.0.0", api_keys=KEYS, open_send=(ip_network("10.0.0.0/8"),))
    caller = it.admit(replace(AWAY, area=Area.SEND), NOW)
    assert isinstance(caller, Caller)
    assert (caller.way, caller.name, caller.principal.scopes) == (Way.NETWORK, "10.9.9.9", {Scope.SEND})
    assert {way(it.admit(replace(AWAY, area=area), NOW)) for area in (Area.API, Area.SHARED)} == {401}


def test_every_key_opens_and_is_named_by_its_place() -> None:
    it = gate(listen="0.0.0.0", api_keys=KEYS)
    for number, key in enumerate(KEYS, 1):
        caller = it.admit(replace(AWAY, authorization=f"Bearer {key}"), NOW)
        assert isinstance(caller, Caller)
        assert (caller.way, caller.name) == (Way.KEY, f"key {number}")


@pytest.mark.parametrize(
    "shown", ("", "Bearer", "Bearer ", "eh_first", "Basic eh_first", "Bearer eh_firs", "Bearer ä\ud800")
)
def test_nothing_but_a_whole_key_opens(shown: str) -> None:
    assert way(gate(listen="0.0.0.0", api_keys=KEYS).admit(replace(AWAY, authorization=shown), NOW)) in {401, 403}


def test_secrets_do_not_show_in_the_configuration() -> None:
    shown = repr(Access(api_keys=KEYS, admin_password="secret"))
    assert "eh_first" not in shown
    assert "secret" not in shown


async def logged_in(people: People) -> str:
    return await people.logins.log_in(Attempt(name="admin", password="secret", client="10.9.9.9"))


@pytest_asyncio.fixture
async def people() -> People:
    return await People(admin="secret", at=NOW).load()


async def test_a_session_opens_the_dashboard_until_it_ends(people: People) -> None:
    it = gate(people, listen="0.0.0.0", admin_password="secret")
    token = await logged_in(people)
    knock = replace(AWAY, area=Area.DASHBOARD, plain_session=token)
    caller = it.admit(knock, NOW)
    assert isinstance(caller, Caller)
    assert (caller.way, caller.name, caller.trusted) == (Way.SESSION, "admin", True)
    assert it.still_in(caller, NOW + 1799)
    assert not it.still_in(caller, NOW + 1800)
    await people.logins.log_out(token)
    assert not it.still_in(caller, NOW)
    assert way(it.admit(knock, NOW)) == 401


async def test_a_person_may_do_what_their_role_lets_them(people: People) -> None:
    it = gate(people, listen="0.0.0.0", admin_password="secret")
    await people.users.add("vera", Role.VIEWER, "a long password", Actor("admin"))
    token = await people.logins.log_in(Attempt(name="vera", password="a long password"))
    caller = it.admit(replace(AWAY, area=Area.DASHBOARD, plain_session=token), NOW)
    assert isinstance(caller, Caller)
    assert (caller.name, caller.principal.scopes) == ("vera", {Scope.READ})


async def test_the_first_user_closes_the_dashboard_of_an_open_hub_at_once() -> None:
    people = await People(admin=None, at=NOW).load()
    it = gate(people)
    knock = replace(LOCAL, area=Area.DASHBOARD)
    assert way(it.admit(knock, NOW)) is Way.OPEN
    await people.users.add("olga", Role.OPERATOR, "a long password", Actor("local"))
    assert it.asks_for_password
    assert way(it.admit(knock, NOW)) == 401
    assert way(it.admit(replace(LOCAL, area=Area.API), NOW)) is Way.OPEN
    await people.users.remove("olga", Actor("local"))
    assert way(it.admit(knock, NOW)) is Way.OPEN


async def test_what_an_open_dashboard_streams_ends_when_the_first_user_closes_it() -> None:
    people = await People(admin=None, at=NOW).load()
    keyed = gate(people, api_keys=KEYS)
    stream = replace(LOCAL, area=Area.SHARED, stream=True)
    caller = keyed.admit(stream, NOW)
    assert isinstance(caller, Caller)
    assert keyed.still_in(caller, NOW)
    await people.users.add("olga", Role.OPERATOR, "a long password", Actor("local"))
    assert way(keyed.admit(stream, NOW)) == 401
    assert not keyed.still_in(caller, NOW)
    assert gate(people).still_in(caller, NOW), "who may read the API may listen"
    without = gate(auth=False, listen="0.0.0.0", api_keys=KEYS, admin_password="secret")
    caller = without.admit(stream, NOW)
    assert isinstance(caller, Caller)
    assert without.still_in(caller, NOW)


async def test_under_https_only_the_secure_cookie_counts(people: People) -> None:
    it = gate(people, listen="0.0.0.0", admin_password="secret")
    token = await logged_in(people)
    knock = replace(AWAY, area=Area.DASHBOARD, scheme="https")
    assert way(it.admit(replace(knock, plain_session=token), NOW)) == 401
    assert way(it.admit(replace(knock, secure_session=token), NOW)) is Way.SESSION


async def test_a_cookie_that_no_page_of_ours_sent_changes_nothing(people: People) -> None:
    it = gate(people, listen="0.0.0.0", admin_password="secret")
    knock = replace(AWAY, area=Area.DASHBOARD, method="POST", plain_session=await logged_in(people))
    assert way(it.admit(knock, NOW)) == 403
    assert way(it.admit(replace(knock, origin="http://10.0.0.5:8000"), NOW)) is Way.SESSION


PROXIES = (ip_network("10.0.0.0/24"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "header", "client"),
    (
        ("203.0.113.7", "1.2.3.4", "203.0.113.7"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.9, 10.0.0.8", "10.0.0.9"),
        ("10.0.0.1", "198.51.100.9:4711", "198.51.100.9"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "evil, unknown", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("", "1.2.3.4", ""),
    ),
)
def test_the_client_is_the_rightmost_address_nobody_of_ours_added(peer: str, header: str | None, client: str) -> None:
    assert client_of(peer, header, PROXIES) == client


@pytest.mark.parametrize(
    ("peer", "header", "scheme"),
    (
        ("10.0.0.1", "https", "https"),
        ("10.0.0.1", "http, https", "https"),
        ("10.0.0.1", "HTTPS", "https"),
        ("10.0.0.1", "gopher", "http"),
        ("10.0.0.1", None, "http"),
        ("203.0.113.7", "https", "http"),
    ),
)
def test_the_scheme_is_told_by_trusted_proxies_only(peer: str, header: str | None, scheme: str) -> None:
    assert scheme_of(peer, "http", header, PROXIES) == scheme


@pytest.mark.parametrize(
    "text", ("", "a b", "a:b", "a:99999", "a/b", "u@a", "[::1", "[zz]", "a,b", "ä", "-a", "a" * 300)
)
def test_what_is_no_host_is_none(text: str) -> None:
    assert host_port(text) is None


@pytest.mark.parametrize(
    ("origin", "scheme", "host", "same"),
    (
        ("http://a.test", "http", "a.test", True),
        ("http://a.test:80", "http", "a.test", True),
        ("http://a.test", "http", "a.test:80", True),
        ("https://a.test", "http", "a.test", True),
        ("https://a.test", "https", "a.test:443", True),
        ("http://a.test:81", "http", "a.test", False),
        ("http://a.test", "http", "a.test:81", False),
        ("http://[::1]:8000", "http", "[::1]:8000", True),
        ("http://b.test", "http", "a.test", False),
        ("ftp://a.test", "http", "a.test", False),
        ("null", "http", "a.test", False),
        ("http://[bad", "http", "a.test", False),
    ),
)
def test_an_origin_is_ours_by_host_and_port(origin: str, scheme: str, host: str, same: bool) -> None:
    found = host_port(host)
    assert found is not None
    assert same_site(origin, scheme, found) is same
