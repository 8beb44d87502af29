"""How a fault looks to the caller: what happens before, within and after a call that it struck."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import falcon

from payouts.simulator import bank_payouts, books, onboarding, problems, transfers
from payouts.simulator.faults import DROP, DROP_AFTER_S, HANG_S, Dropped, Fault
from payouts.simulator.problems import StripeProblem
from payouts.simulator.work import Work

HTML = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
NO_JSON = "upstream answered"

_ENDS_OF_CONNECTIONS = {
    "drop_after_commit": "close",
    "hang_after_commit": "hang",
    "truncate_after_commit": "truncate",
}


class BadGateway(Exception):
    """Something between the caller and Stripe answers in its place, in HTML."""


def before(fault: Fault | None, sleep: Callable[[float], object]) -> None:
    """Play what keeps a call from being executed at all, and what only slows it down."""
    if fault is None:
        return
    match fault.do:
        case "drop_before":
            raise Dropped
        case "html_502":
            raise BadGateway
        case "rate_limit" | "lock_timeout":
            headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
            raise StripeProblem(429, "Too many requests, or a busy object.", code=fault.do, headers=headers)
        case "key_in_use":
            raise problems.key_in_use("(a fault)")
        case "delay":
            sleep(fault.seconds)
        case _:
            return


def within(fault: Fault | None, work: Work, checked: object) -> None:
    """Play what others do just before the call is executed. Raises StripeProblem: the call's own answer."""
    if fault is None:
        return
    if fault.do == "stored_500":
        raise problems.unknown_error()
    if fault.do == "insufficient_balance":
        raise problems.insufficient_balance()
    account, currency = getattr(checked, "destination", None), getattr(checked, "currency", None)
    if fault.do == "capability_lost" and account is not None:
        onboarding.lose_transfers(work, account)
    if fault.do == "drain_platform" and currency is not None:
        drain(work, currency)


def drain(work: Work, currency: str) -> None:
    """Pay all that the platform holds in a currency out to its bank."""
    held = books.balance(work.tx.connection, books.PLATFORM, currency)
    if held > 0:
        wish = bank_payouts.NewPayout(held, currency, "Drained", None, "card", {})
        bank_payouts.send(work, books.PLATFORM, wish, automatic=False)


def insert_a_row(work: Work, group: str | None, destination: str | None) -> None:
    """A transfer of one minor unit by somebody else, into the list that is being paged through."""
    if destination is None:
        known = work.tx.select("account", books.PLATFORM, {}, oldest_first=False, limit=1)
        destination = known[0]["id"] if known else None
    currencies = [
        name for name, amount in books.balances(work.tx.connection, books.PLATFORM).items() if amount
    ]
    if destination is None or not currencies:
        return
    wish = transfers.NewTransfer(1, currencies[0], destination, "A stranger's", "card", group, {})
    with suppress(StripeProblem):
        transfers.create(work, wish)


def executed(fault: Fault | None) -> None:
    """Play what is answered although the call was executed, and kept. Raises StripeProblem."""
    if fault is not None and fault.do == "stored_500_after_commit":
        raise problems.unknown_error()


def after(fault: Fault | None, req: falcon.Request, resp: falcon.Response) -> None:
    """Play what becomes of the answer on its way, when everything is stored."""
    if fault is None:
        return
    if fault.do in _ENDS_OF_CONNECTIONS:
        req.env[DROP] = _ENDS_OF_CONNECTIONS[fault.do]
        req.env[DROP_AFTER_S] = fault.seconds or HANG_S
    elif fault.do == "html_502_after_commit":
        bad_gateway(resp)
    elif fault.do == "no_json_after_commit":
        resp.text = NO_JSON


def bad_gateway(resp: falcon.Response) -> None:
    """Make it the answer of what stands before Stripe: none of Stripe's headers, HTML for a body."""
    resp.delete_header("Request-Id")
    resp.status = 502
    resp.content_type = "text/html"
    resp.text = HTML
