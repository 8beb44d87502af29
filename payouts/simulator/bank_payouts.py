"""Payouts: from a balance to a bank account. They say `paid`, and may fail days after that."""

from __future__ import annotations

from typing import NamedTuple

from payouts.simulator import books, problems
from payouts.simulator.books import PLATFORM, WORLD, Leg
from payouts.simulator.forms import Params, merged_metadata
from payouts.simulator.listing import created_in, equal_to, field_compares, page
from payouts.simulator.money import currency_of, post_transaction
from payouts.simulator.problems import StripeProblem
from payouts.simulator.settings import DAY_S
from payouts.simulator.store import Body
from payouts.simulator.work import Work

_IN_TRANSIT_AFTER_S = DAY_S // 2


class NewPayout(NamedTuple):
    """A checked wish for a payout."""

    amount: int
    currency: str
    description: str | None
    statement_descriptor: str | None
    source_type: str
    metadata: dict[str, str]


def check_new(params: Params) -> NewPayout:
    """POST /v1/payouts: its parameters."""
    params.choice("method", ("standard",))  # An instant one would cost fees, which the stand-in lacks.
    return NewPayout(
        amount=params.amount("amount"),
        currency=currency_of(params),
        description=params.optional_text("description"),
        statement_descriptor=params.optional_text("statement_descriptor", length_max=22),
        source_type=params.choice("source_type", ("bank_account", "card", "fpx"), "card") or "card",
        metadata=merged_metadata({}, params.metadata()),
    )


def create(work: Work, wish: NewPayout) -> Body:
    """POST /v1/payouts, for the platform or with `Stripe-Account` for a connected account."""
    if work.owner != PLATFORM:
        account = work.tx.get("account", PLATFORM, work.owner)
        if account is None or not account["payouts_enabled"]:
            message = "Cannot create payouts: this account has requirements that need to be met."
            raise StripeProblem(400, message, code="payouts_not_allowed")
    if books.balance(work.tx.connection, work.owner, wish.currency) < wish.amount:
        raise problems.insufficient_balance()
    return send(work, work.owner, wish, automatic=False)


def send(work: Work, owner: str, wish: NewPayout, *, automatic: bool, takes_s: int | None = None) -> Body:
    """Take the money out of the balance and let it travel, as long as the settings say unless told here."""
    identifier = work.new_id("po")
    arrives = work.now + (work.settings.payout_takes_s if takes_s is None else takes_s)
    payout: Body = {
        "id": identifier,
        "object": "payout",
        "amount": wish.amount,
        "application_fee": None,
        "application_fee_amount": None,
        "arrival_date": arrives,
        "automatic": automatic,
        "balance_transaction": post_transaction(
            work, owner, "payout", identifier, -wish.amount, wish.currency, wish.description
        ),
        "created": work.now,
        "currency": wish.currency,
        "description": wish.description,
        "destination": bank_account_id(owner),
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "livemode": False,
        "metadata": wish.metadata,
        "method": "standard",
        "original_payout": None,
        "payout_method": None,
        "reconciliation_status": "completed" if automatic else "not_applicable",
        "reversed_by": None,
        "source_type": wish.source_type,
        "statement_descriptor": wish.statement_descriptor,
        "status": "pending",
        "trace_id": None,
        "type": "bank_account",
    }
    legs = [Leg(owner, wish.currency, -wish.amount), Leg(WORLD, wish.currency, wish.amount)]
    books.move(work.tx.connection, identifier, legs, work.now)
    work.add(owner, payout)
    _tell(work, owner, "payout.created", payout)
    _plan(work, identifier, arrives)
    return payout


def _plan(work: Work, identifier: str, arrives: int) -> None:
    fault = work.strike("payout")
    work.schedule(min(work.now + _IN_TRANSIT_AFTER_S, arrives), "payout in transit", identifier)
    if fault is None or fault.do != "payout_fails_unpaid":
        work.schedule(arrives, "payout paid", identifier)
    if fault is not None:
        later = int(fault.seconds or DAY_S) if fault.do == "payout_fails" else 0
        work.schedule(arrives + later, "payout failed", identifier)


def arrive(work: Work, identifier: str, status: str) -> None:
    """The bank is told, or says that it has the money."""
    owner, payout = _found(work, identifier)
    if payout["status"] not in ("pending", "in_transit"):
        return
    payout["status"] = status
    if status == "paid":
        payout["trace_id"] = {"status": "supported", "value": f"STANDIN{identifier[-12:].upper()}"}
    work.tx.replace(payout)
    _tell(work, owner, "payout.paid" if status == "paid" else "payout.updated", payout)


def fail(work: Work, identifier: str) -> None:
    """The bank gives it back, even after it was paid: the money is in the balance that it came from."""
    owner, payout = _found(work, identifier)
    if payout["status"] in ("failed", "canceled"):
        return
    _give_back(work, owner, payout, "payout_failure", f"{identifier}/failed")
    payout["status"] = "failed"
    payout["failure_code"] = "account_closed"
    payout["failure_message"] = "The bank account has been closed."
    work.tx.replace(payout)
    _tell(work, owner, "payout.failed", payout)


def _give_back(work: Work, owner: str, payout: Body, kind: str, movement: str) -> None:
    amount, currency = payout["amount"], payout["currency"]
    payout["failure_balance_transaction"] = post_transaction(
        work, owner, kind, payout["id"], amount, currency, payout["description"]
    )
    legs = [Leg(WORLD, currency, -amount), Leg(owner, currency, amount)]
    books.move(work.tx.connection, movement, legs, work.now)
    # The transfers in it are in the balance again, for the next payout.
    work.tx.connection.execute("DELETE FROM paid_out WHERE payout = ?", (payout["id"],))


def check_change(params: Params) -> dict[str, str | None] | None:
    """POST /v1/payouts/{payout}: its parameters."""
    return params.metadata()


def change(work: Work, metadata: dict[str, str | None] | None, payout: str) -> Body:
    """POST /v1/payouts/{payout}: only words can be changed."""
    changed = one(work, payout)
    changed["metadata"] = merged_metadata(changed["metadata"], metadata)
    work.tx.replace(changed)
    _tell(work, work.owner, "payout.updated", changed)
    return changed


def check_nothing(_params: Params) -> None:
    """A POST without parameters."""


def cancel(work: Work, _nothing: None, payout: str) -> Body:
    """POST /v1/payouts/{payout}/cancel: only before it is on its way."""
    canceled = one(work, payout)
    if canceled["status"] != "pending" or canceled["automatic"]:
        raise StripeProblem(400, f"Payouts can only be canceled while pending; {payout} is not.")
    _give_back(work, work.owner, canceled, "payout_cancel", f"{payout}/canceled")
    canceled["status"] = "canceled"
    work.tx.replace(canceled)
    _tell(work, work.owner, "payout.canceled", canceled)
    return canceled


def one(work: Work, payout: str) -> Body:
    """GET /v1/payouts/{payout}: the platform's, or with `Stripe-Account` the connected account's."""
    found = work.tx.get("payout", work.owner, payout)
    if found is None:
        raise problems.no_such("payout", payout, "id")
    return found


def listed(work: Work, params: Params) -> Body:
    """GET /v1/payouts: by status, destination, created, arrival_date."""
    where = {**created_in(params), **equal_to(params, "destination", "status")}
    where.update(field_compares(params, "arrival_date"))
    return page(work, params, "/v1/payouts", "payout", where, "payout")


def pay_out_everything(work: Work, owner: str, takes_s: int | None = None) -> list[Body]:
    """What Stripe does by itself: one automatic payout for each currency with money in it."""
    made = []
    for currency, amount in books.balances(work.tx.connection, owner).items():
        if amount <= 0:
            continue
        wish = NewPayout(amount, currency, "STRIPE PAYOUT", None, "card", {})
        payout = send(work, owner, wish, automatic=True, takes_s=takes_s)
        # Only an automatic payout knows what it consists of.
        work.tx.connection.execute(
            "INSERT OR IGNORE INTO paid_out (payout, transfer_leg) SELECT ?, id FROM object"
            " WHERE kind = 'balance_transaction' AND owner = ? AND json_extract(body, '$.currency') = ?",
            (payout["id"], owner, currency),
        )
        made.append(payout)
    return made


def bank_account_id(owner: str) -> str:
    """The bank account of an account. Each has one."""
    return f"ba_{owner.removeprefix('acct_')}"


def _found(work: Work, identifier: str) -> tuple[str, Body]:
    found = work.tx.find("payout", identifier)
    assert found is not None, f"{identifier} is not stored"
    return found


def _tell(work: Work, owner: str, kind: str, payout: Body) -> None:
    work.emit(kind, payout, account=None if owner == PLATFORM else owner)
