"""Static files from memory, under names that carry their hash: cached for ever, and never stale."""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterable
from pathlib import Path

from litestar import Response

from emailhub.web.visit import AnyRequest

_FOR_EVER = "public, max-age=31536000, immutable"
_ASK_AGAIN = "public, no-cache"
_TEXT = frozenset({".css", ".js", ".svg", ".txt"})


class Asset:
    """One file: its bytes, also gzipped where that is smaller, and its strong ETag."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.digest = hashlib.sha256(self.content).hexdigest()[:12]
        self.name = f"{path.stem}.{self.digest}{path.suffix}"
        self.media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        packed = gzip.compress(self.content, mtime=0) if path.suffix in _TEXT else self.content
        self.packed = packed if len(packed) < len(self.content) else None

    def etag(self, packed: bool) -> str:
        """The validator of one encoding: a strong one must differ between them (RFC 9110 §8.8.3)."""
        return f'"{self.digest}{"-gz" if packed else ""}"'


class Assets:
    """Every file of the static folders; in a later folder only what an earlier one does not have."""

    def __init__(self, folders: Iterable[Path]) -> None:
        self._plain: dict[str, Asset] = {}
        for folder in folders:
            for path in sorted(folder.iterdir()):
                if path.is_file() and not path.name.startswith("."):
                    self._plain.setdefault(path.name, Asset(path))
        self._hashed = {asset.name: asset for asset in self._plain.values()}

    def name(self, plain: str) -> str:
        """The name with its hash. Raises KeyError for a file that is not there, so a typo fails in a test."""
        return self._plain[plain].name

    def find(self, name: str) -> tuple[Asset, bool] | None:
        """The file of that name, and whether the name carries its hash."""
        if asset := self._hashed.get(name):
            return asset, True
        return (asset, False) if (asset := self._plain.get(name)) else None


def answer(assets: Assets, name: str, request: AnyRequest) -> Response[bytes]:
    """200 with the file, 304 when the browser has it already, 404 when there is none."""
    found = assets.find(name)
    if found is None:
        return Response(b"There is no such file.\n", status_code=404, media_type="text/plain")
    asset, for_ever = found
    packed = asset.packed is not None and "gzip" in request.headers.get("accept-encoding", "")
    lasts = _FOR_EVER if for_ever else _ASK_AGAIN
    headers = {"etag": asset.etag(packed), "cache-control": lasts, "vary": "accept-encoding"}
    if headers["etag"] in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    if packed:
        headers["content-encoding"] = "gzip"
    content = asset.packed if packed and asset.packed else asset.content
    return Response(content, headers=headers, media_type=asset.media_type)
