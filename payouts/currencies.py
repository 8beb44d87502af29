"""Stripe's minor units, where they differ from those of ISO 4217, and the exact way there and back.

Source: Stripe's documentation, "Supported currencies" (docs.stripe.com/currencies): its sections on
zero-decimal and three-decimal currencies and on special cases. Our amounts count the minor units of ISO 4217
(ledger.money). That payouts to a bank in HUF and TWD have to be multiples of 100 does not concern us: we send
transfers, and the bank payouts that follow are made by Stripe.
"""

from typing import Final, NamedTuple

from ledger.money import CURRENCY_DIGITS
from payouts.outcomes import UnsendableIntent

_TENS: Final = (1, 10, 100, 1_000, 10_000)
"""The powers of ten, as far as a currency's decimals go."""


class Unit(NamedTuple):
    """How Stripe counts a currency: with how many decimals, and in which smallest step."""

    digits: int
    step: int = 1


_ZERO_DECIMALS: Final = Unit(0)
_TWO_DECIMALS: Final = Unit(2)
_TWO_DECIMALS_BOTH_ZERO: Final = Unit(2, 100)
"""Without decimals in truth, but counted as before: 5 ISK are 500."""
_THREE_DECIMALS_LAST_ZERO: Final = Unit(3, 10)

_ZERO: Final = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
# UGX stands in Stripe's zero-decimal list, too; the special case is what its API takes.
STRIPE_UNITS: Final[dict[str, Unit]] = {
    **dict.fromkeys(_ZERO.split(), _ZERO_DECIMALS),
    **dict.fromkeys(("ISK", "UGX"), _TWO_DECIMALS_BOTH_ZERO),
    **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), _THREE_DECIMALS_LAST_ZERO),
}
"""The currencies that Stripe does not count in plain hundredths."""


def stripe_unit(currency: str) -> Unit:
    """How Stripe counts a currency (ISO code). Raises UnsendableIntent for one that it does not know.

    What its list leaves out has two decimals there; where ISO 4217 says otherwise, that would be a guess.
    """
    unit = STRIPE_UNITS.get(currency)
    if unit is None and CURRENCY_DIGITS.get(currency) == _TWO_DECIMALS.digits:
        return _TWO_DECIMALS
    if unit is None:
        raise UnsendableIntent(f"how Stripe counts {currency} is not known")
    return unit


def to_stripe_minor(amount_minor: int, currency: str) -> int:
    """Our minor units in Stripe's. Raises UnsendableIntent where that is not exact, or no amount it takes."""
    unit = stripe_unit(currency)
    amount, rest = divmod(amount_minor * _TENS[unit.digits], _TENS[CURRENCY_DIGITS[currency]])
    if rest or amount % unit.step:
        raise UnsendableIntent(f"{amount_minor} minor units of {currency} are no amount that Stripe can send")
    return amount


def from_stripe_minor(amount: int, currency: str) -> int:
    """Stripe's minor units in ours. Raises UnsendableIntent where that is not exact."""
    unit = stripe_unit(currency)
    amount_minor, rest = divmod(amount * _TENS[CURRENCY_DIGITS[currency]], _TENS[unit.digits])
    if rest:
        raise UnsendableIntent(f"Stripe's {amount} of {currency} are no whole minor units of ISO 4217")
    return amount_minor
