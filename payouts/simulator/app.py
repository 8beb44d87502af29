"""The stand-in's doors: routes, keys, headers and the one shape of every error."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import falcon
import msgspec

from payouts.simulator import accounts, books, happenings, money, problems, transfers
from payouts.simulator.calls import Calls
from payouts.simulator.faults import DROP, Dropped, Fault, Faults
from payouts.simulator.forms import Params
from payouts.simulator.playing import BadGateway, bad_gateway
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body, Store
from payouts.simulator.work import Work, random_id

_TEST_KEY = re.compile(r"(sk|rk)_test_[A-Za-z0-9_]+\Z")


class Write(NamedTuple):
    """The two halves of a POST: type the parameters, then execute."""

    check: Callable[[Params], Any]
    run: Callable[..., Body]


class Route(NamedTuple):
    """One address: what GET (a list, or one object) and POST do there. Names in it become arguments."""

    path: str
    list: Callable[..., Body] | None = None
    one: Callable[..., Body] | None = None
    post: Write | None = None


ROUTES = (
    Route("/v1/accounts", list=accounts.listed, post=Write(accounts.check_new, accounts.create)),
    Route("/v1/accounts/{account}", one=accounts.one, post=Write(accounts.check_change, accounts.change)),
    Route("/v1/balance", one=money.balance),
    Route("/v1/balance_transactions", list=money.list_transactions),
    Route("/v1/balance_transactions/{transaction}", one=money.one_transaction),
    Route("/v1/events", list=happenings.listed),
    Route("/v1/events/{event}", one=happenings.one),
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
        self._calls.write(req, resp, post.check, lambda work, checked: post.run(work, checked, **path))


class Books:
    """GET /_sim/books: the trial balance. Outside Stripe's addresses, and without a key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        with self._store.read() as tx:
            resp.data = msgspec.json.encode(books.trial_balance(tx.connection))


class FaultScript:
    """POST /_sim/faults: a JSON list of faults (faults.py) for the next calls."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        try:
            script = msgspec.json.decode(req.bounded_stream.read(), type=list[Fault])
        except msgspec.DecodeError as wrong:
            raise StripeProblem(400, f"Invalid fault script: {wrong}") from wrong
        resp.data = msgspec.json.encode({"calls_to_fail": self._faults.add(script)})


class Door:
    """What every call goes through: a request id, the version header, and a test key."""

    def __init__(self, make_id: Callable[[str], str]) -> None:
        self._make_id = make_id

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.request_id = self._make_id("req")
        req.context.api_version = req.get_header("Stripe-Version")
        resp.set_header("Request-Id", req.context.request_id)
        if req.context.api_version is not None:
            resp.set_header("Stripe-Version", req.context.api_version)
        if not req.path.startswith("/_sim/"):
            _check_key(req.get_header("Authorization"))


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
    faults: Faults,
    clock: Callable[[], int] = lambda: int(time.time()),
    make_id: Callable[[str], str] = random_id,
    sleep: Callable[[float], object] = time.sleep,
) -> falcon.App[falcon.Request, falcon.Response]:
    """The WSGI application over a store. The clock gives seconds since 1970."""
    app = falcon.App(middleware=[Door(make_id)])
    calls = Calls(store, faults, clock, make_id, sleep)
    for route in ROUTES:
        app.add_route(route.path, Endpoint(calls, route))
    app.add_route("/_sim/books", Books(store))
    app.add_route("/_sim/faults", FaultScript(faults))
    app.add_error_handler(Exception, _on_mistake)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(StripeProblem, _on_problem)
    app.add_error_handler(Dropped, _on_dropped)
    app.add_error_handler(BadGateway, _on_bad_gateway)
    return app


def fund_platform(
    store: Store,
    opening: dict[str, int],
    clock: Callable[[], int],
    make_id: Callable[[str], str] = random_id,
) -> None:
    """Give the platform test money, in minor units, in those currencies that it never held before."""
    with store.write() as tx:
        held = books.balances(tx.connection, books.PLATFORM)
        work = Work(tx, clock(), books.PLATFORM, make_id, make_id("req"), None, None)
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
