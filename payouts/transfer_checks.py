"""Is a transfer that the provider shows a payout's? What a human says of one is checked against it."""

from typing import Final
from uuid import UUID

from ledger.events.payout import PayoutDrafted
from ledger.refusals import (
    TransferAmountDiffers,
    TransferCurrencyDiffers,
    TransferDestinationDiffers,
    TransferExists,
    TransferTaken,
)
from payouts.gateway_books import payout_id_of
from payouts.outcomes import Transfer

AT: Final = "/transfer_id"


def check_is_of(payout_id: UUID, transfer: Transfer) -> None:
    """That its metadata name no other payout. Refuses with TransferTaken."""
    named = payout_id_of(transfer)
    if named is not None and named != payout_id:
        raise TransferTaken(f"{transfer.id} is the transfer of payout {named}", pointer=AT)


def check_is_as_drafted(draft: PayoutDrafted, transfer: Transfer) -> None:
    """That it moved what was drafted, to where it was drafted for. Refuses by the name of what differs."""
    currency = transfer.currency.upper()
    if currency != draft.currency:
        raise TransferCurrencyDiffers(
            f"{transfer.id} is in {currency}, the payout in {draft.currency}", pointer=AT
        )
    if transfer.amount != draft.net_minor:
        raise TransferAmountDiffers(
            f"{transfer.id} moved {transfer.amount}, the payout sends {draft.net_minor}", pointer=AT
        )
    if transfer.destination != draft.destination:
        raise TransferDestinationDiffers(
            f"{transfer.id} went to {transfer.destination}, the payout goes to {draft.destination}",
            pointer=AT,
        )


def check_none_is_of(payout_id: UUID, listed: list[Transfer]) -> None:
    """That none of these is the payout's and still holds money. Refuses with TransferExists."""
    for transfer in listed:
        if payout_id_of(transfer) == payout_id and transfer.amount_reversed < transfer.amount:
            raise TransferExists(f"{transfer.id} is its transfer, and was not taken back", pointer="/outcome")
