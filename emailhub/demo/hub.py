"""A hub like any other, on a temporary outbox, whose relays and RabbitMQ are made up."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import uvloop

from emailhub import logs
from emailhub.adapters.sqlite import Database
from emailhub.adapters.sqlite.relays import SqliteRelays
from emailhub.adapters.sqlite.upkeep import SqliteUpkeep
from emailhub.app import Hub
from emailhub.core.access import Scope
from emailhub.core.api_key import Grant
from emailhub.core.limits import Rate
from emailhub.core.message import Mailbox
from emailhub.core.status import Link, RabbitStatus
from emailhub.core.stored import Label, Wording
from emailhub.core.wording import Draft
from emailhub.demo.past import Past
from emailhub.demo.relays import ROLES, PretendRelay
from emailhub.demo.traffic import Traffic
from emailhub.engine.desk import Actor
from emailhub.engine.fleet import RelaySpec
from emailhub.engine.keyring import Keyring
from emailhub.engine.shelf import Shelf
from emailhub.engine.solo import NoBroker
from emailhub.parts import Parts
from emailhub.settings import Loaded, Settings, load
from emailhub.web.faces import WebOptions

_ANYBODY = "none"
_RATE = (Rate(10, 1.0),)
_KEYS = (("orders", Scope.SEND), ("helpdesk", Scope.SEND, Scope.READ), ("reports", Scope.READ))
_NOTICE = "A demo: mail, relays and people are made up, nothing leaves it, and all of it is gone when it ends."


class PretendBroker(NoBroker):
    """A RabbitMQ that is always well, from which the demo's traffic seems to come."""

    def __init__(self, since: float) -> None:
        self._since = since
        self.traffic: Traffic | None = None

    def status(self) -> RabbitStatus:
        """Consuming."""
        traffic = self.traffic
        return RabbitStatus(
            link=Link.CONSUMING,
            queue="email.queue",
            since=self._since,
            ready=0,
            consumers=1,
            received=traffic.from_queue if traffic else 0,
            rate_in=traffic.rate_from_queue if traffic else 0.0,
        )


class DemoHub(Hub):
    """`ready` is called with an API key once it answers."""

    def __init__(self, loaded: Loaded, seed: int, per_minute: float, ready: Callable[[str], None]) -> None:
        super().__init__(loaded)
        self._random = random.Random(seed)  # noqa: S311 - made-up mail, the same for the same seed
        self._per_minute = per_minute
        self._ready = ready
        self._key = ""
        self._began = self._now()
        self._pretended = PretendBroker(self._began)
        self._coming: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """As any hub, with traffic."""
        try:
            return await super().run()
        finally:
            if self._coming is not None:
                self._coming.cancel()
                with suppress(asyncio.CancelledError):
                    await self._coming

    async def _build(self, database: Database) -> Parts:
        await Past(database, self._random, self._began, self._per_minute).write()
        parts = await super()._build(database)
        await self._keep_templates(parts)
        self._key = await self._make_keys(parts.doors.keyring)
        traffic = Traffic(self._intake, self._random, self._per_minute)
        self._pretended.traffic = traffic
        self._coming = asyncio.create_task(self._send(traffic), name="demo traffic")
        return parts

    def _web_options(self, settings: Settings) -> WebOptions:
        return replace(super()._web_options(settings), notice=_NOTICE)

    async def _send(self, traffic: Traffic) -> None:
        self._ready(self._key)
        await traffic.run()

    async def _broker(self, upkeep: SqliteUpkeep, past: SqliteRelays) -> NoBroker:  # noqa: ARG002 - nothing to keep
        return self._pretended

    def _specs(self, settings: Settings) -> list[RelaySpec]:
        """The relays the settings name, with nobody behind them; the one that captures is real."""
        roles = {role.name: role for role in ROLES}
        found = super()._specs(settings)
        return [
            RelaySpec(
                route=spec.route,
                build=partial(PretendRelay, roles[spec.name], self._random, lambda: self._now() - self._began),
                rates=spec.rates,
                host=spec.host,
            )
            if spec.name in roles
            else spec
            for spec in found
        ]

    async def _make_keys(self, keyring: Keyring) -> str:
        actor = Actor("ada", "dashboard")
        for name, *scopes in _KEYS:
            await keyring.create(Grant(name=name, scopes=frozenset(scopes), rates=_RATE), actor, "for the demo")
        old = await keyring.create(Grant(name="old shop", scopes=frozenset({Scope.SEND})), actor)
        await keyring.revoke(old.key.id, actor, "the old shop is switched off")
        return (await keyring.create(Grant(name="yours"), actor, "for whoever tries the demo")).secret

    async def _keep_templates(self, parts: Parts) -> None:
        shelf = Shelf(
            parts.kitchen.stored, parts.kitchen.templates, None, now=self._now, entropy=self._random.randbytes
        )
        actor = Actor("ada", "dashboard")
        for name, alias, subject, text in _TEMPLATES:
            wording = Wording(
                subject=subject,
                html=f"<h1>{subject}</h1><p>{text}</p>",
                text=text,
                sender=Mailbox("shop@example.com", "Shop"),
            )
            stored = await shelf.create(Draft(Label(name, alias), wording), actor, "for the demo")
            if alias != "farewell":
                await shelf.publish(stored.id, None, actor, "looks right")


_TEMPLATES = (
    ("Reset a password", "password-reset", "Reset your password, {{ name }}", "Go on at {{ link }}."),
    ("Invoice", "invoice", "Your invoice {{ number }}", "The invoice over {{ amount }} is due in 14 days."),
    ("Farewell", "farewell", "Goodbye, {{ name }}", "We are sorry to see you go."),
)


def serve(*, host: str, port: int, anybody: bool, seed: int, per_minute: float, say: Callable[[str, str], None]) -> int:
    """Run the demo until it is told to stop; its exit code. `say` gets its address and an API key once it answers.

    Raises SettingsError when it cannot listen as asked, OSError when the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="emailhub-demo-") as folder:
        loaded = settings_for(Path(folder), host=host, port=port, anybody=anybody)
        logs.configure("error", loaded.settings.log_format)
        os.umask(0o077)
        shown = f"[{host}]" if ":" in host else host
        say_ready = partial(say, f"http://{shown}:{port}")
        try:
            return uvloop.run(DemoHub(loaded, seed, per_minute, say_ready).run())
        finally:
            logs.close()


def settings_for(folder: Path, *, host: str, port: int, anybody: bool) -> Loaded:
    """The settings of a demo in `folder`: nothing of the environment and of the user's files is read."""
    rows = (
        f'[[relay]]\nname = "{role.name}"\nhost = "smtp.{role.name}.example"\ntls = "none"\n'
        f"priority = {role.priority}\nfrom_domains = {list(role.domains)!r}\nrate = {list(role.rate)!r}\n"
        for role in ROLES
    )
    file = folder / "emailhub.toml"
    file.write_text('email_from = "Shop <shop@example.com>"\n' + "".join(rows), "utf-8")
    flags = {
        "host": host,
        "port": str(port),
        "database": str(folder / "demo.db"),
        "failover_after": "3s",
        "auth": _ANYBODY if anybody else None,
    }
    return load({}, toml_path=file, flags=flags)
