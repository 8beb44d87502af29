"""The stand-in's own addresses under /_sim, for tests: books, faults, clock, settings, webhooks. No key."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import falcon
import msgspec

from payouts.simulator import bank_payouts, books, onboarding, playing, upkeep, webhooks
from payouts.simulator.clock import Clock
from payouts.simulator.company import Company
from payouts.simulator.faults import Fault, Faults
from payouts.simulator.problems import StripeProblem
from payouts.simulator.settings import Endpoint, Settings

Read = TypeVar("Read")
CLOCK = "clock"


class Moved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /_sim/clock: put it to a time, forward by seconds, or let it stand still."""

    set: int | None = None
    advance_s: int = 0
    freeze: bool = False


class Drained(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /_sim/drain: the platform pays itself out."""

    currency: str


class PaidOut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /_sim/accounts/{account}/pay_out: how long it takes to the bank; None: as the settings say."""

    takes_s: Annotated[int, msgspec.Meta(ge=0)] | None = None


def _read(req: falcon.Request, kind: type[Read]) -> Read:
    try:
        return msgspec.json.decode(req.bounded_stream.read(), type=kind)
    except msgspec.DecodeError as wrong:
        raise StripeProblem(400, f"Invalid JSON for {req.path}: {wrong}") from wrong


def _say(resp: falcon.Response, content: Any) -> None:
    resp.data = msgspec.json.encode(content)


class _Control:
    """A control address of one company."""

    def __init__(self, company: Company) -> None:
        self._company = company


class Books(_Control):
    """GET /_sim/books: the trial balance, after all that is due by now."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        upkeep.catch_up(self._company)
        with self._company.store.read() as tx:
            _say(resp, books.trial_balance(tx.connection))


class FaultScript(_Control):
    """POST /_sim/faults: a JSON list of faults (faults.py) for the next calls."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        faults = self._company.faults
        assert isinstance(faults, Faults)
        _say(resp, {"calls_to_fail": faults.add(_read(req, list[Fault]))})


class Time(_Control):
    """GET and POST /_sim/clock: what time it is here; moved, it stays moved after a restart."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        _say(resp, {"now": self._company.clock()})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        moved, clock = _read(req, Moved), self._company.clock
        if not isinstance(clock, Clock):
            raise StripeProblem(400, "This clock is not the stand-in's own.")
        if moved.set is not None:
            clock.set(moved.set)
        if moved.advance_s:
            clock.advance(moved.advance_s)
        if moved.freeze:
            clock.freeze()
        with self._company.store.write() as tx:
            tx.remember(CLOCK, clock.state())
        upkeep.catch_up(self._company)
        _say(resp, {"now": clock()})


class Behaviour(_Control):
    """GET and POST /_sim/settings: how the stand-in behaves (settings.py). What is absent stays as it is."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        _say(resp, self._company.settings)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wishes = _read(req, dict[str, Any])
        try:
            settings = msgspec.convert(
                {**msgspec.to_builtins(self._company.settings), **wishes}, type=Settings
            )
        except msgspec.ValidationError as wrong:
            raise StripeProblem(400, f"Invalid settings: {wrong}") from wrong
        self._company.change_settings(settings)
        if settings.automatic_payouts:
            upkeep.start_days(self._company)
        _say(resp, settings)


class Webhooks(_Control):
    """GET /_sim/webhooks: endpoints and deliveries. POST: endpoints by name, in place of those there were."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        with self._company.store.read() as tx:
            deliveries = webhooks.report(tx)
        _say(resp, {"endpoints": self._company.settings.endpoints, "deliveries": deliveries})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        endpoints = _read(req, dict[str, Endpoint])
        self._company.change_settings(msgspec.structs.replace(self._company.settings, endpoints=endpoints))
        _say(resp, {"endpoints": endpoints})


class OneAccount(_Control):
    """POST /_sim/accounts/{account}: what its owner or Stripe's review does to it (onboarding.Tweak)."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        upkeep.catch_up(self._company)
        wish = _read(req, onboarding.Tweak)
        with self._company.acting() as work:
            _say(resp, onboarding.tweak(work, wish, account))


class PayOut(_Control):
    """POST /_sim/accounts/{account}/pay_out: the automatic payout of all that it holds, now."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, account: str) -> None:
        upkeep.catch_up(self._company)
        wish = _read(req, PaidOut) if req.content_length else PaidOut()
        with self._company.acting() as work:
            onboarding.known(work, account)
            _say(resp, {"data": bank_payouts.pay_out_everything(work, account, wish.takes_s)})


class Drain(_Control):
    """POST /_sim/drain: somebody takes all that the platform holds in a currency."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        wish = _read(req, Drained)
        with self._company.acting() as work:
            playing.drain(work, wish.currency)
        _say(resp, {"currency": wish.currency})


class Onboarding(_Control):
    """GET /_sim/onboarding/{account}/{link}: the page an owner fills in. Opening it does, and leads back."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response, account: str, link: str) -> None:
        with self._company.acting() as work:
            resp.set_header("Location", onboarding.follow(work, account, link))
        resp.status = 303


def add_routes(app: falcon.App[falcon.Request, falcon.Response], company: Company) -> None:
    """Put the control addresses into an application."""
    app.add_route("/_sim/books", Books(company))
    app.add_route("/_sim/faults", FaultScript(company))
    app.add_route("/_sim/clock", Time(company))
    app.add_route("/_sim/settings", Behaviour(company))
    app.add_route("/_sim/webhooks", Webhooks(company))
    app.add_route("/_sim/drain", Drain(company))
    app.add_route("/_sim/accounts/{account}", OneAccount(company))
    app.add_route("/_sim/accounts/{account}/pay_out", PayOut(company))
    app.add_route("/_sim/onboarding/{account}/{link}", Onboarding(company))
