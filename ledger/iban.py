"""IBANs (ISO 13616): country, length and check digits; and what of one may be shown. Pure."""

import re
from typing import Final

from ledger.refusals import InvalidField

# Source: SWIFT's IBAN Registry (the registry of ISO 13616), release 101: "IBAN length" of each country.
_REGISTRY: Final = (
    "AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BI27 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DJ27 DK18 DO28 "
    "EE20 EG29 ES24 FI18 FK18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HN28 HR21 HU28 IE22 IL23 IQ23 IS26 "
    "IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MN20 MR27 MT31 MU30 NI28 "
    "NL18 NO15 OM23 PK24 PL28 PS29 PT25 QA29 RO24 RS22 RU33 SA24 SC31 SD18 SE24 SI19 SK24 SM27 SO23 ST25 "
    "SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20 YE30"
)
LENGTHS: Final = {entry[:2]: int(entry[2:]) for entry in _REGISTRY.split()}
"""Country -> how many characters its IBANs have."""
# Source: European Payments Council, "EPC List of SEPA Scheme Countries" (EPC409-09), by what the IBANs begin
# with: territories of France and Finland, and the Crown Dependencies, have FR, FI and GB. Those that the EPC
# let in since November 2024 (Albania, Montenegro, Moldova, North Macedonia, Serbia) are among them.
SEPA: Final = frozenset(
    [
        "AD",
        "AL",
        "AT",
        "BE",
        "BG",
        "CH",
        "CY",
        "CZ",
        "DE",
        "DK",
        "EE",
        "ES",
        "FI",
        "FR",
        "GB",
        "GI",
        "GR",
        "HR",
        "HU",
        "IE",
        "IS",
        "IT",
        "LI",
        "LT",
        "LU",
        "LV",
        "MC",
        "MD",
        "ME",
        "MK",
        "MT",
        "NL",
        "NO",
        "PL",
        "PT",
        "RO",
        "RS",
        "SE",
        "SI",
        "SK",
        "SM",
        "VA",
    ]
)
"""Countries whose accounts a SEPA credit transfer reaches."""
_SHAPE: Final = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}", re.ASCII)
_SHOWN: Final = 4


def checked(value: str, pointer: str) -> str:
    """The IBAN in its electronic form: capitals, no blanks. Refuses with InvalidField, never repeating it."""
    written = re.sub(r"[ \u00a0]", "", value).upper()
    if not _SHAPE.fullmatch(written):
        raise InvalidField("is no IBAN: two letters, two digits, then letters and digits", pointer=pointer)
    length = LENGTHS.get(written[:2])
    if length is None:
        raise InvalidField(f"no IBAN begins with {written[:2]}", pointer=pointer)
    if len(written) != length:
        said = f"an IBAN of {written[:2]} has {length} characters, not {len(written)}"
        raise InvalidField(said, pointer=pointer)
    if not has_check_digits(written):
        raise InvalidField("its check digits are wrong: a slip of the pen, most likely", pointer=pointer)
    return written


def has_check_digits(written: str) -> bool:
    """ISO 7064, MOD 97-10: with the first four characters at the end and A to Z as 10 to 35, it leaves 1."""
    return int("".join(str(int(sign, 36)) for sign in written[4:] + written[:4])) % 97 == 1


def within_sepa(written: str, pointer: str) -> str:
    """The IBAN, of a country that SEPA reaches. Refuses with InvalidField."""
    if written[:2] not in SEPA:
        raise InvalidField(f"no SEPA transfer reaches an account in {written[:2]}", pointer=pointer)
    return written


def masked(written: str) -> str:
    """What may stand in lists and logs: the country and the last four characters."""
    return f"{written[:2]}{'*' * (len(written) - 2 - _SHOWN)}{written[-_SHOWN:]}"
