"""Forms of the pages: urlencoded, every field a string, the first of each name."""

from __future__ import annotations

from urllib.parse import parse_qsl

from emailhub.web.body import read_bytes, require_media
from emailhub.web.errors import WebError
from emailhub.web.visit import AnyRequest

_FIELDS = 50


async def read_form(request: AnyRequest, most: int = _FIELDS) -> dict[str, str]:
    """The fields, at most `most`. Line ends are LF, as browsers show them. Raises WebError (415, 400)."""
    require_media(request, "application/x-www-form-urlencoded")
    body = await read_bytes(request)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=most, errors="strict")
    except ValueError:
        text = "The form could not be read: it is not UTF-8, or it has too many fields."
        raise WebError(400, "validation_error", text) from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value.replace("\r\n", "\n"))
    return fields
