"""What most commands share: where the settings are read from, and how results are written."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, TypeVar

import rich_click as click

from emailhub import settings
from emailhub.cli import exits
from emailhub.cli.hub import Hub
from emailhub.settings import Loaded, SettingsError

Command = TypeVar("Command", bound=Callable[..., Any])

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def reads_settings(command: Command) -> Command:
    """Adds --env-file and --config."""
    config = click.option("--config", type=_FILE, help="TOML file with settings [./emailhub.toml].")
    env_file = click.option("--env-file", type=_FILE, help="File with NAME=value lines [./.env].")
    return config(env_file(command))


def talks_to_hub(command: Command) -> Command:
    """Adds --url, --json and what `reads_settings` adds."""
    url = click.option("--url", help="The running hub [EMAILHUB_URL].")
    return url(as_json(reads_settings(command)))


def asks_hub(command: Callable[..., None]) -> Callable[..., None]:
    """As `talks_to_hub`, and calls the command with the `hub` that the settings speak of."""

    @wraps(command)
    def run(*, url: str | None, env_file: Path | None, config: Path | None, **given: Any) -> None:
        command(hub=Hub.of(load(env_file, config, url=url).settings), **given)

    return talks_to_hub(run)


def as_json(command: Command) -> Command:
    """Adds --json, for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON, for scripts.")(command)


def reader(env_file: Path | None, config: Path | None, **flags: str | None) -> Callable[[], Loaded]:
    """Reads the settings as this command sees them, each time anew. Raises SettingsError."""
    return partial(
        settings.load,
        os.environ,
        **settings.discover(Path.cwd(), env_file=env_file),
        flags={**flags, "config": str(config) if config else None},
    )


def load(env_file: Path | None, config: Path | None, **flags: str | None) -> Loaded:
    """The settings as this command sees them. Ends the command with 78 when they do not work."""
    try:
        return reader(env_file, config, **flags)()
    except SettingsError as error:
        raise exits.Stop(
            exits.CONFIGURATION, str(error), "`emailhub config --markdown` explains every setting"
        ) from None


def write_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))
