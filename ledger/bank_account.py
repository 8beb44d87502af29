"""Bank accounts of partners off Stripe: what may be linked. Pure."""

import re
from typing import Final

from ledger import checks, iban
from ledger.bank_commands import LinkBankAccount
from ledger.events.bank import BankAccountLinked
from ledger.events.base import Fact
from ledger.refusals import InvalidField
from ledger.sepa_text import latin

PROVIDER: Final = "bank"
CURRENCY: Final = "EUR"
"""What SEPA moves: nothing else."""
AMOUNT_MINOR_MAX: Final = 99_999_999_999
"""999,999,999.99 euros: the most that one SEPA transfer moves (EPC implementation guidelines, AT-T002)."""
NAME_LENGTH_MAX: Final = 70
_BIC: Final = re.compile(r"[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?", re.ASCII)


def link(
    command: LinkBankAccount, linked: BankAccountLinked | None, *, is_where_money_goes: bool
) -> list[Fact]:
    """The partner's money goes to this account; nothing new where it does. A refusal points at its field."""
    wanted = BankAccountLinked(
        iban=iban.within_sepa(iban.checked(command.iban, "/iban"), "/iban"),
        holder_name=holder_name(command.holder_name, "/holder_name"),
        bic=None if command.bic is None else bic(command.bic, "/bic"),
    )
    return [] if is_where_money_goes and linked == wanted else [wanted]


def holder_name(value: str, pointer: str) -> str:
    """Whose account it is: a name that can be written in a SEPA file."""
    name = checks.name(value, pointer)
    written = latin(name)
    if written is None:
        raise InvalidField("can't be written in the Latin letters that banks take", pointer=pointer)
    if len(written) > NAME_LENGTH_MAX:
        raise InvalidField(f"must be {NAME_LENGTH_MAX} characters at the most", pointer=pointer)
    return name


def bic(value: str, pointer: str) -> str:
    """The shape of a BIC (ISO 9362): 8 or 11 characters, the country in the middle."""
    written = value.replace(" ", "").upper()
    if not _BIC.fullmatch(written) or written[4:6] not in iban.LENGTHS:
        raise InvalidField(
            "is no BIC: 8 or 11 letters and digits, with the country as 5th and 6th", pointer=pointer
        )
    return written
