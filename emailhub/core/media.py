"""Which type a file has, by its name alone: the same on every machine."""

from __future__ import annotations

ANY = "application/octet-stream"
"""The type of a file of which nothing is known."""

_OFFICE = "application/vnd.openxmlformats-officedocument"
_TYPES = {
    **dict.fromkeys(("txt", "text", "log"), "text/plain"),
    **dict.fromkeys(("htm", "html"), "text/html"),
    **dict.fromkeys(("jpg", "jpeg"), "image/jpeg"),
    **dict.fromkeys(("tif", "tiff"), "image/tiff"),
    **dict.fromkeys(("mp4", "m4v"), "video/mp4"),
    "csv": "text/csv",
    "css": "text/css",
    "ics": "text/calendar",
    "md": "text/markdown",
    "vcf": "text/vcard",
    "xml": "application/xml",
    "json": "application/json",
    "js": "text/javascript",
    "pdf": "application/pdf",
    "rtf": "application/rtf",
    "doc": "application/msword",
    "xls": "application/vnd.ms-excel",
    "ppt": "application/vnd.ms-powerpoint",
    "docx": f"{_OFFICE}.wordprocessingml.document",
    "xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    "pptx": f"{_OFFICE}.presentationml.presentation",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "epub": "application/epub+zip",
    "pkpass": "application/vnd.apple.pkpass",
    "p7m": "application/pkcs7-mime",
    "p7s": "application/pkcs7-signature",
    "asc": "application/pgp-signature",
    "zip": "application/zip",
    "gz": "application/gzip",
    "tar": "application/x-tar",
    "7z": "application/x-7z-compressed",
    "png": "image/png",
    "gif": "image/gif",
    "webp": "image/webp",
    "avif": "image/avif",
    "heic": "image/heic",
    "bmp": "image/bmp",
    "ico": "image/vnd.microsoft.icon",
    "svg": "image/svg+xml",
    "mp3": "audio/mpeg",
    "ogg": "audio/ogg",
    "wav": "audio/x-wav",
    "m4a": "audio/mp4",
    "webm": "video/webm",
    "mov": "video/quicktime",
}
"""A name that ends in `eml` says nothing: message/rfc822 must not be encoded, and a file must be to stay as it is."""


def type_of(filename: str) -> str:
    """The MIME type that the ending of `filename` says, ANY when it says nothing."""
    return _TYPES.get(filename.rpartition(".")[2].lower(), ANY)
