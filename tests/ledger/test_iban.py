"""IBANs: real examples are taken, every slip that the check digits can see is refused, lists show little."""

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger import iban
from ledger.refusals import InvalidField

# The examples that SWIFT's IBAN Registry (ISO 13616) gives for these countries, in electronic form.
_REGISTRY = """
AD1200012030200359100100 AE070331234567890123456 AL47212110090000000235698741 AT611904300234573201
AZ21NABZ00000000137010001944 BA391290079401028494 BE68539007547034 BG80BNBG96611020345678
BH67BMAG00001299123456 BR1800360305000010009795493C1 BY13NBRB3600900000002Z00AB00
CH9300762011623852957 CR05015202001026284066 CY17002001280000001200527600 CZ6508000000192000145399
DE89370400440532013000 DK5000400440116243 DO28BAGR00000001212453611324 EE382200221020145685
ES9121000418450200051332 FI2112345600000785 FO6264600001631634 FR1420041010050500013M02606
GB29NWBK60161331926819 GE29NB0000000101904917 GI75NWBK000000007099453 GL8964710001000206
GR1601101250000000012300695 GT82TRAJ01020000001210029690 HR1210010051863000160
HU42117730161111101800000000 IE29AIBK93115212345678 IL620108000000099999999 IQ98NBIQ850123456789012
IS140159260076545510730339 IT60X0542811101000000123456 JO94CBJO0010000000000131000302
KW81CBKU0000000000001234560101 KZ86125KZT5004100100 LB62099900000001001901229114
LC55HEMM000100010012001200023015 LI21088100002324013AA LT121000011101001000 LU280019400644750000
LV80BANK0000435195001 MC5811222000010123456789030 MD24AG000225100013104168 ME25505000012345678951
MK07250120000058984 MR1300020001010000123456753 MT84MALT011000012345MTLCAST001S
MU17BOMM0101101030300200000MUR NL91ABNA0417164300 NO9386011117947 PK36SCBL0000001123456702
PL61109010140000071219812874 PS92PALS000000000400123456702 PT50000201231234567890154
QA58DOHB00001234567890ABCDEFG RO49AAAA1B31007593840000 RS35260005601001611379
SA0380000000608010167519 SC18SSCB11010000000000001497USD SE4550000000058398257466
SI56263300012039086 SK3112000000198742637541 SM86U0322509800000000270100
SV62CENR00000000000000700025 TL380080012345678910157 TN5910006035183598478831
TR330006100519786457841326 UA213223130000026007233566001 VG96VPVG0000012345678901
XK051212012345678906
"""
EXAMPLES = _REGISTRY.split()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example[:2])
def test_the_registry_s_own_examples_are_taken(example):
    """In electronic form, as printed with blanks, and in small letters."""
    printed = " ".join(example[start : start + 4] for start in range(0, len(example), 4))

    assert iban.checked(example, "/iban") == example
    assert iban.checked(printed.lower(), "/iban") == example


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "no IBAN"),
        ("DE", "no IBAN"),
        ("1234567890123456", "no IBAN"),
        ("DE89 3704 0044 0532 0130 0", "22 characters, not 21"),
        ("DE89 3704 0044 0532 0130 001", "22 characters, not 23"),
        ("DE88 3704 0044 0532 0130 00", "check digits"),
        ("ZZ89 3704 0044 0532 0130 00", "no IBAN begins with ZZ"),
        ("DE89-3704-0044-0532-0130-00", "no IBAN"),
        ("DE89\n370400440532013000", "no IBAN"),
        ("DE٨٩370400440532013000", "no IBAN"),
    ],
)
def test_what_is_no_iban_is_refused_without_being_repeated(value, says):
    """The refusal points at the field, says what is wrong, and shows no more than the country."""
    with pytest.raises(InvalidField, match=says) as refused:
        iban.checked(value, "/iban")

    assert refused.value.pointer == "/iban"
    assert "0532" not in refused.value.message


@given(st.sampled_from(EXAMPLES), st.data())
def test_one_wrong_sign_is_always_seen(example, data):
    """Digit for digit or letter for letter, anywhere. MOD 97-10 sees each, as ISO 7064 says of it."""
    place = data.draw(st.integers(0, len(example) - 1))
    kind = string.digits if example[place].isdigit() else string.ascii_uppercase
    sign = data.draw(st.sampled_from(kind.replace(example[place], "")))

    with pytest.raises(InvalidField):
        iban.checked(example[:place] + sign + example[place + 1 :], "/iban")


def neighbours(example):
    """The places whose sign is another one of the same kind as the next."""
    pairs = enumerate(pairwise(example))
    return [place for place, (a, b) in pairs if a != b and a.isdigit() == b.isdigit()]


@given(st.sampled_from(EXAMPLES), st.data())
def test_two_neighbours_in_the_wrong_order_are_always_seen(example, data):
    """A digit and a digit, or a letter and a letter: no such swap keeps the remainder."""
    place = data.draw(st.sampled_from(neighbours(example)))
    left, right = example[place : place + 2]

    with pytest.raises(InvalidField):
        iban.checked(example[:place] + right + left + example[place + 2 :], "/iban")


@given(st.sampled_from(EXAMPLES))
def test_of_all_check_digits_one_pair_is_right(example):
    """02 to 98 cover each remainder once: 97 others are refused."""
    right = [n for n in range(2, 99) if iban.has_check_digits(f"{example[:2]}{n:02}{example[4:]}")]

    assert right == [int(example[2:4])]


def test_every_country_of_sepa_has_a_length():
    """And the table holds the registry's 89 countries, none twice."""
    assert set(iban.LENGTHS) >= iban.SEPA
    assert (len(iban.LENGTHS), len(iban.SEPA)) == (89, 42)
    assert {len(example) for example in EXAMPLES} <= set(iban.LENGTHS.values())
    with pytest.raises(InvalidField, match="reaches an account in BR"):
        iban.within_sepa("BR1800360305000010009795493C1", "/iban")


@given(st.sampled_from(EXAMPLES))
def test_a_mask_leaves_six_characters(example):
    """Country and end: enough to tell one's own accounts apart."""
    shown = iban.masked(example)

    assert (len(shown), shown[:2], shown[-4:]) == (len(example), example[:2], example[-4:])
    assert set(shown[2:-4]) == {"*"}
