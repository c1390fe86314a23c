"""What the API takes to make, change and try templates, as documentation; see `web.requests`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Struct, UnsetType, field

from emailhub.core.template import NAME, VARIABLE
from emailhub.core.wording import CALLED, DESCRIPTION, SUBJECT
from emailhub.web.kinds import Addresses, about, one_of

LANGUAGE = "^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$"
"""What a language looks like where one is asked for."""
Version = Annotated[int, about("the number of a version", 2, minimum=1, maximum=2**31 - 1)]
Value = str | float | bool | dict[str, Any] | list[Any]
_NAME = about("for people, at most 100 characters", "Welcome", minLength=1, maxLength=CALLED)
_ALIAS = about(
    "what messages may call it by, beside its id; with `.fr` at its end it is for that language",
    "welcome",
    pattern=f"^{NAME.pattern}$",
)
_SUBJECT = about(
    "Jinja source, 1 to 998 characters",
    "Welcome, {{ first_name }}",
    format="jinja-line",
    minLength=1,
    maxLength=SUBJECT,
)
_HTML = about(
    "Jinja source, at most 524288 characters",
    "<p>Hello {{ first_name }}</p>",
    format="jinja",
    minLength=1,
)
_TEXT = about("Jinja source, at most 524288 characters; made from the html when left out", format="jinja")
_FROM = about("the sender, unless a message names its own", "Shop <shop@example.com>", format="mailbox")
_REPLY_TO = about("where answers go, unless a message says so")
_VARIABLES = about("those it takes, at most 100")
_REASON = about("why, for the history", "spring campaign", maxLength=500)


class VariableRequest(Struct, omit_defaults=True):
    """A variable a template takes. Without a `fallback_value` every message must bring it."""

    key: Annotated[str, about("its name in the source", "first_name", pattern=f"^{VARIABLE.pattern}$")]
    type: Annotated[
        Literal["string", "number", "boolean", "object", "list"] | UnsetType, about("string when left out")
    ] = UNSET
    fallback_value: Annotated[Value | UnsetType, about("what it is when not given", "there")] = UNSET
    sample: Annotated[Value | UnsetType, about("what the preview shows", "Ada")] = UNSET
    description: Annotated[str | UnsetType, about("at most 200 characters", minLength=1, maxLength=DESCRIPTION)] = UNSET


class NewTemplateRequest(Struct, kw_only=True, omit_defaults=True):
    """A new template. It needs `name`, `subject` and one of `html` and `text`."""

    name: Annotated[str, _NAME]
    subject: Annotated[str, _SUBJECT]
    alias: Annotated[str | UnsetType, _ALIAS] = UNSET
    html: Annotated[str | UnsetType, _HTML] = UNSET
    text: Annotated[str | UnsetType, _TEXT] = UNSET
    from_: Annotated[str | UnsetType, _FROM] = field(name="from", default=UNSET)
    reply_to: Annotated[Addresses | UnsetType, _REPLY_TO] = UNSET
    variables: Annotated[list[VariableRequest] | UnsetType, _VARIABLES] = UNSET
    reason: Annotated[str | UnsetType, _REASON] = UNSET


class TemplateChangeRequest(Struct, kw_only=True, omit_defaults=True):
    """What is left out stays. null takes it away, except for the name and the subject, which it leaves."""

    name: Annotated[str | UnsetType, _NAME] = UNSET
    subject: Annotated[str | UnsetType, _SUBJECT] = UNSET
    alias: Annotated[str | UnsetType, _ALIAS] = UNSET
    html: Annotated[str | UnsetType, _HTML] = UNSET
    text: Annotated[str | UnsetType, _TEXT] = UNSET
    from_: Annotated[str | UnsetType, _FROM] = field(name="from", default=UNSET)
    reply_to: Annotated[Addresses | UnsetType, _REPLY_TO] = UNSET
    variables: Annotated[list[VariableRequest] | UnsetType, _VARIABLES] = UNSET
    reason: Annotated[str | UnsetType, _REASON] = UNSET


class PublishRequest(Struct, omit_defaults=True):
    """Which version; the body may be left out."""

    version: Annotated[Version | UnsetType, about("an older one takes a change back; left out: the newest")] = UNSET
    reason: Annotated[str | UnsetType, _REASON] = UNSET


class RenderRequest(Struct, omit_defaults=True):
    """With which values; those left out are the samples and fallbacks."""

    variables: Annotated[dict[str, Any] | UnsetType, about("names and values", {"first_name": "Ada"})] = UNSET
    version: Annotated[Version | UnsetType, about("of a stored template; left out: the newest")] = UNSET
    language: Annotated[str | UnsetType, about("of a template in files", "fr", pattern=LANGUAGE)] = UNSET


SENT: tuple[type[Struct], ...] = (
    VariableRequest,
    NewTemplateRequest,
    TemplateChangeRequest,
    PublishRequest,
    RenderRequest,
)
"""Every shape of this module: what is sent, and never answered."""
NEEDS: dict[type[Struct], dict[str, object]] = {
    NewTemplateRequest: {"anyOf": [one_of("html"), one_of("text", there={"type": "string", "minLength": 1})]}
}
"""What holds beside the types of the fields, as JSON Schema."""
