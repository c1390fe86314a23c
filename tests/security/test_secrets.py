"""No secret comes out: every setting and every request holds a value to be found again, everything goes wrong, and
whatever the process says, shows, answers and stores is searched for it, in every encoding.
"""

from __future__ import annotations

import asyncio
import os
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from emailhub.settings.catalog import by_variable
from emailhub.web.site import create_app
from tests.acceptance.hub import Hub
from tests.security.canaries import assert_clean, canary, environ_of, files_of, forms, found_in, plain, processes_of
from tests.support.demo_hub import DemoHub
from tests.support.demo_outbox import NOW
from tests.support.ports import free_port
from tests.support.rabbit_node import RabbitNode
from tests.support.smtp_relays import Authority
from tests.support.smtp_server import SmtpServer
from tests.support.token_endpoint import TokenEndpoint, denied, granted
from tests.web.test_guard import routes

PEM = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
SECRETS = {
    "SMTP_PASS": canary("smtp"),
    "EMAILHUB_OAUTH2_CLIENT_SECRET": canary("client"),
    "EMAILHUB_OAUTH2_REFRESH_TOKEN": canary("refresh"),
    "EMAILHUB_DKIM_KEY": plain("dkim"),
    "RABBITMQ_URL": plain("rabbit"),
    "REDIS_URL": plain("redis"),
    "EMAILHUB_API_KEYS": plain("key"),
    "EMAILHUB_ADMIN_PASSWORD": canary("admin"),
    "EMAILHUB_ALERT_URL": plain("alert"),
    "EMAILHUB_API_KEY": plain("cli"),
}
"""What is secret in each setting that is one."""
SHOWN = {name: canary(name) for name in ("wrong-password", "session", "unread")} | {
    name: plain(name) for name in ("wrongkey", "basic", "cookie")
}
"""What requests show of themselves and must not be repeated either."""
PASSWORDS = {name: canary(f"password-{name}") for name in ("first", "guessed", "own", "given")}
"""What somebody who logs in to the dashboard types."""
CONTENT = {name: canary(name) for name in ("text", "variable", "file", "broken", "field")}
"""What messages hold: on their pages and in the outbox, never in a log, a metric, an error or the process list."""


def test_every_secret_setting_is_searched_for() -> None:
    assert {name for name, field in by_variable().items() if field.doc.kind.secret} == set(SECRETS)


def test_the_search_finds_a_secret_in_every_form() -> None:
    secret = canary("sought")
    assert found_in(b64encode(f"\0user\0{secret}\0".encode()), [secret])
    assert all(found_in(b"before" + form + b"after", [secret]) for form in forms(secret))
    assert not found_in(b"c4n4ry c4n4ry+sought", [secret])


def authority(folder: Path) -> Authority:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    return Authority(ca, str(folder / "ca.pem"))


def settings_with_secrets() -> dict[str, str]:
    return {
        "SMTP_PASS": SECRETS["SMTP_PASS"],
        "RABBITMQ_URL": f"amqp://hub:{SECRETS['RABBITMQ_URL']}@127.0.0.1:{free_port()}/",
        "REDIS_URL": f"redis://:{SECRETS['REDIS_URL']}@127.0.0.1:{free_port()}/0",
        "EMAILHUB_API_KEYS": SECRETS["EMAILHUB_API_KEYS"],
        "EMAILHUB_ADMIN_PASSWORD": SECRETS["EMAILHUB_ADMIN_PASSWORD"],
        "EMAILHUB_ALERT_URL": f"http://127.0.0.1:{free_port()}/hook/{SECRETS['EMAILHUB_ALERT_URL']}",
        "EMAILHUB_API_KEY": SECRETS["EMAILHUB_API_KEY"],
    }


async def everything_shown(hub: Hub, id: str) -> dict[str, bytes]:
    """Every page and answer of the hub, as an operator and as a program see it, and as a stranger does."""
    key = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
    password, origin = {"password": SECRETS["EMAILHUB_ADMIN_PASSWORD"]}, {"origin": f"http://127.0.0.1:{hub.port}"}
    found = {}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{hub.port}", trust_env=False, timeout=30) as person:
        assert (await person.post("/login", data=password, headers=origin)).status_code == 303
        for route in sorted(
            {route for method, route in routes(create_app(DemoHub(now=lambda: NOW).faces)) if method == "GET"}
        ):
            path = "/".join(
                {"{id:str}": id, "{relay:str}": "default"}.get(part, "0" if part.startswith("{") else part)
                for part in route.split("/")
            )
            if path == "/events":
                continue
            for name, client, headers in (
                ("operator", person, {"accept": "text/html"}),
                ("program", hub.client, key),
                ("stranger", hub.client, {}),
            ):
                answer = await client.get(path, headers=headers)
                found[f"{path} for a {name}"] = f"{answer.headers}".encode() + answer.content
        assert found["/metrics for a program"].startswith(b"Headers")
        assert b"mail-to-nobody" in found[f"/messages/{id} for a operator"]
    return found


async def knock_wrongly(hub: Hub) -> dict[str, bytes]:
    """Requests that are refused, each with something secret in it; the answers."""
    key = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
    origin = {"origin": f"http://127.0.0.1:{hub.port}"}
    post = hub.client.post
    answers = [
        await post("/login", data={"password": SHOWN["wrong-password"]}, headers=origin),
        await post("/emails", json={}, headers={"authorization": f"Bearer {SHOWN['wrongkey']}"}),
        await post("/emails", json={}, headers={"authorization": f"Basic {SHOWN['basic']}"}),
        await hub.client.get("/messages", headers={"cookie": f"emailhub_session={SHOWN['cookie']}"}),
        await post(
            "/emails", content=f'{{"text": "{CONTENT["broken"]}",}}', headers=key | {"content-type": "application/json"}
        ),
        await post("/emails", json={"to": "a", "text": CONTENT["text"], "password": CONTENT["field"]}, headers=key),
        await post(
            "/emails",
            json={"to": "a@example.org", "template": {"id": "welcome", "variables": {"nmae": CONTENT["variable"]}}},
            headers=key,
        ),
        await post(
            "/emails",
            json={"to": "a@example.org", "template": {"id": "broken", "variables": {"name": CONTENT["variable"]}}},
            headers=key,
        ),
        await post(
            "/emails",
            json={
                "to": "a@example.org",
                "subject": "s",
                "text": "t",
                "attachments": [{"filename": "a", "content": CONTENT["file"]}],
            },
            headers=key,
        ),
        await post(
            "/emails",
            json={
                "to": "a@example.org",
                "subject": "s",
                "text": "t",
                "attachments": [{"path": f"https://u:{CONTENT['file']}@127.0.0.1/"}],
            },
            headers=key,
        ),
        await post("/breakers/default", json={"state": CONTENT["field"]}, headers=key),
        await hub.client.get("/emails", params={"api_key": SHOWN["unread"]}, headers=key),
        await hub.client.get("/nowhere", params={"token": SHOWN["unread"]}, headers=key),
        await post("/reload", json={}, headers=key),
    ]
    assert {answer.status_code for answer in answers} <= {200, 400, 401, 403, 404, 422}
    return {f"answer {number} to {answer.request.url.path}": answer.content for number, answer in enumerate(answers)}


def write_templates(root: Path) -> None:
    for name, text in (("welcome", "Hello {{ name }}"), ("broken", "{{ name.no.such.thing }} {{ name | round }}")):
        (root / name).mkdir(parents=True)
        (root / name / "subject.txt").write_text("Hello")
        (root / name / "body.html").write_text(f"<p>{text}</p>")


async def send(hub: Hub, **fields: object) -> str:
    """A message with secrets in its content."""
    key = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
    body = {"to": "mail-to-nobody@example.org", "subject": "s", "text": CONTENT["text"]} | fields
    answer = await hub.client.post("/emails", json=body, headers=key)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


async def key_made(hub: Hub) -> str:
    """A key made while the hub runs, and used once."""
    key = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
    made = await hub.client.post("/api-keys", json={"name": "shown once"}, headers=key)
    assert made.status_code == 200, made.text
    token = str(made.json()["token"])
    assert (await hub.client.get("/emails", headers={"authorization": f"Bearer {token}"})).status_code == 200
    return token


async def logged_in_as(hub: Hub, name: str, password: str) -> httpx.AsyncClient:
    """Somebody's browser after the log-in."""
    origin = f"http://127.0.0.1:{hub.port}"
    person = httpx.AsyncClient(base_url=origin, headers={"origin": origin}, trust_env=False, timeout=30)
    answer = await person.post("/login", data={"username": name, "password": password})
    assert answer.status_code == 303, answer.text
    return person


async def person_served(hub: Hub) -> dict[str, str]:
    """Somebody who gets an account, mistakes and changes the password, gets another; what their browser was given.

    The passwords themselves are those of PASSWORDS.
    """
    key = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
    made = {"name": "vera", "role": "operator", "password": PASSWORDS["first"]}
    assert (await hub.client.post("/users", json=made, headers=key)).status_code == 200
    given = {}
    for password, current, code in (("first", "guessed", 403), ("first", "first", 303), ("own", "guessed", 403)):
        person = await logged_in_as(hub, "vera", PASSWORDS[password])
        given |= {f"{value[:8]}…": value for value in person.cookies.values()}
        form = {"current": PASSWORDS[current], "password": PASSWORDS["own"], "again": PASSWORDS["own"]}
        changed = await person.post("/account/password", data=form)
        assert changed.status_code == code, changed.text
        await person.aclose()
    changed = await hub.client.patch("/users/vera", json={"password": PASSWORDS["given"]}, headers=key)
    assert changed.status_code == 200, changed.text
    person = await logged_in_as(hub, "vera", PASSWORDS["given"])
    given |= {f"{value[:8]}…": value for value in person.cookies.values()}
    await person.aclose()
    assert len(given) == 4, "each log-in has a session of its own"
    return given


async def said_by(*command: str, folder: Path, env: dict[str, str]) -> bytes:
    """What a command writes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "emailhub", *command,
        cwd=folder, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    return (await process.communicate())[0]


@pytest.mark.parametrize("format", ("json", pytest.param("console", marks=pytest.mark.nightly)))
async def test_nothing_secret_comes_out_of_a_hub_whose_every_neighbour_fails(
    make_hub: Callable[..., Hub], tmp_path: Path, format: str
) -> None:
    ca = authority(tmp_path)
    write_templates(tmp_path / "templates")
    user = "hub@example.org"
    echoed = b64encode(f"\0{user}\0{SECRETS['SMTP_PASS']}".encode()).decode()
    async with SmtpServer(tls="starttls", context=ca.context(), users={user: "another"}) as smtp:
        # Some servers repeat in their reply the line they did not understand.
        smtp.on("AUTH", f"535 5.7.8 no: AUTH PLAIN {echoed} ({SECRETS['SMTP_PASS']})")
        hub = make_hub(
            smtp,
            SMTP_USER=user,
            EMAILHUB_SMTP_CA=ca.file,
            EMAILHUB_LOG_LEVEL="debug",
            EMAILHUB_LOG_FORMAT=format,
            EMAILHUB_TEMPLATES=str(tmp_path / "templates"),
            EMAILHUB_ATTACHMENT_URLS="true",
            **settings_with_secrets(),
        )
        await hub.start()
        id = await send(
            hub, template={"id": "welcome", "variables": {"name": CONTENT["variable"]}}, subject=None, text=None
        )
        await send(hub)
        await hub.until(_told(hub, "breaker open"), "the login is refused")
        made, given = await key_made(hub), await person_served(hub)
        refused = await knock_wrongly(hub)
        shown = await everything_shown(hub, id)
        assert hub.process is not None
        running = processes_of(hub.process.pid)
        assert len(running) > 1, "a renderer runs"
        await hub.until(_told(hub, "alert not taken"), "the alert cannot be posted")
        copied = await said_by("backup", "emailhub.db.copy", folder=tmp_path, env={"PATH": os.environ["PATH"]})
        assert await hub.stop() == 0
    checked = await said_by("doctor", folder=tmp_path, env={"PATH": os.environ["PATH"]})
    log = {"log": hub.output().encode(), "backup": copied, "doctor": checked}
    assert b"login" in log["log"]
    stored = files_of(tmp_path)
    assert "emailhub.db.copy" in stored, copied
    everywhere = refused | shown | running | log | stored
    assert_clean(everywhere, SECRETS.values())
    assert_clean(everywhere, [*SHOWN.values(), made, made.rpartition("_")[2]])
    assert_clean(everywhere, [*PASSWORDS.values(), *given.values()])
    unread = {
        place: text for place, text in shown.items() if id not in place and place.startswith(("/metrics", "/schema"))
    }
    assert unread
    assert_clean(refused | running | log | unread, CONTENT.values())


@pytest.mark.nightly
async def test_nothing_secret_comes_out_when_rabbitmq_refuses_the_login(
    make_hub: Callable[..., Hub], rabbit: RabbitNode, smtp: SmtpServer, tmp_path: Path
) -> None:
    password = canary("broker")
    hub = make_hub(
        smtp,
        RABBITMQ_URL=rabbit.vhost_url("/", "guest", quote(password, safe="")),
        EMAILHUB_LOG_LEVEL="debug",
        EMAILHUB_API_KEYS=SECRETS["EMAILHUB_API_KEYS"],
        EMAILHUB_ADMIN_PASSWORD=SECRETS["EMAILHUB_ADMIN_PASSWORD"],
    )
    await hub.start()
    id = await send(hub)
    await hub.until(_told(hub, "refused the login of user"), "the login is refused")
    shown = await everything_shown(hub, id)
    assert await hub.stop() == 0
    assert_clean(shown | {"log": hub.output().encode()} | files_of(tmp_path), [password])


@pytest.mark.nightly
async def test_nothing_secret_comes_out_when_a_token_is_refused_with_every_secret_in_the_reason(
    make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    ca, token = authority(tmp_path), canary("token")
    client, refresh = SECRETS["EMAILHUB_OAUTH2_CLIENT_SECRET"], SECRETS["EMAILHUB_OAUTH2_REFRESH_TOKEN"]
    bearer = b64encode(f"user=hub@example.org\x01auth=Bearer {plain('token')}\x01\x01".encode()).decode()
    key = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    files = {"CLIENT_SECRET": client, "REFRESH_TOKEN": refresh}
    for name, secret in files.items():
        (tmp_path / name).write_text(secret)
    (tmp_path / "key.pem").write_text(key)
    answers = (
        denied("temporarily_unavailable", f"secret {client} or {refresh} or {quote(client, safe='')} is wrong"),
        granted(plain("token"), refresh_token=token),
    )
    async with (
        SmtpServer(tls="starttls", context=ca.context(), mechanisms="XOAUTH2") as smtp,
        TokenEndpoint(*answers) as endpoint,
    ):
        smtp.on("AUTH", f"535 5.7.8 not with AUTH XOAUTH2 {bearer} or {plain('token')}")
        hub = make_hub(
            smtp,
            SMTP_USER="hub@example.org",
            EMAILHUB_SMTP_CA=ca.file,
            EMAILHUB_LOG_LEVEL="debug",
            EMAILHUB_BREAKER_OPEN_FOR="1s",
            EMAILHUB_OAUTH2_TOKEN_URL=endpoint.url,
            EMAILHUB_OAUTH2_CLIENT_ID="client",
            EMAILHUB_OAUTH2_CLIENT_SECRET_FILE=str(tmp_path / "CLIENT_SECRET"),
            EMAILHUB_OAUTH2_REFRESH_TOKEN_FILE=str(tmp_path / "REFRESH_TOKEN"),
            EMAILHUB_DKIM_KEY_FILE=str(tmp_path / "key.pem"),
            EMAILHUB_DKIM_DOMAIN="example.org",
            EMAILHUB_DKIM_SELECTOR="s1",
            EMAILHUB_API_KEYS=SECRETS["EMAILHUB_API_KEYS"],
            EMAILHUB_ADMIN_PASSWORD=SECRETS["EMAILHUB_ADMIN_PASSWORD"],
        )
        await hub.start()
        id = await send(hub)
        await hub.until(_told(hub, "gives no access token"), "no token is given")
        key_shown = {"authorization": f"Bearer {SECRETS['EMAILHUB_API_KEYS']}"}
        assert (await hub.post(f"/emails/{id}/retry", **key_shown)).status_code == 200
        await hub.until(_told(hub, "refused our access token"), "the token is refused")
        shown = await everything_shown(hub, id)
        assert hub.process is not None
        running = processes_of(hub.process.pid)
        running |= {"own environ": environ_of(hub.process.pid)}
        assert await hub.stop() == 0
    everywhere = shown | running | {"log": hub.output().encode()} | files_of(tmp_path)
    given = (client, refresh, token, plain("token"), key.splitlines()[1])
    assert_clean(everywhere, given)


async def test_no_command_shows_a_secret_whatever_is_wrong_with_it(tmp_path: Path) -> None:
    good = {
        "PATH": os.environ["PATH"],
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(free_port()),
        "SMTP_USER": "hub@example.org",
    }
    good |= settings_with_secrets()
    key = PEM.format(SECRETS["EMAILHUB_DKIM_KEY"])
    wrong = {
        "RABBITMQ_URL": f"ampq://hub:{SECRETS['RABBITMQ_URL']}@[::1:5672/%zz",
        "REDIS_URL": f"redis//:{SECRETS['REDIS_URL']}@x",
        "EMAILHUB_API_KEYS": f"short,{SECRETS['EMAILHUB_API_KEYS']} with a space",
        "EMAILHUB_ALERT_URL": f"ftp://alerts.example.org/{SECRETS['EMAILHUB_ALERT_URL']}",
        "EMAILHUB_API_KEY": f"{SECRETS['EMAILHUB_API_KEY']}\x7f",
        "EMAILHUB_DKIM_KEY": key,
        "EMAILHUB_OAUTH2_CLIENT_SECRET": SECRETS["EMAILHUB_OAUTH2_CLIENT_SECRET"],
        "EMAILHUB_OAUTH2_REFRESH_TOKEN": SECRETS["EMAILHUB_OAUTH2_REFRESH_TOKEN"],
        "SMTP_PASS": f"{SECRETS['SMTP_PASS']}\x01",
    }
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "emailhub.toml").write_text(
        f'smtp_pass = "{plain("toml")}\n[[relay]]\nname = 5\npassword = {plain("toml")}\n'
    )
    (broken / ".env").write_text(f"SMTP_PASS='{plain('dotenv')}\nEMAILHUB_ADMIN_PASWORD={plain('dotenv')}\n")
    commands = (("config",), ("check", "--json"))
    runs = [(command, tmp_path, good) for command in commands] + [(("config",), tmp_path, good | wrong)]
    runs += [(("serve",), tmp_path, good | wrong), (("check",), broken, {"PATH": os.environ["PATH"]})]
    said = await asyncio.gather(*(said_by(*command, folder=folder, env=env) for command, folder, env in runs))
    places = {
        f"{number} {' '.join(command)}": text
        for number, ((command, _, _), text) in enumerate(zip(runs, said, strict=True))
    }
    assert all(places.values()), places
    assert b"***" in said[0]
    assert b"EMAILHUB_API_KEYS" in said[3]
    assert_clean(places, [*SECRETS.values(), plain("toml"), plain("dotenv")])


def _told(hub: Hub, event: str) -> Callable[[], object]:
    async def told() -> bool:
        return event in hub.output()

    return told
