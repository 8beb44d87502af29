"""Referrals: codes, links, registered customers, and for whom a customer counts."""

from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID, uuid4

import falcon
import msgspec
import structlog

from api.answers import send
from api.auth import nothing_there
from api.batches import MEDIA_TYPES, Line, load_item, parse_items, problem_line, send_lines
from api.errors import to_problem
from api.listings import Row, send_list, shown_as
from api.operations import BATCH_BYTES_MAX, operation
from api.problems import HttpProblem, invalid
from api.schemas.fields import page_of
from api.schemas.referrals import (
    CustomerQuery,
    CustomerRowSchema,
    CustomerSchema,
    NewReferralCodeSchema,
    NewReferralSchema,
    OwnedQuery,
    ReattributionSchema,
    ReferralBatchResultSchema,
    ReferralCodeSchema,
    ReferralQuery,
    ReferralSchema,
)
from api.services import Resource, Services
from ledger import ids
from ledger.commands import IssueReferralCode, ReattributeCustomer, RecordReferral, Share, TouchReferralLink
from ledger.desk import CUSTOMER
from ledger.events.referral import CustomerReattributed, ReferralRecorded
from ledger.referral import CodeState, CustomerState
from ledger.referral_intake import ReferralIntake
from ledger.store.commit import Overloaded
from ledger.store.database import DatabaseUnavailable
from projections import queries

log = structlog.get_logger("revshare.api")
CODE = ReferralCodeSchema()
REFERRAL = ReferralSchema()
NEW_REFERRAL = NewReferralSchema()
READ = ("finance:read", "finance:approve")
PROGRAM_ID = "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11"
PARTNER_ID = "1f6b1e57-2c39-5d8e-9a44-6f3c1a2b7d90"
EXAMPLE = {"program_id": PROGRAM_ID, "customer": "C-1042", "partner": "brightside"}


def show_code(state: CodeState) -> Row:
    """A code as it is answered."""
    return msgspec.structs.asdict(state)


class ReferralCodes(Resource):
    """All referral codes."""

    @operation(
        "Issue a referral code",
        scopes=("admin",),
        body=NewReferralCodeSchema(),
        answer=CODE,
        statuses=(201, 200),
        problems=("unknown-program", "unknown-partner", "already-exists"),
        example={"program_id": PROGRAM_ID, "partner_id": PARTNER_ID, "code": "BRIGHT20"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """The code is the end of a link, too: /r/{code}."""
        done = self.desk.execute(IssueReferralCode(**body), by=req.context.caller.by)
        resp.location = f"/r/{done.state.code}"
        send(resp, show_code(done.state), 201 if done.new else 200)

    @operation(
        "List referral codes", scopes=(*READ, "partner:read"), query=OwnedQuery(), answer=page_of(CODE)
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """With how often their links were followed; the latest first."""
        where = {
            "program_id": query["program_id"],
            "partner_id": req.context.caller.own(query["partner_id"]),
        }
        send_list(req, resp, self.database, query, queries.list_referral_codes, shown_as(CODE), **where)


class ReferralLink(Resource):
    """The end of a partner's link."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._targets: dict[str, str] = {}  # a code and its landing addresses never change

    @operation("Follow a referral link", statuses=(302,), problems=("not-found",), produces="text/html")
    def on_get(self, _req: falcon.Request, resp: falcon.Response, code: str) -> None:
        """Redirects to the landing address with `ref` (the code) and `touch` added, and counts the touch.

        A visitor is never kept waiting for our books: when the database can't be reached, a code that this
        worker has seen before redirects all the same, without `touch`; the visit is then not counted.
        """
        touch_id: UUID | None = None
        try:
            target = self._target(code)
            touch_id = self.desk.execute(TouchReferralLink(touch_id=uuid4(), code=code), by="link").id
        except (DatabaseUnavailable, Overloaded):
            if code not in self._targets:
                raise
            target = self._targets[code]
            log.warning("a touch was not counted", code=code)
        self._lead_on(resp, with_parameters(target, code, touch_id))

    def on_head(self, _req: falcon.Request, resp: falcon.Response, code: str) -> None:
        """Leads to the same place without `touch`: whoever only looks where a link leads is no visit."""
        self._lead_on(resp, with_parameters(self._target(code), code, None))

    @staticmethod
    def _lead_on(resp: falcon.Response, address: str) -> None:
        resp.status = falcon.HTTP_302
        resp.location = address
        resp.set_header("Cache-Control", "no-store")
        resp.set_header("Referrer-Policy", "no-referrer-when-downgrade")

    def _target(self, code: str) -> str:
        known = self._targets.get(code)
        if known is not None:
            return known
        state = self.desk.referral_code(code)
        of = self.desk.program(state.program_id) if state is not None else None
        if state is None or of is None:
            raise HttpProblem("not-found", "there is no such code")
        target = state.landing_url or of.landing_url
        if target is None:
            raise HttpProblem(
                "not-found", "the code leads nowhere: neither it nor its program has a landing_url"
            )
        if len(self._targets) > 10_000:
            self._targets.clear()
        self._targets[code] = target
        return target


def with_parameters(target: str, code: str, touch_id: UUID | None) -> str:
    """A landing address with `ref` and `touch` in its query, whatever else is there."""
    parts = urlsplit(target)
    kept = [(n, v) for n, v in parse_qsl(parts.query, keep_blank_values=True) if n not in ("ref", "touch")]
    added = [("ref", code), *([("touch", str(touch_id))] if touch_id else [])]
    return urlunsplit(parts._replace(query=urlencode([*kept, *added])))


class Referrals(Resource):
    """All referrals."""

    @operation(
        "Record a referral",
        scopes=("conversions:write",),
        body=NEW_REFERRAL,
        answer=REFERRAL,
        statuses=(201, 200),
        problems=("unknown-program", "unknown-partner", "content-conflict", "effective-time-in-future"),
        example=EXAMPLE,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """A customer registered, a lead form was filled in, a code or the touch of a link was given."""
        done = self.desk.execute(RecordReferral(**body), by=req.context.caller.by)
        send(resp, msgspec.structs.asdict(done.state), 201 if done.new else 200)

    @operation("List referrals", scopes=READ, query=ReferralQuery(), answer=page_of(REFERRAL))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """The latest first."""
        where = {name: query[name] for name in ("program_id", "partner_id", "customer")}
        send_list(req, resp, self.database, query, queries.list_referrals, shown_as(REFERRAL), **where)


class ReferralBatch(Resource):
    """Many referrals at once."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._intake = ReferralIntake(services.desk)

    @operation(
        "Record many referrals",
        scopes=("conversions:write",),
        body=NEW_REFERRAL,
        raw=True,
        bytes_max=BATCH_BYTES_MAX,
        media_types=MEDIA_TYPES,
        answer=ReferralBatchResultSchema(),
        problems=("too-many-items",),
        example=[EXAMPLE],
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Up to 10,000, as an array or as lines. Each is answered for itself, in order."""
        loaded = [load_item(_command, i) for i in parse_items(req.context.raw, req.context.media_type)]
        commands = [item for item in loaded if isinstance(item, RecordReferral)]
        results = iter(self._intake.record(commands, by=req.context.caller.by))
        send_lines(resp, [_line(index, item, results) for index, item in enumerate(loaded)])


def _command(item: Any) -> RecordReferral:
    return RecordReferral(**NEW_REFERRAL.load(item))


def _line(index: int, item: Any, results: Any) -> Line:
    if isinstance(item, HttpProblem):
        return problem_line(index, item)
    result = next(results)
    if result.refusal is not None:
        return problem_line(index, to_problem(result.refusal), result.status)
    return Line(index, result.status, referral_id=result.referral_id)


class Customers(Resource):
    """All customers that are known from referrals."""

    @operation("List customers", scopes=READ, query=CustomerQuery(), answer=page_of(CustomerRowSchema()))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """By program and name. With `partner_id`: those that the partner referred last."""
        where = {name: query[name] for name in ("program_id", "partner_id", "customer")}
        show = shown_as(CustomerRowSchema())
        send_list(req, resp, self.database, query, queries.list_customers, show, **where)


def _told(state: CustomerState) -> ReferralRecorded | CustomerReattributed | None:
    for fact in state.referrals.values():
        return fact
    return state.reattributions[0] if state.reattributions else None


def show_customer(customer_id: UUID, state: CustomerState) -> Row:
    """A customer as it is answered."""
    told = _told(state)
    assert told is not None
    decided = [
        {
            "shares": [{"partner_id": s.partner_id, "share_bps": s.share_bps} for s in fact.shares],
            "reason": fact.reason,
            "effective_at": fact.effective_at,
        }
        for fact in state.reattributions
    ]
    return {
        "customer_id": customer_id,
        "program_id": told.program_id,
        "customer": told.customer,
        "referrals": [msgspec.structs.asdict(fact) for fact in state.referrals.values()],
        "reattributions": decided,
    }


class Customer(Resource):
    """One customer."""

    @operation("Get a customer", scopes=READ, answer=CustomerSchema())
    def on_get(self, _req: falcon.Request, resp: falcon.Response, customer_id: UUID) -> None:
        """With every touch, and what finance decided, in the order in which we learned them."""
        state = self.ledger.load(customer_id, CUSTOMER).state
        if not state.referrals and not state.reattributions:
            raise nothing_there()
        send(resp, show_customer(customer_id, state))


class CustomerReattribution(Resource):
    """For whom a customer counts."""

    @operation(
        "Reattribute a customer",
        scopes=("finance:approve",),
        body=ReattributionSchema(),
        answer=CustomerSchema(),
        statuses=(201, 200),
        problems=("unknown-partner", "effective-time-in-future"),
        example={
            "shares": [{"partner_id": PARTNER_ID, "share_bps": 10000}],
            "reason": "Their call brought the customer.",
        },
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, customer_id: UUID, body: Row) -> None:
        """Whatever the touches say. A customer without any must be named by `program_id` and `customer`."""
        program_id, customer = self._named(customer_id, body.pop("program_id"), body.pop("customer"))
        shares = tuple(Share(**share) for share in body.pop("shares"))
        command = ReattributeCustomer(program_id=program_id, customer=customer, shares=shares, **body)
        done = self.desk.execute(command, by=req.context.caller.by)
        send(resp, show_customer(customer_id, done.state), 201 if done.new else 200)

    def _named(self, customer_id: UUID, program_id: UUID | None, customer: str | None) -> tuple[UUID, str]:
        if program_id is not None and customer is not None:
            if ids.customer_id(program_id, customer) != customer_id:
                raise invalid("/customer", "program_id and customer are not those of this address")
            return program_id, customer
        state = self.ledger.load(customer_id, CUSTOMER).state
        told = _told(state)
        if told is None:
            raise nothing_there()
        return told.program_id, told.customer
