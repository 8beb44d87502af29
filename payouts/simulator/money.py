"""Balances, balance transactions and top-ups: what is there, what moved it, and how test money comes in."""

from __future__ import annotations

from typing import NamedTuple

from payouts.simulator import books, problems
from payouts.simulator.books import PLATFORM, WORLD, Leg
from payouts.simulator.forms import Params, merged_metadata
from payouts.simulator.listing import created_in, equal_to, field_is, page
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

# What Stripe's documentation lists as supported currencies, in lower case.
_SUPPORTED = """
aed all amd ang aud bbd bdt bgn bhd bif bmd bnd brl bsd bwp bzd cad cdf chf clp cny cop crc czk djf
dkk dop dzd egp etb eur fjd gbp gel gip gmd gtq gyd hkd hnd huf idr ils inr isk jmd jod jpy kes khr
kmf krw kwd kyd kzt lbp lkr lrd lsl mad mdl mga mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio
nok npr nzd omr pab pen pgk php pkr pln pyg qar ron rsd rub rwf sar sbd scr sek sgd sos szl thb tnd
top try ttd twd tzs uah ugx usd uyu uzs vnd vuv wst xaf xcd xof xpf yer zar zmw
"""
CURRENCIES = frozenset(_SUPPORTED.split())

_REPORTING_CATEGORY = {
    "payment": "charge",
    "payment_refund": "refund",
    "payout": "payout",
    "payout_cancel": "payout_reversal",
    "payout_failure": "payout_reversal",
    "topup": "topup",
    "transfer": "transfer",
    "transfer_refund": "transfer_reversal",
}


class TopUp(NamedTuple):
    """A checked wish to add test money."""

    amount: int
    currency: str
    description: str | None
    statement_descriptor: str | None
    transfer_group: str | None
    metadata: dict[str, str]


def currency_of(params: Params) -> str:
    """The `currency` parameter in lower case. Raises StripeProblem when Stripe has no such currency."""
    currency = params.text("currency").lower()
    if currency not in CURRENCIES:
        message = f"Invalid currency: {currency}. Stripe does not support it."
        raise StripeProblem(400, message, param="currency")
    return currency


def post_transaction(
    work: Work, owner: str, kind: str, source: str, amount: int, currency: str, description: str | None = None
) -> str:
    """Write the balance transaction that shows a movement to the owner of the balance. Returns its id."""
    transaction = {
        "id": work.new_id("txn"),
        "object": "balance_transaction",
        "amount": amount,
        "available_on": work.now,
        "balance_type": "payments",
        "created": work.now,
        "currency": currency,
        "description": description,
        "exchange_rate": None,
        "fee": 0,
        "fee_details": [],
        "net": amount,
        "reporting_category": _REPORTING_CATEGORY[kind],
        "source": source,
        "status": "available",
        "type": kind,
    }
    work.add(owner, transaction)
    return str(transaction["id"])


def balance(work: Work) -> Body:
    """GET /v1/balance. Everything is available at once: this stand-in holds nothing back."""
    held = books.balances(work.tx.connection, work.owner) or {"usd": 0}
    return {
        "object": "balance",
        "available": [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in held.items()
        ],
        "connect_reserved": [{"amount": 0, "currency": currency} for currency in held],
        "livemode": False,
        "pending": [{"amount": 0, "currency": currency, "source_types": {"card": 0}} for currency in held],
    }


def list_transactions(work: Work, params: Params) -> Body:
    """GET /v1/balance_transactions."""
    where = {**created_in(params), **equal_to(params, "currency", "source", "type")}
    payout = params.optional_text("payout")
    if payout is not None:
        where["id IN (SELECT transfer_leg FROM paid_out WHERE payout = ?)"] = payout
    noun = "balance transaction"
    return page(work, params, "/v1/balance_transactions", "balance_transaction", where, noun)


def one_transaction(work: Work, transaction: str) -> Body:
    """GET /v1/balance_transactions/{id}."""
    found = work.tx.get("balance_transaction", work.owner, transaction)
    if found is None:
        raise problems.no_such("balance transaction", transaction, "id")
    return found


def check_top_up(params: Params) -> TopUp:
    """POST /v1/topups: its parameters."""
    return TopUp(
        amount=params.amount("amount"),
        currency=currency_of(params),
        description=params.optional_text("description"),
        statement_descriptor=params.optional_text("statement_descriptor", length_max=15),
        transfer_group=params.optional_text("transfer_group"),
        metadata=merged_metadata({}, params.metadata()),
    )


def top_up(work: Work, wish: TopUp) -> Body:
    """POST /v1/topups: the money is there at once, as after a test top-up has succeeded."""
    identifier = work.new_id("tu")
    topup: Body = {
        "id": identifier,
        "object": "topup",
        "amount": wish.amount,
        "balance_transaction": post_transaction(
            work, PLATFORM, "topup", identifier, wish.amount, wish.currency, wish.description
        ),
        "created": work.now,
        "currency": wish.currency,
        "description": wish.description,
        "expected_availability_date": work.now,
        "failure_code": None,
        "failure_message": None,
        "initiated_by": "user",
        "livemode": False,
        "metadata": wish.metadata,
        "source": None,
        "statement_descriptor": wish.statement_descriptor,
        "status": "succeeded",
        "transfer_group": wish.transfer_group,
    }
    legs = [Leg(WORLD, wish.currency, -wish.amount), Leg(PLATFORM, wish.currency, wish.amount)]
    books.move(work.tx.connection, identifier, legs, work.now)
    work.add(PLATFORM, topup)
    work.emit("topup.created", topup)
    work.emit("topup.succeeded", topup)
    return topup


def list_top_ups(work: Work, params: Params) -> Body:
    """GET /v1/topups."""
    where = {**created_in(params), **equal_to(params, "status")}
    amount = params.optional_integer("amount")
    if amount is not None:
        where[field_is("amount")] = amount
    return page(work, params, "/v1/topups", "topup", where, "topup")


def one_top_up(work: Work, topup: str) -> Body:
    """GET /v1/topups/{id}."""
    found = work.tx.get("topup", work.owner, topup)
    if found is None:
        raise problems.no_such("topup", topup, "topup")
    return found
