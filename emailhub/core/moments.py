"""Times in plain English words, counted from now; clock times and days are UTC.

    words   = "now" | "in" amount {["," | "and"] amount} | [day] ["at"] time
    amount  = (1 to 6 digits | "a" | "an") unit
    unit    = s sec second | m min minute | h hr hour | d day | w week, the longer ones also in the plural
    day     = "today" | "tomorrow" | ["on" | "next"] weekday
    weekday = monday … sunday, also their first three letters
    time    = 0:00 … 23:59 | 1am … 12pm | 1:00am … 12:59pm | "noon"

Upper and lower case make no difference, and a `UTC` at the end changes nothing. A time alone is the next one. A weekday
is the next one whose time is still ahead, maybe today; `next` leaves today out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

EXAMPLES = "in 30 min, in 2 hours, tomorrow at 9am, monday at 14:30, at 18:00"

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNIT = "s(?:ecs?|econds?)?|m(?:ins?|inutes?)?|h(?:rs?|ours?)?|d(?:ays?)?|w(?:eeks?)?"
_AMOUNT = rf"(?:\d{{1,6}} ?|an? )(?:{_UNIT})"
_AMOUNTS = re.compile(rf"in {_AMOUNT}(?:(?:,| and)? {_AMOUNT}|\d{{1,6}} ?(?:{_UNIT}))*", re.ASCII)
_PARTS = re.compile(rf"(?:(\d+) ?|an? )({_UNIT})", re.ASCII)
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS = "|".join(f"{day[:3]}(?:{day[3:]})?" for day in _WEEKDAYS)
_CLOCK = re.compile(
    rf"(?:(?P<day>today|tomorrow|(?:on |(?P<next>next ))?(?P<weekday>{_DAYS}))(?: at)? |at )?"
    r"(?:(?P<noon>noon)|(?P<hour>\d{1,2})(?::(?P<minute>\d\d))? ?(?P<half>[ap]m)?)",
    re.ASCII,
)


def normal(words: str) -> str:
    """`words` in lower case, with single spaces and without the zone."""
    return " ".join(words.lower().split()).removesuffix(" utc")


def moment(words: str, now: float) -> float | None:
    """The unix seconds that `words` in their normal form mean at `now`; None: they are no words of ours."""
    if words == "now":
        return now
    if _AMOUNTS.fullmatch(words):
        return _after(words, now)
    found = _CLOCK.fullmatch(words)
    time = found and _time(found)
    return _next(found, time, now) if found and time is not None else None


def _after(words: str, now: float) -> float:
    return now + sum(int(number or 1) * _SECONDS[unit[0]] for number, unit in _PARTS.findall(words))


def _time(found: re.Match[str]) -> timedelta | None:
    """The time of day; None when there is no such time."""
    if found["noon"]:
        return timedelta(hours=12)
    hour, minute, half = int(found["hour"]), int(found["minute"] or 0), found["half"]
    if half is None:
        # `at 9` might be morning or evening.
        good = found["minute"] is not None and hour <= 23
    else:
        good = 1 <= hour <= 12
        hour = hour % 12 + (12 if half == "pm" else 0)
    return timedelta(hours=hour, minutes=minute) if good and minute <= 59 else None


def _next(found: re.Match[str], time: timedelta, now: float) -> float:
    at = datetime.fromtimestamp(now, UTC)
    today = at.replace(hour=0, minute=0, second=0, microsecond=0)
    wanted = today + time
    if found["day"] == "tomorrow":
        wanted += timedelta(days=1)
    elif found["weekday"]:
        number = next(n for n, day in enumerate(_WEEKDAYS) if day.startswith(found["weekday"]))
        wanted += timedelta(days=(number - today.weekday()) % 7)
        if wanted <= at or (found["next"] and wanted.date() == at.date()):
            wanted += timedelta(days=7)
    elif found["day"] is None and wanted <= at:
        wanted += timedelta(days=1)
    return wanted.timestamp()
