"""Texts for banks: the letters that all of them take, and never a name that would be another's."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.sepa_text import latin

TAKEN = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]+")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Brightside GmbH & Co. KG", "Brightside GmbH + Co. KG"),
        ("Müller-Lüdenscheidt", "Muller-Ludenscheidt"),
        ("Straße 7, Ærø", "Strasse 7, Aero"),
        ("Łódź Ønske Þór Đorđe", "Lodz Onske Thor Dorde"),
        ("O’Brien – Sons", "O'Brien - Sons"),
        ("a\u00a0b\tc", "a b c"),
        ("A*B#C", "A.B.C"),
        ("//a//b//", "a/b"),
        ("Ελληνικά", None),
        ("Фирма", None),
        ("株式会社", None),
        ("  ", None),
    ],
)
def test_names_as_banks_take_them(text, written):
    """Marks fall off, a few letters are written out, another script is not guessed at."""
    assert latin(text) == written


@given(st.text(max_size=40))
def test_whatever_is_written_is_of_the_characters_that_all_banks_take(text):
    """Nothing else comes out, and what came out once comes out the same again."""
    written = latin(text)

    if written is not None:
        assert TAKEN.fullmatch(written)
        assert "//" not in written
        assert latin(written) == written
