"""A transfer from the other side: the connected account sees a payment, and a refund for a reversal.

Neither is stored. Their ids are those of the transfer and of the reversal with another beginning.
"""

from __future__ import annotations

from payouts.simulator import problems
from payouts.simulator.books import PLATFORM
from payouts.simulator.forms import Params
from payouts.simulator.listing import created_in, equal_to, field_is, page
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work


def payment_of(transfer: str) -> str:
    """The id of the payment that a transfer is to its destination."""
    return "py_" + transfer.removeprefix("tr_")


def refund_of(reversal: str) -> str:
    """The id of the refund that a reversal is to the account it takes money from."""
    return "pyr_" + reversal.removeprefix("trr_")


def payment(work: Work, identifier: str) -> tuple[str, Body] | None:
    """A payment and the account that has it."""
    found = work.tx.find("transfer", "tr_" + identifier.removeprefix("py_"))
    if found is None or found[1]["destination_payment"] != identifier:
        return None
    transfer = found[1]
    return transfer["destination"], _as_charge(work, transfer)


def refund(work: Work, identifier: str) -> Body | None:
    """A refund of a payment."""
    found = work.tx.find("transfer_reversal", "trr_" + identifier.removeprefix("pyr_"))
    if found is None:
        return None
    reversal = found[1]
    return {
        "id": identifier,
        "object": "refund",
        "amount": reversal["amount"],
        "balance_transaction": _transaction(work, identifier),
        "charge": payment_of(reversal["transfer"]),
        "created": reversal["created"],
        "currency": reversal["currency"],
        "metadata": {},
        "payment_intent": None,
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": reversal["id"],
        "status": "succeeded",
        "transfer_reversal": None,
    }


def one(work: Work, charge: str) -> Body:
    """GET /v1/charges/{charge}, with `Stripe-Account`."""
    found = payment(work, charge)
    if found is None or found[0] != work.owner:
        raise problems.no_such("charge", charge, "id")
    return found[1]


def listed(work: Work, params: Params) -> Body:
    """GET /v1/charges, with `Stripe-Account`: the payments that came by transfer, newest first."""
    account = work.owner
    where = {**created_in(params), **equal_to(params, "transfer_group"), field_is("destination"): account}
    if params.has("starting_after") or params.has("ending_before"):
        raise StripeProblem(400, "This stand-in shows one page of charges only.", param="starting_after")
    found = page(work, params, "/v1/charges", "transfer", where, "charge", owner=PLATFORM)
    return {**found, "data": [_as_charge(work, transfer) for transfer in found["data"]]}


def _transaction(work: Work, source: str) -> str | None:
    row = work.tx.connection.execute(
        "SELECT id FROM object WHERE kind = 'balance_transaction' AND json_extract(body, '$.source') = ?",
        (source,),
    ).fetchone()
    return None if row is None else str(row[0])


def _as_charge(work: Work, transfer: Body) -> Body:
    identifier, amount = transfer["destination_payment"], transfer["amount"]
    nobody = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {
        "id": identifier,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": transfer["amount_reversed"],
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": _transaction(work, identifier),
        "billing_details": {"address": nobody, "email": None, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": None,
        "captured": True,
        "created": transfer["created"],
        "currency": transfer["currency"],
        "customer": None,
        "description": transfer["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": {},
        "on_behalf_of": None,
        "outcome": None,
        "paid": True,
        "payment_intent": None,
        "payment_method": None,
        "payment_method_details": {"stripe_account": {}, "type": "stripe_account"},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": transfer["reversed"],
        "review": None,
        "shipping": None,
        "source_transfer": transfer["id"],
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "succeeded",
        "transfer_data": None,
        "transfer_group": transfer["transfer_group"],
    }
