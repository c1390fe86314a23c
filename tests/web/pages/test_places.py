"""Where templates and static files are looked for."""

from pathlib import Path

import pytest

from emailhub.web.pages import places


def test_a_checkout_has_its_own_folders() -> None:
    (found,) = places.folders("templates")
    assert (found / "base.html").is_file()


def test_the_operators_folder_goes_first(tmp_path: Path) -> None:
    assert places.folders("static", tmp_path)[0] == tmp_path


def test_a_folder_of_the_operator_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    assert tmp_path / "none" not in places.folders("static", tmp_path / "none")


def test_an_incomplete_installation_is_said_at_once() -> None:
    with pytest.raises(FileNotFoundError, match="no folder 'nothing'"):
        places.folders("nothing")
