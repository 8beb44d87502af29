"""CSV for spreadsheets: no text begins a formula, and nothing else about it changes."""

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from projections.spreadsheet import csv_text

STARTS = "=+-@\t\r\n＝＋－＠"
TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    st.builds(str.__add__, st.sampled_from(STARTS), st.sampled_from(["", "1", "\r=1", "\n@a", '"', ",+"])),
)


@given(st.lists(st.lists(TEXTS, min_size=2, max_size=2), min_size=1))
def test_a_text_is_itself_or_stands_behind_an_apostrophe(rows):
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))

    assert read == [[f"'{cell}" if cell and cell[0] in STARTS else cell for cell in row] for row in rows]


def test_numbers_below_zero_stay_numbers_and_nothing_is_empty():
    assert csv_text([(-5, None, "-5")]) == "-5,,'-5\n"
