"""The stand-in's doors: routes, keys, headers and the one shape of every error."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import falcon
import msgspec

from payouts.simulator import (
    accounts,
    bank_payouts,
    books,
    charges,
    control,
    happenings,
    money,
    onboarding,
    problems,
    transfers,
    v2_accounts,
    v2_events,
)
from payouts.simulator.calls import Calls, Write
from payouts.simulator.company import Company
from payouts.simulator.faults import DROP, Dropped, FaultSource
from payouts.simulator.playing import BadGateway, bad_gateway
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body, Store
from payouts.simulator.work import random_id

_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d(\.[a-z]+)?\Z")
_TEST_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]+\Z")


class Route(NamedTuple):
    """One address: what GET (a list, or one object) and POST do there. Names in it become arguments.

    `list` is a GET that takes parameters, `one` a GET without.
    """

    path: str
    list: Callable[..., Body] | None = None
    one: Callable[..., Body] | None = None
    post: Write | None = None


ROUTES = (
    Route("/v1/account", one=accounts.own),
    Route("/v1/account_links", post=Write(onboarding.check_link, onboarding.link)),
    Route("/v1/accounts", list=accounts.listed, post=Write(accounts.check_new, accounts.create)),
    Route("/v1/accounts/{account}", one=accounts.one, post=Write(accounts.check_change, accounts.change)),
    Route("/v1/accounts/{account}/capabilities", list=onboarding.list_capabilities),
    Route(
        "/v1/accounts/{account}/capabilities/{capability}",
        one=onboarding.one_capability,
        post=Write(onboarding.check_request, onboarding.request),
    ),
    Route("/v1/balance", one=money.balance),
    Route("/v1/balance_transactions", list=money.list_transactions),
    Route("/v1/balance_transactions/{transaction}", one=money.one_transaction),
    Route("/v1/charges", list=charges.listed),
    Route("/v1/charges/{charge}", one=charges.one),
    Route("/v1/events", list=happenings.listed),
    Route("/v1/events/{event}", one=happenings.one),
    Route(
        "/v1/payouts",
        list=bank_payouts.listed,
        post=Write(bank_payouts.check_new, bank_payouts.create, for_connected=True),
    ),
    Route(
        "/v1/payouts/{payout}",
        one=bank_payouts.one,
        post=Write(bank_payouts.check_change, bank_payouts.change, for_connected=True),
    ),
    Route(
        "/v1/payouts/{payout}/cancel",
        post=Write(bank_payouts.check_nothing, bank_payouts.cancel, for_connected=True),
    ),
    Route("/v1/topups", list=money.list_top_ups, post=Write(money.check_top_up, money.top_up)),
    Route("/v1/topups/{topup}", one=money.one_top_up),
    Route("/v1/transfers", list=transfers.listed, post=Write(transfers.check_new, transfers.create)),
    Route(
        "/v1/transfers/{transfer}", one=transfers.one, post=Write(transfers.check_change, transfers.change)
    ),
    Route(
        "/v1/transfers/{transfer}/reversals",
        list=transfers.list_reversals,
        post=Write(transfers.check_reversal, transfers.reverse),
    ),
    Route("/v1/transfers/{transfer}/reversals/{reversal}", one=transfers.one_reversal),
    Route("/v2/core/account_links", post=Write(v2_accounts.check_link, v2_accounts.link)),
    Route(
        "/v2/core/accounts", list=v2_accounts.listed, post=Write(v2_accounts.check_wish, v2_accounts.create)
    ),
    Route(
        "/v2/core/accounts/{account}",
        list=v2_accounts.one,
        post=Write(v2_accounts.check_wish, v2_accounts.change),
    ),
    Route("/v2/core/accounts/{account}/close", post=Write(v2_accounts.check_closing, v2_accounts.close)),
    Route("/v2/core/events", list=v2_events.listed),
    Route("/v2/core/events/{event}", one=v2_events.one),
)


class Endpoint:
    """The responder of a route: hands GET and POST to the calls; the path's names become arguments."""

    def __init__(self, calls: Calls, route: Route) -> None:
        self._calls, self._route = calls, route

    def on_get(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        listed, one = self._route.list, self._route.one
        if one is not None:
            self._calls.read(req, resp, lambda work, _params: one(work, **path))
        elif listed is not None:
            self._calls.read(req, resp, lambda work, params: listed(work, params, **path))
        else:
            raise problems.unrecognized_url(req.method, req.path)

    def on_post(self, req: falcon.Request, resp: falcon.Response, **path: str) -> None:
        post = self._route.post
        if post is None:
            raise problems.unrecognized_url(req.method, req.path)
        self._calls.write(req, resp, post, path)


class Door:
    """What every call goes through: a request id, the version header, and a test key."""

    def __init__(self, make_id: Callable[[str], str]) -> None:
        self._make_id = make_id

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.request_id = self._make_id("req")
        version = req.context.api_version = req.get_header("Stripe-Version")
        resp.set_header("Request-Id", req.context.request_id)
        if req.path.startswith("/_sim/"):
            return
        _check_key(req.get_header("Authorization"))
        if version is not None:
            if not _VERSION.match(version):
                raise StripeProblem(400, f"Invalid Stripe API version: {version[:40]}")
            resp.set_header("Stripe-Version", version)
        elif req.path.startswith("/v2/"):
            raise StripeProblem(400, "Stripe-Version is missing: API v2 demands it.", code="missing_version")


def _check_key(authorization: str | None) -> None:
    """Raises StripeProblem 401 unless a test key came as `Bearer KEY` or as the user of `Basic`."""
    scheme, _, credentials = (authorization or "").partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            key = ""
    if not key or scheme.lower() not in ("basic", "bearer"):
        raise StripeProblem(401, "You did not provide an API key.")
    if not _TEST_KEY.match(key):
        # A live key has no business here, so no more of it than Stripe shows is repeated.
        raise StripeProblem(401, f"Invalid API Key provided: {key[:8]}****{key[-4:]}")


def create_app(
    store: Store,
    faults: FaultSource,
    clock: Callable[[], int] = lambda: int(time.time()),
    make_id: Callable[[str], str] = random_id,
    sleep: Callable[[float], object] = time.sleep,
) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application over a store. The clock gives seconds since 1970."""
    return app_of(Company(store, faults, clock, make_id, sleep))


def app_of(company: Company) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application of a company."""
    app = falcon.App(middleware=[Door(company.make_id)])
    calls = Calls(company)
    for route in ROUTES:
        app.add_route(route.path, Endpoint(calls, route))
    control.add_routes(app, company)
    app.add_error_handler(Exception, _on_mistake)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(StripeProblem, _on_problem)
    app.add_error_handler(Dropped, _on_dropped)
    app.add_error_handler(BadGateway, _on_bad_gateway)
    return app


def fund_platform(company: Company, opening: Mapping[str, int]) -> None:
    """Give the platform test money, in minor units, in those currencies that it never held before."""
    with company.acting() as work:
        held = books.balances(work.tx.connection, books.PLATFORM)
        for currency, amount in opening.items():
            if currency not in held:
                money.top_up(work, money.TopUp(amount, currency, "Opening balance", None, None, {}))


def open_store(path: Path) -> Store:
    """The store at a path, made when it is not there."""
    return Store(path)


def _on_problem(_req: falcon.Request, resp: falcon.Response, problem: StripeProblem, _params: object) -> None:
    resp.status = problem.status
    resp.content_type = "application/json"
    resp.text = msgspec.json.encode(problem.body()).decode()
    resp.set_headers(problem.headers)


def _on_http_error(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, params: object
) -> None:
    if error.status_code in (404, 405):
        problem = problems.unrecognized_url(req.method, req.path)
    else:
        problem = StripeProblem(error.status_code, error.title or "Invalid request.")
    _on_problem(req, resp, problem, params)


def _on_mistake(req: falcon.Request, resp: falcon.Response, mistake: Exception, params: object) -> None:
    """The stand-in's own mistake: said on stderr, answered as Stripe answers its own."""
    req.log_error(f"{req.method} {req.path}: {mistake!r}")
    _on_problem(req, resp, problems.unknown_error(), params)


def _on_bad_gateway(_req: falcon.Request, resp: falcon.Response, _bad: BadGateway, _params: object) -> None:
    bad_gateway(resp)


def _on_dropped(req: falcon.Request, _resp: falcon.Response, _dropped: Dropped, _params: object) -> None:
    req.env[DROP] = "close"
