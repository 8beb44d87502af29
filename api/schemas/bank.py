"""Schemas of partners off Stripe: their bank accounts."""

from api.schemas.fields import Id, Strict, Text, text

_IBAN = {"description": "As it is printed, with blanks or without.", "example": "DE89 3704 0044 0532 0130 00"}


class NewBankAccountSchema(Strict):
    """A bank account within SEPA, and whose it is."""

    iban = text(50, required=True, metadata=_IBAN)
    holder_name = text(200, required=True, metadata={"description": "As the bank knows its holder."})
    bic = text(20, load_default=None, allow_none=True)


class BankAccountSchema(Strict):
    """A partner's bank account. The IBAN is whole only where one account is asked for."""

    partner_id = Id(required=True)
    iban = Text(required=True)
    holder_name = Text(required=True)
    bic = Text(required=True, allow_none=True)
