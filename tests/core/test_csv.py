"""CSV for spreadsheets: what goes in comes out as text, and nothing in it is computed."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emailhub.core.csv import line


@pytest.mark.parametrize(
    "value",
    ("=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "＋1", "－1", "＠A1"),
)
def test_what_a_spreadsheet_would_compute_is_made_text(value: str) -> None:
    (row,) = csv.reader(io.StringIO(line([value]), newline=""))
    assert row == [f"'{value}"]


@pytest.mark.parametrize("value", ("", "plain", "a=b", "a,b", 'say "hi"', "two\r\nlines", "ünïcode"))
def test_every_other_text_stays_as_it_is(value: str) -> None:
    (row,) = csv.reader(io.StringIO(line([value, "x"]), newline=""))
    assert row == [value, "x"]


@pytest.mark.parametrize("separator", (";", "\t"))
def test_nor_does_a_part_of_a_value_become_a_cell_where_another_character_parts_them(separator: str) -> None:
    (row,) = csv.reader(io.StringIO(line([f"a{separator}=1+1"]), newline=""), delimiter=separator)
    assert row == [f"a{separator}=1+1"]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",))), min_size=1))
def test_any_values_are_one_record_again(values: list[str]) -> None:
    (row,) = csv.reader(io.StringIO(line([*values, "end"]), newline=""))
    assert [cell.removeprefix("'") for cell in row] == [value.removeprefix("'") for value in [*values, "end"]]
