"""Numbers and times in words, the way the pages say them. Times are unix seconds (UTC), durations seconds."""

from __future__ import annotations

from datetime import UTC, datetime

from markupsafe import Markup

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
_CLOCKS = {"clock": "%H:%M", "exact": "%H:%M:%S.%f", "day": "%a %d", "full": "%-d %b %Y %H:%M"}


def number(value: float) -> str:
    """`1204` as `1,204`."""
    return f"{value:,.0f}"


def counted(value: int, one: str, many: str = "") -> str:
    """`1 recipient`, `2 recipients`; `many` where an s is not enough."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def share(part: float, whole: float) -> str:
    """How much of `whole` is `part`: `3.3 %`, `41 %`; empty when there is no whole."""
    if whole <= 0:
        return ""
    percent = 100 * part / whole
    return f"{percent:.1f} %" if 0 < percent < 10 else f"{percent:.0f} %"


def against(now: float, before: float, what: str) -> str:
    """How `now` compares with `before`: `−18 % against the hour before`, when `what` is `the hour before`."""
    if before <= 0:
        return f"none in {what}"
    percent = round(100 * (now - before) / before)
    return f"as many as {what}" if percent == 0 else f"{'+' if percent > 0 else '−'}{abs(percent):,} % against {what}"


def rate(per_second: float) -> str:
    """`14/s`, `0.4/s`, `3/min` for less than one in ten seconds, `0/s`."""
    if per_second <= 0:
        return "0/s"
    if per_second < 0.1:
        return f"{per_second * 60:.0f}/min" if per_second * 60 >= 1 else "under 1/min"
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"


def duration(seconds: float) -> str:
    """A length of time in its largest one or two units: `94 ms`, `0.41 s`, `12 s`, `11 min`, `2 h 5 min`, `3 d`."""
    if seconds < 0.1:
        return f"{max(seconds, 0.0) * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.2f} s"
    return coarse(seconds)


def coarse(seconds: float) -> str:
    """Like `duration`, never finer than a second."""
    if seconds < _MINUTE:
        return f"{max(seconds, 0):.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    if seconds < _DAY:
        minutes = seconds % _HOUR // _MINUTE
        return f"{seconds // _HOUR:.0f} h" + (f" {minutes:.0f} min" if minutes else "")
    return f"{seconds // _DAY:.0f} d"


def size(count: int) -> str:
    """Bytes for people: `812 bytes`, `2.4 kB`, `10.5 MB`."""
    if count < 1000:
        return counted(count, "byte")
    value, unit = (count / 1e3, "kB") if count < 1e6 else (count / 1e6, "MB") if count < 1e9 else (count / 1e9, "GB")
    return f"{value:.1f} {unit}" if value < 10 else f"{value:,.0f} {unit}"


def moment(at: float) -> datetime:
    """The point in time, in UTC."""
    return datetime.fromtimestamp(at, UTC)


def iso(at: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment(at).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(at: float, form: str = "clock") -> str:
    """The UTC time of day or date; `form` is clock, exact (to the millisecond), day or full."""
    text = moment(at).strftime(_CLOCKS[form])
    return text[:-3] if form == "exact" else text


def remaining(at: float, now: float) -> str:
    """What a countdown to `at` shows: `0:42`, `1:02:03`, and `now` once it is over."""
    left = round(at - now)
    if left <= 0:
        return "now"
    hours, rest = divmod(left, 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def due(at: float, now: float) -> str:
    """When something is to happen: `in 0:42`, or `now` once it is time."""
    left = remaining(at, now)
    return left if left == "now" else f"in {left}"


def since(at: float, now: float) -> str:
    """How long ago, or in how long: `just now`, `12 s ago`, `in 2 h`."""
    gap = now - at
    if abs(gap) < 1:
        return "just now"
    return f"{_rough(gap)} ago" if gap > 0 else f"in {_rough(-gap)}"


def _rough(seconds: float) -> str:
    for unit, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min")):
        if seconds >= unit:
            return f"{seconds // unit:.0f} {word}"
    return f"{seconds:.0f} s"


def time_element(at: float, form: str, text: str) -> Markup:
    """A `<time>` the script keeps fresh; `form` is ago, countdown, due, or one of `clock`. Exact UTC in its title."""
    return Markup('<time datetime="{}" title="{} UTC" data-time="{}">{}</time>').format(
        iso(at), moment(at).strftime("%Y-%m-%d %H:%M:%S"), form, text
    )
