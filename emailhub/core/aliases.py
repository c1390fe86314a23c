"""By which names services bring the parts of an e-mail, and how they become the fields of a message.

The first name that holds something wins, in the order in which services use them. Never read: `sender` (a service's
name), `retry_count`, `status` and `priority` (which mean something else everywhere).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from emailhub.core.fields import METADATA, METADATA_NAME, METADATA_VALUE, shown
from emailhub.core.parse import is_html
from emailhub.core.placeholder import UnfillableError, fill
from emailhub.core.template import VARIABLE
from emailhub.core.template_use import language_of

_Path = tuple[str, ...]


def _paths(names: str) -> tuple[_Path, ...]:
    return tuple(tuple(name.split(".")) for name in names.split())


_ADDRESS = _paths(
    "to to_email recipient recipient_email user_email email email_address user.email user.data.email contact_info.email"
    " variables.__user.email metadata.recipient_email metadata.email metadata.to variables.email delivery_targets.email"
)
_SUBJECT = _paths("subject template_subject template.subject metadata.subject variables.subject template.name")
_OWN_SUBJECT = _paths("subject template_subject")
"""Where a subject stands that goes before that of a named template."""
_HTML = _paths("html_body body_html html_content html template.html")
_TEXT = _paths("text_body body_text text_content text template.text")
_EITHER = _paths("template_content template.body template.content body content metadata.body message")
_FROM_TEMPLATE = _paths("template_content template.body template.content template.html template.text")
_VARIABLES = _paths("variables template_vars.variables template_variables template.variables data context")
_TEMPLATE = _paths(
    "template_code template_id template_key template_name template template.code template.id template.key template.slug"
)
_LANGUAGE = _paths(
    "language lang locale template.language template.locale metadata.language metadata.locale user.language user.locale"
    " variables.language variables.locale"
)
_USER = _paths("user_id user.id recipient_id")
_AS_GIVEN = ("cc", "bcc", "reply_to", "on_unknown", "scheduled_at", "expires_at", "expires_in", "store_body")
_MAIL_HEADERS = ("list-", "in-reply-to", "references")
_FILE = {
    "filename": ("filename", "file_name", "name"),
    "content": ("content", "data", "base64"),
    "content_type": ("content_type", "mime_type", "type"),
    "content_id": ("content_id", "cid"),
    "path": ("path", "url"),
}
_ADDRESSED_METADATA = ("recipient_email", "email", "to", "subject", "body")

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_EMAIL = ("email", "e-mail", "mail", "smtp")
# `type` alone is also used for the kind of mail ("welcome"), so only the names of other channels speak against it.
_OTHER_CHANNELS = ("push", "push_notification", "sms", "in_app", "webhook", "whatsapp", "telegram", "slack")


class NotARequestError(ValueError):
    """The body asks for no e-mail that could be sent; the text says why and what to do, without repeating content."""


def identifier(value: object) -> str | None:
    """`value` as an id: a text that is not blank, or an integer; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64:
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def snake(order: dict[str, object]) -> dict[str, object]:
    """`order` with `userId` also found as `user_id`; a name that is written so already wins."""
    renamed = {_CAMEL.sub("_", name).lower(): value for name, value in order.items() if not name.islower()}
    return renamed | order if renamed else order


def _at(order: Mapping[str, object], path: _Path) -> object:
    # What was decoded from JSON holds plain dicts only, and asking for those is much quicker than for any Mapping.
    found = order.get(path[0])
    for step in path[1:]:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _first(order: Mapping[str, object], paths: tuple[_Path, ...]) -> tuple[str, _Path]:
    """The first text at one of `paths` that is not blank, and its path; ("", ()) when there is none."""
    for path in paths:
        found = _at(order, path)
        if isinstance(found, str) and found.strip():
            return found, path
    return "", ()


def fields(order: Mapping[str, object]) -> dict[str, object]:
    """The fields of a message that `order` brings: at least `to` and one of `text`, `html` and `template`.

    Raises NotARequestError when it asks for something else or lacks one of these.
    """
    reason = _not_email(order)
    if reason:
        raise NotARequestError(reason)
    found = {**_content(order), **_recipients(order), **_extras(order)}
    reason = _missing(order, found)
    if reason:
        raise NotARequestError(reason)
    if "@" in str(order.get("from") or ""):
        found["from"] = order["from"]
    if str(order.get("unsubscribe_url") or "").startswith("https://"):
        found["unsubscribe_url"] = order["unsubscribe_url"]
    return found | {name: order[name] for name in _AS_GIVEN if order.get(name) not in (None, "", [])}


def _not_email(order: Mapping[str, object]) -> str:
    """Why `order` is for another channel, or ""."""
    for name in ("notification_type", "channel", "type"):
        given = order.get(name)
        asked = [
            item.strip().lower() for item in (given if isinstance(given, list) else [given]) if isinstance(item, str)
        ]
        if name == "type":
            asked = [item for item in asked if item in _OTHER_CHANNELS]
        if any(asked) and not any(item in _EMAIL for item in asked):
            return f"its {name} is {shown(', '.join(asked))}, not email"
    return ""


def _recipients(order: Mapping[str, object]) -> dict[str, object]:
    first: str | list[str] | None = None
    for path in _ADDRESS:
        boxes = _mailboxes(_at(order, path))
        # A `to` that holds a user's id must not hide the address in `email`.
        if boxes and "@" in str(boxes):
            return {"to": boxes}
        first = first or boxes
    return {"to": first} if first else {}


def _mailboxes(value: object) -> str | list[str] | None:
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Mapping):
        address, name = (value.get(key) for key in ("email", "name"))
        if not isinstance(address, str) or not isinstance(name, str) or not name.strip():
            return address.strip() or None if isinstance(address, str) else None
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{quoted}" <{address}>'
    if not isinstance(value, list):
        return None
    boxes = (_mailboxes(item) for item in value if not isinstance(item, list))
    return [box for box in boxes if isinstance(box, str)] or None


def _content(order: Mapping[str, object]) -> dict[str, object]:
    (html, at_html), (text, at_text), (either, at_either) = (_first(order, way) for way in (_HTML, _TEXT, _EITHER))
    subject, _ = _first(order, _SUBJECT)
    if either and is_html(either):
        html = html or either
    else:
        text = text or either
    values = next((found for path in _VARIABLES if isinstance(found := _at(order, path), Mapping)), None)
    if not (text or html) and (use := _use(order, values or {})):
        return use
    templated = any(path in _FROM_TEMPLATE for path in (at_html, at_text, at_either))
    if values is not None or templated:
        values = values or {}
        subject, text = (_filled(part, values, html=False) for part in (subject, text))
        html = _filled(html, values, html=True)
    given = {"subject": subject, "text": text, "html": html}
    return {name: value for name, value in given.items() if value}


def _use(order: Mapping[str, object], values: Mapping[str, object]) -> dict[str, object]:
    """The template that `order` names; what cannot be the name of a variable no template could ask for."""
    id = next((found for path in _TEMPLATE if (found := identifier(_at(order, path)))), None)
    if not id:
        return {}
    languages = (language_of(_at(order, path)) for path in _LANGUAGE)
    use = {
        "id": id,
        "language": next(filter(None, languages), None),
        "variables": {name: value for name, value in values.items() if VARIABLE.fullmatch(name)},
    }
    subject = _filled(_first(order, _OWN_SUBJECT)[0], values, html=False)
    return {"template": use, **({"subject": subject} if subject else {})}


def _filled(template: str, values: Mapping[str, object], *, html: bool) -> str:
    try:
        return fill(template, values, html=html)
    except UnfillableError as error:
        raise NotARequestError(f"its content {error}") from None


def _extras(order: Mapping[str, object]) -> dict[str, object]:
    """Files, and headers, tags and metadata of a publisher who knows ours; what others mean by these is left out."""
    found: dict[str, object] = {}
    files = order.get("attachments")
    if isinstance(files, list):
        found["attachments"] = [_file(file) if isinstance(file, Mapping) else file for file in files]
    headers, tags, metadata = order.get("headers"), order.get("tags"), order.get("metadata")
    if isinstance(headers, Mapping):
        # Some services copy the headers of an HTTP request in here; its tokens must not travel by mail.
        found["headers"] = {name: value for name, value in headers.items() if name.lower().startswith(_MAIL_HEADERS)}
    if isinstance(tags, list) and all(isinstance(tag, Mapping) and tag.keys() == {"name", "value"} for tag in tags):
        found["tags"] = tags
    if isinstance(metadata, Mapping):
        flat = [item for item in metadata.items() if item[0] not in _ADDRESSED_METADATA and _is_flat(*item)]
        found["metadata"] = dict(flat[:METADATA])
    return {name: value for name, value in found.items() if value}


def _file(given: Mapping[str, object]) -> dict[str, object]:
    """The fields of one attachment; a service's own names for its type or disposition are left out."""
    order = snake(dict(given))
    found = {field: next((order[name] for name in names if order.get(name)), None) for field, names in _FILE.items()}
    return {name: value for name, value in found.items() if value is not None}


def _is_flat(name: str, value: object) -> bool:
    if isinstance(value, bool) or not 1 <= len(name) <= METADATA_NAME:
        return False
    return isinstance(value, (int, float)) or (isinstance(value, str) and len(value) <= METADATA_VALUE)


def _missing(order: Mapping[str, object], fields: Mapping[str, object]) -> str:
    """What `order` does not bring, in sentences, or ""."""
    lacks = []
    if "to" not in fields:
        lacks.append(_no_address(order))
    if fields.keys().isdisjoint(("text", "html", "template")):
        lacks.append(
            "it brings no content; add html, text or body (content, message and template_code are understood too)"
        )
    return "; ".join(lacks)


def _no_address(order: Mapping[str, object]) -> str:
    user = next((found for path in _USER if (found := identifier(_at(order, path)))), None)
    if user:
        return f"it brings no address, only the user id {shown(user)}, and nobody is looked up; put the address into to"
    return "it brings no address; put it into to (recipient, email, user.email and the like are understood too)"
