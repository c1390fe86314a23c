"""A file of a message handed out: to keep, never to be opened in a browser as what it claims to be."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import quote

from litestar import Response

from emailhub.core.errors import NotFound
from emailhub.core.media import ANY
from emailhub.core.view import Apart
from emailhub.web.faces import Faces

_UNUSUAL = re.compile(r"[^A-Za-z0-9 ._()-]")


async def handed_out(faces: Faces, id: str, number: int) -> Response[bytes]:
    """The file `number`, from 0, of the message `id`. Raises NotFound."""
    content = await faces.history.content(id)
    if content is None:
        raise NotFound("content of message", id)
    try:
        name, found = await asyncio.to_thread(_opened, content, number)
    except IndexError:
        raise NotFound("attachment", f"{id}/{number}") from None
    plain = _UNUSUAL.sub("_", name)
    headers = {
        "content-disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": "sandbox; default-src 'none'",
        "cache-control": "private, no-store",
    }
    return Response(found, media_type=ANY, headers=headers)


def _opened(content: bytes, number: int) -> tuple[str, bytes]:
    apart = Apart(content)
    found = apart.opened(number)
    return apart.view().files[number].name or f"file-{number + 1}", found
