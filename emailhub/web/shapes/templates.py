"""Templates as the API answers them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from emailhub.core.header import display
from emailhub.core.stored import Stored, Version
from emailhub.core.template import Rendered, Template, Variable
from emailhub.engine.shelf import Entry
from emailhub.web.shapes.times import Time, iso, maybe_iso

TemplateId = Annotated[str, Meta(examples=["01KA9V5ZQ4X2M7Q0Y3E8D6N1TB"])]
Origin = Annotated[Literal["stored", "file"], Meta(description="a file is changed in its directory, not here")]
Status = Annotated[Literal["draft", "published"], Meta(description="a draft does not send")]


class TemplateChanged(Struct, frozen=True, kw_only=True):
    """What was done concerns this template; `version` is the newest one it has."""

    object: Literal["template"] = "template"
    id: TemplateId
    version: Annotated[int, Meta(examples=[3])]
    published_version: Annotated[int | None, Meta(description="messages are made from it; null: none", examples=[3])]

    @classmethod
    def of(cls, stored: Stored) -> TemplateChanged:
        return cls(id=stored.id, version=stored.newest, published_version=stored.published)


class TemplateDeleted(Struct, frozen=True, kw_only=True):
    """The template is gone."""

    object: Literal["template"] = "template"
    id: TemplateId
    deleted: Literal[True] = True


class VariableShape(Struct, frozen=True, kw_only=True):
    """A variable of a template. One without a `fallback_value` must be given with every message."""

    key: Annotated[str, Meta(examples=["first_name"])]
    type: Literal["string", "number", "boolean", "object", "list"]
    required: bool
    fallback_value: Annotated[Any, Meta(examples=["there"])]
    sample: Annotated[Any, Meta(description="what the preview shows", examples=["Ada"])]
    description: str

    @classmethod
    def of(cls, one: Variable) -> VariableShape:
        return cls(
            key=one.name,
            type=one.type.value,
            required=one.default is None,
            fallback_value=one.default,
            sample=one.sample,
            description=one.description,
        )


class _Shared(Struct, frozen=True, kw_only=True):
    object: Literal["template"] = "template"
    id: TemplateId
    name: Annotated[str, Meta(examples=["Welcome"])]
    alias: Annotated[str | None, Meta(description="what messages may call it by", examples=["welcome"])]
    origin: Origin
    status: Status
    languages: Annotated[list[str], Meta(description="besides the one without a language", examples=[["fr"]])]
    problem: Annotated[str | None, Meta(description="why it cannot be used; null when it can")]
    hidden: Annotated[bool, Meta(description="a directory has its name, so that messages reach it by its id only")]
    published_at: Time | None
    created_at: Time | None
    updated_at: Time | None


class TemplateItem(_Shared, frozen=True, kw_only=True):
    """A template in a list."""

    @classmethod
    def of(cls, entry: Entry) -> TemplateItem:
        return cls(**_shared(entry))


class TemplateShape(_Shared, frozen=True, kw_only=True):
    """A template with its content: of the version asked for, otherwise of the newest."""

    version: Annotated[int | None, Meta(description="of the content here; null for a file", examples=[3])]
    published_version: Annotated[int | None, Meta(description="messages are made from it", examples=[2])]
    has_unpublished_versions: bool
    from_: Annotated[str | None, Meta(description="the sender, unless a message names its own")] = field(name="from")
    reply_to: list[str]
    subject: Annotated[str, Meta(examples=["Welcome, {{ first_name }}"])]
    html: str | None
    text: Annotated[str | None, Meta(description="null: it is made from the html")]
    variables: list[VariableShape]

    @classmethod
    def of(cls, entry: Entry, template: Template, version: int | None) -> TemplateShape:
        return cls(
            **_shared(entry),
            version=version,
            published_version=entry.published,
            has_unpublished_versions=entry.newest != entry.published,
            from_=display(template.sender) if template.sender else None,
            reply_to=[display(box) for box in template.reply_to],
            subject=template.subject,
            html=template.html,
            text=template.text,
            variables=[VariableShape.of(one) for one in template.variables],
        )


class TemplateList(Struct, frozen=True):
    """A page of templates, by name."""

    data: list[TemplateItem]
    has_more: bool
    object: Literal["list"] = "list"


class VersionShape(Struct, frozen=True, kw_only=True):
    """A version of a template; it never changes."""

    version: Annotated[int, Meta(examples=[3])]
    published: bool
    created_at: Time
    created_by: Annotated[str, Meta(examples=["key 1 from 10.0.0.7"])]
    reason: Annotated[str, Meta(examples=["spring campaign"])]

    @classmethod
    def of(cls, one: Version, published: int | None) -> VersionShape:
        return cls(
            version=one.number,
            published=one.number == published,
            created_at=iso(one.saved_at),
            created_by=one.saved_by,
            reason=one.note,
        )


class VersionList(Struct, frozen=True):
    """The versions that are kept, newest first."""

    data: list[VersionShape]
    object: Literal["list"] = "list"


class RenderedShape(Struct, frozen=True, kw_only=True):
    """What a message made from the template would say."""

    object: Literal["rendered"] = "rendered"
    subject: Annotated[str, Meta(examples=["Welcome, Ada"])]
    html: str | None
    text: str | None

    @classmethod
    def of(cls, rendered: Rendered) -> RenderedShape:
        return cls(subject=rendered.subject, html=rendered.html, text=rendered.text)


def _shared(entry: Entry) -> dict[str, Any]:
    """What lists tell of a template too."""
    return {
        "id": entry.id,
        "name": entry.name,
        "alias": entry.alias,
        "origin": entry.origin,
        "status": "published" if entry.sends else "draft",
        "languages": list(entry.languages),
        "problem": entry.problem or None,
        "hidden": entry.hidden,
        "published_at": maybe_iso(entry.published_at),
        "created_at": maybe_iso(entry.created_at or None),
        "updated_at": maybe_iso(entry.changed_at or None),
    }
