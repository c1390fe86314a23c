"""The line an action leaves for the page after it."""

import base64

import pytest

from emailhub.web.pages import flash
from emailhub.web.pages.flash import Flash


def test_what_is_written_is_read_back() -> None:
    said = Flash("warn", "Nichts geändert: <b>")
    assert flash.read(flash.written(said, "/").value) == said


def test_a_long_line_is_cut_so_that_the_cookie_is_kept() -> None:
    value = flash.written(Flash("ok", "ä" * 5000), "/").value
    assert value is not None
    assert len(value) < 4000


@pytest.mark.parametrize(
    "value",
    (
        None,
        "",
        "%%%",
        "bm90IGpzb24=",
        "x" * 5000,
        base64.urlsafe_b64encode(b'{"tone":"evil","text":"x"}').decode(),
        base64.urlsafe_b64encode(b'{"tone":"ok","text":7}').decode(),
    ),
)
def test_a_cookie_somebody_made_up_says_nothing(value: str | None) -> None:
    assert flash.read(value) is None


def test_no_script_and_no_other_site_can_use_the_cookie() -> None:
    cookie = flash.written(Flash("ok", "x"), "/mail")
    assert (cookie.httponly, cookie.samesite, cookie.path) == (True, "strict", "/mail")
