"""Where templates and static files are: in a checkout, in an installed wheel, in the single-file program."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[2]


def folders(name: str, override: Path | None = None) -> tuple[Path, ...]:
    """The folders called `name` (templates, static) that exist, in order of precedence.

    First the operator's own (`override`), then the one inside the package, which is where the wheel and the single-file
    program carry it, then the one beside the package in a checkout. Raises FileNotFoundError when there is none.
    """
    candidates = (override, _PACKAGE / name, _PACKAGE.parent / name)
    found = tuple(folder for folder in candidates if folder is not None and folder.is_dir())
    if not found:
        raise FileNotFoundError(f"no folder {name!r} in {_PACKAGE} or beside it: the installation is incomplete")
    return found
