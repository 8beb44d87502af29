"""Balances now and as they were, the journal behind them, and what is given up of a clawback."""

from collections.abc import Callable
from uuid import UUID

import falcon

from api.answers import send
from api.listings import PAST, Row, fetch_page, send_list, shown_as
from api.operations import operation
from api.pagination import send_page
from api.schemas.fields import page_of
from api.schemas.money import (
    BalanceSchema,
    LegQuery,
    LegSchema,
    PartnerBalancesQuery,
    ProgramBalancesQuery,
    WriteOffSchema,
    WrittenOffSchema,
)
from api.services import Resource
from ledger import ids, partner, program
from ledger.commands import WriteOffClawback
from projections import queries

BALANCE = BalanceSchema()
LEG = LegSchema()
READ = ("finance:read", "finance:approve")
_show = shown_as(BALANCE)


class _Balances(Resource):
    def send(
        self, req: falcon.Request, resp: falcon.Response, query: Row, of: Row, known: Callable[[], object]
    ) -> None:
        """Balances of now from their table; those of the past from the journal.

        Where there are none, what the path names may not be there at all: `known` refuses.
        """
        times = {name: query[name] for name in PAST}
        if any(times.values()):
            page = fetch_page(req, self.database, query, queries.list_balances_as_of, **of, **times)
        else:
            page = fetch_page(req, self.database, query, queries.list_balances, **of)
        if not page.rows:
            known()
        send_page(req, resp, [_show(row) for row in page.rows], page.next)


class ProgramBalances(_Balances):
    """The balances of a program."""

    @operation(
        "List a program's balances",
        scopes=READ,
        query=ProgramBalancesQuery(),
        answer=page_of(BALANCE),
        problems=("unknown-program",),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, program_id: UUID, query: Row) -> None:
        """One for each partner in whose account something happened; with times, as they were then."""
        of = {"program_id": program_id, "partner_id": query["partner_id"]}
        self.send(req, resp, query, of, lambda: program.known(self.desk.program(program_id)))


class PartnerBalances(_Balances):
    """The balances of a partner."""

    @operation(
        "List a partner's balances",
        scopes=(*READ, "partner:read"),
        query=PartnerBalancesQuery(),
        answer=page_of(BALANCE),
        problems=("unknown-partner",),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, query: Row) -> None:
        """One for each program in which the partner's account moved; with times, as they were then."""
        of = {"program_id": query["program_id"], "partner_id": partner_id}
        self.send(req, resp, query, of, lambda: partner.known(self.desk.partner(partner_id)))


class Journal(Resource):
    """The journal, double entry: each cent of a balance, and the fact that moved it."""

    @operation("List the journal", scopes=(*READ, "partner:read"), query=LegQuery(), answer=page_of(LEG))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """In the order of the log; with times, as it was then.

        A partner's key reads the lines of its own statements.
        """
        names = ("program_id", "account", "reward_id", "payout_id", "conversion_id", *PAST)
        where = {name: query[name] for name in names}
        where["partner_id"] = req.context.caller.own(query["partner_id"])
        send_list(req, resp, self.database, query, queries.list_journal, shown_as(LEG), **where)


class ClawbackWriteOff(Resource):
    """What is given up of a clawback."""

    @operation(
        "Write a clawback off",
        scopes=("finance:approve",),
        body=WriteOffSchema(),
        statuses=(201, 200),
        answer=WrittenOffSchema(),
        needs_key=True,
        problems=(
            "unknown-program",
            "unknown-partner",
            "wrong-currency",
            "insufficient-balance",
            "content-conflict",
        ),
        example={
            "program_id": "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11",
            "currency": "GBP",
            "amount_minor": 250,
            "reason": "Too small to pursue.",
        },
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """A part or all of what the partner owes us.

        The write-off's id derives from the Idempotency-Key: another key gives up more, the same one never.
        """
        key, caller = req.get_header("Idempotency-Key"), req.context.caller
        assert key is not None, "the door demands it"
        write_off_id = ids.command_id(str(caller.key_id), key, "write_off")
        command = WriteOffClawback(write_off_id=write_off_id, partner_id=partner_id, **body)
        done = self.desk.execute(command, by=caller.by)
        send(resp, {"write_off_id": write_off_id, **body}, 201 if done.new else 200)
