"""Transfers from the platform to connected accounts, and their reversals."""

from __future__ import annotations

from typing import NamedTuple

from payouts.simulator import accounts, books, problems
from payouts.simulator.books import PLATFORM, Leg
from payouts.simulator.charges import payment_of, refund_of
from payouts.simulator.forms import Params, merged_metadata
from payouts.simulator.listing import created_in, equal_to, field_is, page
from payouts.simulator.money import currency_of, post_transaction
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

_REVERSALS_SHOWN_MAX = 10  # A transfer shows its latest reversals; the rest are listed by their own address.


class NewTransfer(NamedTuple):
    """A checked wish for a transfer."""

    amount: int
    currency: str
    destination: str
    description: str | None
    source_type: str
    transfer_group: str | None
    metadata: dict[str, str]


class TransferChange(NamedTuple):
    """A checked wish to change what a transfer says: what is None stays as it is."""

    description: str | None
    metadata: dict[str, str | None] | None


class NewReversal(NamedTuple):
    """A checked wish to take a transfer back; no amount means all that is left of it."""

    amount: int | None
    description: str | None
    metadata: dict[str, str]


def check_new(params: Params) -> NewTransfer:
    """POST /v1/transfers: its parameters."""
    return NewTransfer(
        amount=params.amount("amount"),
        currency=currency_of(params),
        destination=params.text("destination"),
        description=params.optional_text("description"),
        source_type=params.choice("source_type", ("bank_account", "card", "fpx"), "card") or "card",
        transfer_group=params.optional_text("transfer_group"),
        metadata=merged_metadata({}, params.metadata()),
    )


def create(work: Work, wish: NewTransfer) -> Body:
    """POST /v1/transfers: the connected account has the money at once. A transfer has no status."""
    account = accounts.destination(work, wish.destination)
    if books.balance(work.tx.connection, PLATFORM, wish.currency) < wish.amount:
        raise problems.insufficient_balance()
    identifier = work.new_id("tr")
    payment = payment_of(identifier)
    transfer: Body = {
        "id": identifier,
        "object": "transfer",
        "amount": wish.amount,
        "amount_reversed": 0,
        "balance_transaction": post_transaction(
            work, PLATFORM, "transfer", identifier, -wish.amount, wish.currency, wish.description
        ),
        "created": work.now,
        "currency": wish.currency,
        "description": wish.description,
        "destination": account["id"],
        "destination_payment": payment,
        "livemode": False,
        "metadata": wish.metadata,
        "reversals": _reversals(identifier, []),
        "reversed": False,
        "source_transaction": None,
        "source_type": wish.source_type,
        "transfer_group": wish.transfer_group,
    }
    post_transaction(work, account["id"], "payment", payment, wish.amount, wish.currency, wish.description)
    legs = [Leg(PLATFORM, wish.currency, -wish.amount), Leg(account["id"], wish.currency, wish.amount)]
    books.move(work.tx.connection, identifier, legs, work.now)
    work.add(PLATFORM, transfer)
    work.emit("transfer.created", transfer)
    return transfer


def one(work: Work, transfer: str) -> Body:
    """GET /v1/transfers/{transfer}."""
    found = work.tx.get("transfer", work.owner, transfer)
    if found is None:
        raise problems.no_such("transfer", transfer, "transfer")
    return found


def listed(work: Work, params: Params) -> Body:
    """GET /v1/transfers: by destination, transfer_group, created. Not by metadata: Stripe cannot either."""
    where = {**created_in(params), **equal_to(params, "transfer_group", "destination")}
    return page(work, params, "/v1/transfers", "transfer", where, "transfer")


def check_change(params: Params) -> TransferChange:
    """POST /v1/transfers/{transfer}: its parameters."""
    return TransferChange(params.optional_text("description"), params.metadata())


def change(work: Work, wish: TransferChange, transfer: str) -> Body:
    """POST /v1/transfers/{transfer}: only words can be changed, never money."""
    changed = one(work, transfer)
    if wish.description is not None:
        changed["description"] = wish.description
    changed["metadata"] = merged_metadata(changed["metadata"], wish.metadata)
    work.tx.replace(changed)
    work.emit("transfer.updated", changed)
    return changed


def check_reversal(params: Params) -> NewReversal:
    """POST /v1/transfers/{id}/reversals: its parameters."""
    return NewReversal(
        amount=params.optional_amount("amount"),
        description=params.optional_text("description"),
        metadata=merged_metadata({}, params.metadata()),
    )


def reverse(work: Work, wish: NewReversal, transfer: str) -> Body:
    """POST /v1/transfers/{id}/reversals: takes money back out of the connected account's balance."""
    before = one(work, transfer)
    currency, account = before["currency"], before["destination"]
    left = before["amount"] - before["amount_reversed"]
    amount = left if wish.amount is None else wish.amount
    if left == 0:
        raise StripeProblem(400, f"Transfer {transfer} is already fully reversed.", param="id")
    if amount > left:
        message = f"Reversal amount ({amount}) is greater than what is left of the transfer ({left})."
        raise StripeProblem(400, message, param="amount")
    if books.balance(work.tx.connection, account, currency) < amount:
        raise problems.insufficient_balance()
    identifier = work.new_id("trr")
    refund = refund_of(identifier)
    reversal: Body = {
        "id": identifier,
        "object": "transfer_reversal",
        "amount": amount,
        "balance_transaction": post_transaction(
            work, PLATFORM, "transfer_refund", identifier, amount, currency, wish.description
        ),
        "created": work.now,
        "currency": currency,
        "destination_payment_refund": refund,
        "metadata": wish.metadata,
        "source_refund": None,
        "transfer": transfer,
    }
    post_transaction(work, account, "payment_refund", refund, -amount, currency, wish.description)
    legs = [Leg(account, currency, -amount), Leg(PLATFORM, currency, amount)]
    books.move(work.tx.connection, identifier, legs, work.now)
    work.add(PLATFORM, reversal)
    _show_on_transfer(work, before, reversal)
    return reversal


def _show_on_transfer(work: Work, transfer: Body, reversal: Body) -> None:
    """A transfer says how much of it was taken back, and `reversed` only once that is all of it."""
    transfer["amount_reversed"] += reversal["amount"]
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"] = _reversals(transfer["id"], [reversal, *transfer["reversals"]["data"]])
    work.tx.replace(transfer)
    work.emit("transfer.reversed", transfer)


def list_reversals(work: Work, params: Params, transfer: str) -> Body:
    """GET /v1/transfers/{id}/reversals."""
    one(work, transfer)
    url = f"/v1/transfers/{transfer}/reversals"
    return page(work, params, url, "transfer_reversal", {field_is("transfer"): transfer}, "transfer reversal")


def one_reversal(work: Work, transfer: str, reversal: str) -> Body:
    """GET /v1/transfers/{transfer}/reversals/{id}."""
    found = work.tx.get("transfer_reversal", work.owner, reversal)
    if found is None or found["transfer"] != transfer:
        raise problems.no_such("transfer reversal", reversal, "id")
    return found


def _reversals(transfer: str, newest_first: list[Body]) -> Body:
    return {
        "object": "list",
        "data": newest_first[:_REVERSALS_SHOWN_MAX],
        "has_more": len(newest_first) > _REVERSALS_SHOWN_MAX,
        "url": f"/v1/transfers/{transfer}/reversals",
    }
