"""Agreements: which version of a program's terms a partner accepted."""

from uuid import UUID

import falcon

from api.answers import send
from api.auth import nothing_there
from api.listings import Row, send_list, shown_as
from api.operations import operation
from api.schemas.fields import page_of
from api.schemas.partners import AgreementQuery, AgreementSchema, EndAgreementSchema, NewAgreementSchema
from api.services import Resource
from ledger import ids
from ledger.agreement import Acceptance, AgreementState, End
from ledger.commands import AcceptAgreement, EndAgreement
from ledger.desk import AGREEMENT as AGREEMENT_DECIDER
from projections import queries

AGREEMENT = AgreementSchema()
READ = ("finance:read", "finance:approve")
_IDS = {
    "program_id": "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11",
    "partner_id": "1f6b1e57-2c39-5d8e-9a44-6f3c1a2b7d90",
}


def show_agreement(agreement_id: UUID, state: AgreementState) -> Row:
    """An agreement as it is answered: its last acceptance, and its end if that came after it."""
    accepted = next(s for s in reversed(state.timeline) if isinstance(s, Acceptance))
    last = state.timeline[-1]
    end = last if isinstance(last, End) else None
    return {
        "agreement_id": agreement_id,
        "program_id": state.program_id,
        "partner_id": state.partner_id,
        "status": "ended" if end else "active",
        "terms_version": accepted.terms_version,
        "accepted_by": accepted.accepted_by,
        "effective_at": accepted.effective_at,
        "ended_at": end.effective_at if end else None,
        "end_reason": end.reason if end else None,
    }


class Agreements(Resource):
    """All agreements."""

    @operation(
        "Accept an agreement",
        scopes=("admin",),
        body=NewAgreementSchema(),
        answer=AGREEMENT,
        statuses=(201, 200),
        problems=("unknown-program", "unknown-partner", "unknown-terms-version", "partner-not-approved"),
        example={**_IDS, "terms_version": 1, "accepted_by": "Their head of sales"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """For a partner, from `effective_at` on (default: now); again for a newer version."""
        done = self.desk.execute(AcceptAgreement(**body), by=req.context.caller.by)
        resp.location = f"/v1/agreements/{done.id}"
        send(resp, show_agreement(done.id, done.state), 201 if done.new else 200)

    @operation("List agreements", scopes=READ, query=AgreementQuery(), answer=page_of(AGREEMENT))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """Of a program, of a partner, or all; the latest first."""
        where = {"program_id": query["program_id"], "partner_id": query["partner_id"]}
        show = shown_as(AGREEMENT)
        send_list(req, resp, self.database, query, queries.list_agreements, show, **where)


class AgreementEnd(Resource):
    """The end of an agreement."""

    @operation(
        "End an agreement",
        scopes=("admin",),
        body=EndAgreementSchema(),
        answer=AGREEMENT,
        problems=("not-found", "illegal-transition"),
        example={**_IDS, "reason": "The partner asked for it."},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """Conversions from then on earn nothing; what was earned stays."""
        done = self.desk.execute(EndAgreement(**body), by=req.context.caller.by)
        send(resp, show_agreement(done.id, done.state))


class Agreement(Resource):
    """One agreement."""

    @operation("Get an agreement", scopes=READ, answer=AGREEMENT)
    def on_get(self, _req: falcon.Request, resp: falcon.Response, agreement_id: UUID) -> None:
        """As it was last accepted or ended."""
        state = self.ledger.load(agreement_id, AGREEMENT_DECIDER).state
        if state is None:
            raise nothing_there()
        send(resp, show_agreement(ids.agreement_id(state.program_id, state.partner_id), state))
