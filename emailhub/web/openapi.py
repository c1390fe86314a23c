"""The API as an OpenAPI 3.1 document."""

from __future__ import annotations


def document(public_url: str | None) -> dict[str, object]:
    """The document."""
    return {"openapi": "3.1.0", "info": {"title": "emailhub", "version": "0"}, "paths": {}, "servers": [public_url]}
