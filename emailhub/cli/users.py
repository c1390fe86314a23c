"""`emailhub users`: who logs in to the dashboard of the running hub."""

from __future__ import annotations

import asyncio
import sys
from typing import Any
from urllib.parse import urlencode

import rich_click as click

from emailhub.cli import exits, options
from emailhub.cli.hub import Hub
from emailhub.core.user import LEAST

_ROLE = click.Choice(("viewer", "operator"))
_reason = click.option("--reason", help="Why; kept in the audit log.")
_from_stdin = click.option("--password-stdin", is_flag=True, help="Read the password from standard input, for scripts.")


@click.group()
def users() -> None:
    """Add, list, change and remove the people who log in to the dashboard.

    A viewer sees, an operator sees and acts. Passwords are asked for and never taken from the command line, where every
    process of the machine could read them.
    """


@users.command()
@click.argument("name")
@click.option("--role", type=_ROLE, default="viewer", show_default=True, help="What they may do.")
@_from_stdin
@_reason
@options.asks_hub
def add(
    *,
    name: str,
    role: str,
    password_stdin: bool,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Let NAME log in."""
    document = {"name": name, "role": role, "password": _password(stdin=password_stdin), **_why(reason)}
    _tell(hub.post("users", document=document), "may log in", as_json=as_json)


@users.command(name="list")
@options.asks_hub
def show(*, hub: Hub, as_json: bool) -> None:
    """List who may log in."""
    answer = hub.get("users")
    if as_json:
        options.write_json(answer)
        return
    for user in answer["data"]:
        click.echo("  ".join(_line(user)))
    if not answer["data"]:
        click.echo("nobody logs in: the dashboard is open, or closed")


@users.command()
@click.argument("name")
@click.argument("role", type=_ROLE, metavar="viewer|operator")
@_reason
@options.asks_hub
def role(
    *,
    name: str,
    role: str,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Let NAME do more or less. All their log-ins end."""
    answer = hub.patch("users", name, document={"role": role, **_why(reason)})
    _tell(answer, "has to log in again", as_json=as_json)


@users.command()
@click.argument("name")
@_from_stdin
@_reason
@options.asks_hub
def password(
    *,
    name: str,
    password_stdin: bool,
    reason: str | None,
    hub: Hub,
    as_json: bool,
) -> None:
    """Give NAME another password. All their log-ins end."""
    answer = hub.patch("users", name, document={"password": _password(stdin=password_stdin), **_why(reason)})
    _tell(answer, "has to log in again", as_json=as_json)


@users.command()
@click.argument("name")
@_reason
@options.asks_hub
def remove(*, name: str, reason: str | None, hub: Hub, as_json: bool) -> None:
    """Let NAME log in no more. All their log-ins end."""
    answer = hub.delete("users", name, query=urlencode(_why(reason)))
    if as_json:
        options.write_json(answer)
    else:
        click.echo(f"{answer['name']}  removed")


@users.command(name="hash")
@_from_stdin
def hash_one(*, password_stdin: bool) -> None:
    """Write the argon2id hash of a password, to be set as EMAILHUB_ADMIN_PASSWORD."""
    from emailhub.adapters.passwords import Argon2

    async def hashed(text: str) -> str:
        hasher = Argon2()
        try:
            return await hasher.hash(text)
        finally:
            hasher.close()

    click.echo(asyncio.run(hashed(_password(stdin=password_stdin))))


def _password(*, stdin: bool) -> str:
    text = (
        sys.stdin.readline().rstrip("\r\n")
        if stdin
        else click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    )
    if len(text) < LEAST:
        raise exits.Stop(exits.FAILED, f"a password must have at least {LEAST} characters", "a sentence is a good one")
    return str(text)


def _why(reason: str | None) -> dict[str, str]:
    return {"reason": reason} if reason else {}


def _tell(user: dict[str, Any], what: str, *, as_json: bool) -> None:
    if as_json:
        options.write_json(user)
    else:
        click.echo(f"{user['name']}  {user['role']}  {what}")


def _line(user: dict[str, Any]) -> list[str]:
    last = f"last log-in {user['last_login_at']}" if user["last_login_at"] else "no log-in yet"
    sessions = f"{user['sessions']} going on" if user["sessions"] else ""
    return [one for one in (user["name"], user["role"], last, sessions, _ORIGINS[user["source"]]) if one]


_ORIGINS = {"settings": "from settings", "database": ""}
