"""A message whose recipients do not all get it: to whom it goes, and what of it is captured instead."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from emailhub.core import mime
from emailhub.core.diversion import CAPTURE, CAPTURING, Course
from emailhub.core.records import Parcel


def sent_on(parcel: Parcel, course: Course, entropy: Callable[[int], bytes]) -> Parcel:
    """`parcel` on its `course`: to somebody else, captured, or in two parts of which one is captured."""
    if course.kept.all and parcel.relay in CAPTURING:
        return parcel
    if not course.out.all:
        return replace(parcel, relay=CAPTURE, note=course.note)
    out, kept = course.out, course.kept
    return replace(
        parcel,
        to=out.to,
        cc=out.cc,
        bcc=out.bcc,
        to_header=out.all[0] if kept.all else parcel.to_header,
        diverted=course.diverted,
        note=course.note,
        companion=_captured(parcel, course, entropy) if kept.all else None,
    )


def _captured(parcel: Parcel, course: Course, entropy: Callable[[int], bytes]) -> Parcel:
    kept = course.kept
    return replace(
        parcel,
        id=mime.new_id(parcel.accepted_at, entropy(10)),
        relay=CAPTURE,
        to=kept.to,
        cc=kept.cc,
        bcc=kept.bcc,
        to_header=kept.all[0],
        key=None,
        queue_body=None,
        note=course.note,
        due_at=parcel.scheduled_at or parcel.accepted_at,
    )
