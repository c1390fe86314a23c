"""A relay's last day as a bar."""

from emailhub.core.breaker import Mode, Phase, Snapshot
from emailhub.core.records import Event
from emailhub.web.pages.strip import DAY, pieces

NOW = 10 * DAY


def _turn(ago: float, phase: Phase, mode: Mode = Mode.AUTO) -> Event:
    return Event(1, NOW - ago, "breaker", None, "default", {"phase": phase.value, "mode": mode.value})


def test_a_breaker_nothing_ever_happened_to_was_closed_all_day() -> None:
    (whole,) = pieces(Snapshot(), (), NOW)
    assert (whole.left, whole.width, whole.word, whole.lasted) == (0, 100, "closed", "1 d")


def test_an_opening_divides_the_day() -> None:
    open_now = Snapshot(phase=Phase.OPEN)
    before, after = pieces(open_now, (_turn(DAY / 4, Phase.OPEN),), NOW)
    assert (before.word, before.width) == ("closed", 75)
    assert (after.word, after.left, after.width, after.tone) == ("open", 75, 25, "bad")


def test_what_happened_before_the_day_says_how_it_began() -> None:
    (whole,) = pieces(Snapshot(phase=Phase.OPEN), (_turn(2 * DAY, Phase.OPEN),), NOW)
    assert whole.word == "open"


def test_a_forced_mode_hides_the_phase() -> None:
    paused = Snapshot(phase=Phase.OPEN, mode=Mode.OPEN)
    assert [piece.word for piece in pieces(paused, (_turn(60, Phase.OPEN, Mode.OPEN),), NOW)] == ["closed", "paused"]


def test_half_a_minute_of_trouble_is_seen_and_stays_inside_the_bar() -> None:
    *_, last = pieces(Snapshot(phase=Phase.OPEN), (_turn(1, Phase.OPEN),), NOW)
    assert last.width >= 0.5
    assert last.left + last.width <= 100


def test_probes_in_between_are_told_and_repeated_openings_are_one() -> None:
    turns = (_turn(100, Phase.OPEN), _turn(3600, Phase.HALF_OPEN), _turn(7200, Phase.OPEN), _turn(9000, Phase.OPEN))
    found = pieces(Snapshot(phase=Phase.OPEN), turns, NOW)
    assert [piece.word for piece in found] == ["closed", "open", "probing", "open"]


def test_the_beginning_is_not_known_when_older_events_were_not_read() -> None:
    first, *_ = pieces(Snapshot(phase=Phase.OPEN), (_turn(60, Phase.OPEN),), NOW, whole=False)
    assert (first.word, first.tone) == ("not known", "neutral")


def test_a_short_trouble_that_has_just_ended_is_not_covered_by_the_calm_after_it() -> None:
    _, trouble, calm = pieces(Snapshot(), (_turn(20, Phase.CLOSED), _turn(200, Phase.OPEN)), NOW)
    assert (trouble.word, calm.word) == ("open", "closed")
    assert calm.left >= trouble.left + 0.2
