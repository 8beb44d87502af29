"""Bank accounts in answers: masked, but where somebody of finance asks for one thing by its id."""

from ledger.bank_account import PROVIDER
from ledger.iban import masked


def shown_destination(provider: str, destination: str, *, whole: bool = False) -> str:
    """Where money goes, as it may be shown: an IBAN is personal data, an account id of Stripe is none."""
    return masked(destination) if provider == PROVIDER and not whole else destination
