"""Names and texts in the characters that every bank of SEPA takes. Pure.

Source: European Payments Council, "SEPA Requirements for an Extended Character Set" (EPC217-08): letters and
digits of basic Latin, the blank and `/ - ? : ( ) . , ' +`. Letters with marks lose them; those few that are
no letter with a mark are written as they are usually written out; other signs become a full stop.
"""

import re
import unicodedata
from typing import Final

_WRITTEN_OUT: Final = str.maketrans(
    {
        "ß": "ss",
        "ẞ": "SS",
        "æ": "ae",
        "Æ": "Ae",
        "œ": "oe",
        "Œ": "Oe",
        "ø": "o",
        "Ø": "O",
        "đ": "d",
        "Đ": "D",
        "ð": "d",
        "Ð": "D",
        "þ": "th",
        "Þ": "Th",
        "ł": "l",
        "Ł": "L",
        "ħ": "h",
        "Ħ": "H",
        "ı": "i",
        "\u2019": "'",
        "\u2018": "'",
        "\u2013": "-",
        "\u2014": "-",
        "&": "+",
    }
)
_TAKEN: Final = re.compile(r"[A-Za-z0-9/\-?:().,'+ ]")


def latin(text: str) -> str | None:
    """The text in those characters; None where it has letters or digits of another script.

    A full stop in the place of a letter would name somebody else.
    """
    signs = []
    for sign in unicodedata.normalize("NFKD", text.translate(_WRITTEN_OUT)):
        if unicodedata.combining(sign):
            continue
        if _TAKEN.fullmatch(sign):
            signs.append(sign)
        elif sign.isspace():
            signs.append(" ")
        elif sign.isalnum():
            return None
        else:
            signs.append(".")
    # Banks refuse two slashes in a row, and one at either end.
    return re.sub(r" +", " ", re.sub(r"/{2,}", "/", "".join(signs))).strip(" /") or None
