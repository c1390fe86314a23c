"""`emailhub doctor`: looks at the outbox, and saves what can be read of a damaged one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from emailhub.cli import options
from emailhub.settings import units

if TYPE_CHECKING:
    from emailhub.cli.rescue import Rescued


@click.command()
@click.option("--recover", is_flag=True, help="Save what can be read of a damaged outbox to a new file.")
@click.option("--to", type=click.Path(path_type=Path), help="The new file [beside the old one, named by the time].")
@click.option("--database", help="The outbox file [EMAILHUB_DATABASE, ./emailhub.db].")
@options.as_json
@options.reads_settings
def doctor(
    *, recover: bool, to: Path | None, database: str | None, as_json: bool, env_file: Path | None, config: Path | None
) -> None:
    """Check the outbox; with --recover save what can be read of a damaged one.

    The damaged file is only read, never written. A hub that opens the new one holds everything unfinished for a human.
    """
    settings = options.load(env_file, config, database=database).settings
    if recover:
        from emailhub.cli.rescue import rescue

        rescued = rescue(settings.database, to, time.time())
        options.write_json(rescued.document()) if as_json else _tell(rescued)
        return
    if to is not None:
        raise click.UsageError("--to needs --recover")
    from emailhub.cli.check import report
    from emailhub.cli.doctor import check_outbox

    report(check_outbox(settings), as_json=as_json)


def _tell(rescued: Rescued) -> None:
    click.echo(f"{rescued.path}  {units.size_text(rescued.size)}")
    for line in rescued.lines():
        click.echo(f"  {line}")
    click.echo(f"  next: {rescued.next_step()}")
