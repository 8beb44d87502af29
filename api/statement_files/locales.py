"""In which language and number format a statement is written."""

from typing import Final

from babel import Locale as Language
from babel import UnknownLocaleError

from api.statement_files.words import languages
from ledger.refusals import InvalidField

__all__ = ["DEFAULT", "PATTERN", "Language", "chosen", "offered"]

PATTERN: Final = rf"^(?:{'|'.join(languages())})(?:-[A-Z]{{2}})?$"
"""What may be asked for by name: a language that we have, perhaps with a region."""
DEFAULT: Final = Language("en")


def chosen(asked: str | None, of_partner: str | None, accepted: str | None) -> Language:
    """What the request names, else the partner's, else the first that the caller accepts, else English.

    `accepted` is an Accept-Language header. It counts last: browsers always send one, and a statement is a
    letter to the partner, whoever looks at it. Raises InvalidField where `asked` is none that we offer.
    """
    if asked is not None:
        found = offered(asked)
        if found is None:
            known = ", ".join(languages())
            raise InvalidField(f"must be one of: {known}, also with a region", pointer="/locale")
        return found
    for tag in (*_listed(of_partner), *_accepted(accepted)):
        found = offered(tag)
        if found is not None:
            return found
    return DEFAULT


def offered(tag: str) -> Language | None:
    """The locale of a BCP 47 tag, if we offer its language. A region that nobody knows is left out."""
    for part in (tag, tag.partition("-")[0]):
        try:
            found = Language.parse(part, sep="-")
        except (UnknownLocaleError, ValueError):
            continue
        if found.language in languages():
            return found
    return None


def _listed(tag: str | None) -> tuple[str, ...]:
    return () if tag is None else (tag,)


def _accepted(header: str | None) -> list[str]:
    """The tags of an Accept-Language header, the most wanted first (RFC 9110, 12.5.4)."""
    weighed = []
    for index, part in enumerate((header or "").split(",")[:50]):
        tag, _, rest = part.partition(";")
        weight = rest.strip().removeprefix("q=") or "1"
        if tag.strip() and weight.replace(".", "", 1).isdecimal() and weight.strip("0."):
            weighed.append((-int(weight.replace(".", "").ljust(4, "0")[:4]), index, tag.strip()))
    return [tag for _, _, tag in sorted(weighed)]
