"""The settings as the API answers them, with how the parts stand and what the hub is made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from emailhub.core.errors import Problem
from emailhub.core.setup import About, Setting, Setup
from emailhub.web.shapes.reloaded import ChangeShape
from emailhub.web.shapes.times import Time, iso


class SettingShape(Struct, frozen=True, kw_only=True):
    """One effective setting. A secret reads `***`; one that is not set has an empty value."""

    section: Annotated[str, Meta(examples=["Web"])]
    name: Annotated[str, Meta(examples=["EMAILHUB_PORT"])]
    value: Annotated[str, Meta(examples=["8000"])]
    source: Annotated[
        str, Meta(description="default, a file, .env, environment, or the flag", examples=["environment"])
    ]
    is_default: bool
    meaning: str

    @classmethod
    def of(cls, setting: Setting) -> SettingShape:
        return cls(
            section=setting.section,
            name=setting.name,
            value=setting.value,
            source=setting.source,
            is_default=setting.is_default,
            meaning=setting.meaning,
        )


class ProblemShape(Struct, frozen=True):
    """Why the settings as they stand in their sources would be refused."""

    field: Annotated[str, Meta(examples=["EMAILHUB_PORT (file emailhub.toml)"])]
    message: str

    @classmethod
    def of(cls, problem: Problem) -> ProblemShape:
        return cls(problem.field, problem.message)


class PartShape(Struct, frozen=True):
    """How one part stands."""

    name: Annotated[str, Meta(examples=["outbox"])]
    status: Literal["ok", "degraded", "down"]
    detail: str


class AboutShape(Struct, frozen=True, kw_only=True):
    """The program, and what it stands on; `database_schema` is the number of the outbox's schema, `uptime` seconds."""

    version: str
    python: str
    sqlite: str
    database_schema: int
    started_at: Time
    uptime: float

    @classmethod
    def of(cls, about: About, now: float) -> AboutShape:
        return cls(
            version=about.version,
            python=about.python,
            sqlite=about.sqlite,
            database_schema=about.schema,
            started_at=iso(about.started_at),
            uptime=round(max(now - about.started_at, 0.0), 3),
        )


class SetupShape(Struct, frozen=True, kw_only=True):
    """The settings in force, and what their sources say by now."""

    object: Literal["settings"] = "settings"
    data: list[SettingShape]
    reloadable: Annotated[list[ChangeShape], Meta(description="changes that `POST /reload` would put in force")]
    restart: Annotated[list[ChangeShape], Meta(description="changes that need a restart")]
    problems: Annotated[list[ProblemShape], Meta(description="why a reload or a start would be refused now")]
    warnings: list[str]
    parts: list[PartShape]
    about: AboutShape

    @classmethod
    def of(cls, setup: Setup, parts: Sequence[PartShape], about: AboutShape) -> SetupShape:
        return cls(
            data=[SettingShape.of(one) for one in setup.settings],
            reloadable=[ChangeShape.of(one) for one in setup.reloadable],
            restart=[ChangeShape.of(one) for one in setup.restart],
            problems=[ProblemShape.of(one) for one in setup.problems],
            warnings=list(setup.warnings),
            parts=list(parts),
            about=about,
        )
