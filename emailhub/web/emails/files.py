"""The attachments of a message, listed and handed out."""

from __future__ import annotations

import asyncio
from typing import Final
from urllib.parse import quote

from litestar import Response, get
from litestar.params import FromPath

from emailhub.core import view
from emailhub.core.errors import NotFound
from emailhub.core.view import File
from emailhub.web.faces import Faces, GivenFaces
from emailhub.web.files import handed_out
from emailhub.web.shapes import AttachmentList, AttachmentShape
from emailhub.web.visit import AnyRequest


@get("/emails/{id:str}/attachments")
async def list_attachments(request: AnyRequest, faces: GivenFaces, id: FromPath[str]) -> AttachmentList:
    """All of them; none once the content was erased."""
    files = await _files(faces, id)
    return AttachmentList([_shape(request, faces, id, number, file) for number, file in enumerate(files)])


@get("/emails/{id:str}/attachments/{attachment_id:str}")
async def read_attachment(
    request: AnyRequest, faces: GivenFaces, id: FromPath[str], attachment_id: FromPath[str]
) -> AttachmentShape:
    """What is known of one."""
    files, number = await _files(faces, id), _number(id, attachment_id)
    if number >= len(files):
        raise NotFound("attachment", f"{id}/{attachment_id}")
    return _shape(request, faces, id, number, files[number])


@get("/emails/{id:str}/attachments/{attachment_id:str}/content")
async def open_attachment(faces: GivenFaces, id: FromPath[str], attachment_id: FromPath[str]) -> Response[bytes]:
    """Its bytes."""
    return await handed_out(faces, id, _number(id, attachment_id))


async def _files(faces: Faces, id: str) -> tuple[File, ...]:
    await faces.history.find(id)
    content = await faces.history.content(id)
    return () if content is None else (await asyncio.to_thread(view.read, content)).files


def _number(id: str, attachment_id: str) -> int:
    if not (attachment_id.isascii() and attachment_id.isdecimal() and len(attachment_id) <= 9):
        raise NotFound("attachment", f"{id}/{attachment_id}")
    return int(attachment_id)


def _shape(request: AnyRequest, faces: Faces, id: str, number: int, file: File) -> AttachmentShape:
    base = faces.options.public_url or f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
    return AttachmentShape.at(file, number, f"{base.rstrip('/')}/emails/{quote(id)}/attachments/{number}/content")


HANDLERS: Final = (list_attachments, read_attachment, open_attachment)
