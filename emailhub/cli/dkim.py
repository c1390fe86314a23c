"""`dkim`: the DNS record that goes with a signing key."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from emailhub.cli import exits

_STRING = 255
"""Characters one string of a TXT record holds (RFC 1035 §3.3); a longer value is several strings."""


@click.command()
@click.argument("domain")
@click.argument("selector")
@click.argument("key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--zone", is_flag=True, help="As a line for a zone file, the value cut into strings of 255 characters.")
def dkim(domain: str, selector: str, key: Path, *, zone: bool) -> None:
    """Print the TXT record of SELECTOR._domainkey.DOMAIN for the private key in the file KEY.

    A key is made with: openssl genrsa -out key.pem 2048
    """
    from emailhub.adapters.dkim import BadKey, DkimKey, load, record

    try:
        value = record(load(DkimKey(domain, selector, key.read_text("ascii"))))
    except (BadKey, UnicodeDecodeError, OSError) as error:
        raise exits.Stop(exits.FAILED, f"{key}: {error}", "make one with: openssl genrsa -out key.pem 2048") from error
    if not zone:
        click.echo(value)
        return
    strings = " ".join(f'"{value[at : at + _STRING]}"' for at in range(0, len(value), _STRING))
    click.echo(f"{selector}._domainkey.{domain}. TXT ( {strings} )")
