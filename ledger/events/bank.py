"""Facts of partners off Stripe: the bank account of a partner."""

from ledger.events.base import Fact


class BankAccountLinked(Fact, frozen=True, kw_only=True):
    """Where the partner's money goes from now on: a bank account, which a file to our own bank names."""

    iban: str
    holder_name: str
    bic: str | None = None
