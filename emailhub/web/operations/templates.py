"""Operations on templates."""

from __future__ import annotations

from emailhub.web import shapes as told
from emailhub.web import template_requests as asked
from emailhub.web.operations.operation import BODY, STRING, Input, Operation
from emailhub.web.requests import VerbRequest

_TEMPLATE = Input("template", "path", "the template's id or alias, or a file's name", STRING, required=True)
_LIST = (
    Input("limit", "query", "templates on a page", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}),
    Input("after", "query", "go on after this template id", STRING),
    Input("before", "query", "go back before this template id", STRING),
)
_NUMBER: dict[str, object] = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
_LANGUAGE: dict[str, object] = {"type": "string", "pattern": f"^$|{asked.LANGUAGE}"}
_CONTENT = (
    Input("version", "query", "of a stored template; the newest when left out", _NUMBER),
    Input("language", "query", "of a template in files", _LANGUAGE),
)

TEMPLATES: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/templates",
        group="Templates",
        summary="Create a template",
        meaning="As a draft, which does not send until it is published. What does not compile is refused, with the "
        "line.",
        body=asked.NewTemplateRequest,
        answer=told.TemplateChanged,
        errors=(*BODY, 503),
    ),
    Operation(
        method="get",
        path="/templates",
        group="Templates",
        summary="List templates",
        meaning="Stored ones and those in files, by what they are called. With `Accept: text/html` this address is the "
        "page of the dashboard.",
        inputs=_LIST,
        answer=told.TemplateList,
        errors=(422,),
    ),
    Operation(
        method="get",
        path="/templates/{template}",
        group="Templates",
        summary="Read a template",
        inputs=(_TEMPLATE, *_CONTENT),
        answer=told.TemplateShape,
        errors=(404, 422),
    ),
    Operation(
        method="patch",
        path="/templates/{template}",
        group="Templates",
        summary="Change a template",
        meaning="Its content becomes a new version, and messages keep using the published one; `name` and `alias` "
        "change at once. The last 100 versions are kept, and the published one.",
        inputs=(_TEMPLATE,),
        body=asked.TemplateChangeRequest,
        answer=told.TemplateChanged,
        errors=(*BODY, 404, 409, 503),
    ),
    Operation(
        method="delete",
        path="/templates/{template}",
        group="Templates",
        summary="Delete a template",
        meaning="With all its versions. Messages made from it stay as they are.",
        inputs=(_TEMPLATE,),
        body=VerbRequest,
        body_optional=True,
        answer=told.TemplateDeleted,
        errors=(*BODY, 404, 409, 503),
    ),
    Operation(
        method="get",
        path="/templates/{template}/versions",
        group="Templates",
        summary="List the versions of a template",
        inputs=(_TEMPLATE,),
        answer=told.VersionList,
        errors=(404, 409),
    ),
    Operation(
        method="post",
        path="/templates/{template}/publish",
        group="Templates",
        summary="Publish a version of a template",
        meaning="Messages are made from it from now on. An older `version` takes a change back.",
        inputs=(_TEMPLATE,),
        body=asked.PublishRequest,
        body_optional=True,
        answer=told.TemplateChanged,
        errors=(*BODY, 404, 409, 503),
    ),
    Operation(
        method="post",
        path="/templates/{template}/duplicate",
        group="Templates",
        summary="Copy a template",
        meaning="The copy is a draft without an alias.",
        inputs=(_TEMPLATE,),
        body=VerbRequest,
        body_optional=True,
        answer=told.TemplateChanged,
        errors=(*BODY, 404, 409, 503),
    ),
    Operation(
        method="post",
        path="/templates/{template}/render",
        group="Templates",
        summary="Try a template",
        meaning="What a message would say; nothing is sent.",
        inputs=(_TEMPLATE,),
        body=asked.RenderRequest,
        body_optional=True,
        answer=told.RenderedShape,
        errors=(*BODY, 404, 503),
    ),
)
