"""Partners: their application, their status, their groups, where their money goes."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import falcon

from api.answers import send
from api.listings import Row, send_list
from api.masking import shown_destination
from api.operations import operation
from api.schemas.fields import page_of
from api.schemas.partners import (
    LocaleSchema,
    MembershipSchema,
    NewPartnerSchema,
    NoteSchema,
    PartnerQuery,
    PartnerSchema,
    ReasonSchema,
    ResumedSchema,
)
from api.services import Resource
from ledger import partner
from ledger.commands import (
    ApplyAsPartner,
    ApprovePartner,
    AssignPartnerGroup,
    DeclinePartner,
    PausePartnerPayouts,
    ReinstatePartner,
    ResumePartnerPayouts,
    ReviewPartner,
    SuspendPartner,
)
from ledger.partner_commands import ChangePartnerLocale
from projections import queries

PARTNER = PartnerSchema()
READ = ("finance:read", "finance:approve")


def show_partner(partner_id: UUID, state: partner.PartnerState) -> Row:
    """A partner as it is answered."""
    accounts = [
        {"provider": provider, "destination": shown_destination(provider, destination)}
        for provider, destination in state.payout_accounts.items()
    ]
    return {
        "partner_id": partner_id,
        "reference": state.reference,
        "name": state.name,
        "email": state.email,
        "country": state.country,
        "status": state.status,
        "status_note": state.remark,
        "payout_account": accounts[-1] if accounts else None,
        "payout_holds": [{"cause": c, "reason": r} for c, r in sorted(state.payout_holds.items())],
        "locale": state.locale,
        "groups": [{"program_id": p, "partner_group": g} for p, g in state.groups.items()],
    }


def _show_row(row: Row) -> Row:
    shown = {name: row[name] for name in PARTNER.fields if name in row}
    if row["provider"] is None:
        return {**shown, "payout_account": None}
    destination = shown_destination(row["provider"], row["destination"])
    return {**shown, "payout_account": {"provider": row["provider"], "destination": destination}}


class Partners(Resource):
    """All partners."""

    @operation(
        "Apply as a partner",
        scopes=("admin",),
        body=NewPartnerSchema(),
        answer=PARTNER,
        statuses=(201, 200),
        problems=("already-exists",),
        example={"reference": "brightside", "name": "Brightside Ltd", "country": "GB"},
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, body: Row) -> None:
        """201: it is new. 200: it was there, with the same content."""
        done = self.desk.execute(ApplyAsPartner(**body), by=req.context.caller.by)
        resp.location = f"/v1/partners/{done.id}"
        send(resp, show_partner(done.id, done.state), 201 if done.new else 200)

    @operation("List partners", scopes=READ, query=PartnerQuery(), answer=page_of(PARTNER))
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """By reference."""
        where = {name: query[name] for name in ("reference", "status", "program_id", "partner_group")}
        send_list(req, resp, self.database, query, queries.list_partners, _show_row, **where)


class Partner(Resource):
    """One partner."""

    @operation("Get a partner", scopes=READ, answer=PARTNER, problems=("unknown-partner",))
    def on_get(self, _req: falcon.Request, resp: falcon.Response, partner_id: UUID) -> None:
        """As its facts stand now."""
        send(resp, show_partner(partner_id, partner.known(self.desk.partner(partner_id))))


class _PartnerStep(Resource):
    """One step of a partner's status."""

    command: Callable[..., Any]

    def step(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """Take the step; taking it twice changes nothing."""
        done = self.desk.execute(self.command(partner_id=partner_id, **body), by=req.context.caller.by)
        send(resp, show_partner(partner_id, done.state))


_STEP = {"answer": PARTNER, "scopes": ("admin",), "problems": ("unknown-partner", "illegal-transition")}


class PartnerReview(_PartnerStep):
    """applied → in_review."""

    command = ReviewPartner

    @operation("Take an application up", body=NoteSchema(), example={"note": "Called them."}, **_STEP)
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """applied → in_review."""
        self.step(req, resp, partner_id, body)


class PartnerApproval(_PartnerStep):
    """applied or in_review → approved."""

    command = ApprovePartner

    @operation("Approve a partner", body=NoteSchema(), example={}, **_STEP)
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """applied or in_review → approved."""
        self.step(req, resp, partner_id, body)


class PartnerRefusal(_PartnerStep):
    """applied or in_review → declined."""

    command = DeclinePartner

    @operation("Decline a partner", body=ReasonSchema(), example={"reason": "A competitor."}, **_STEP)
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """applied or in_review → declined."""
        self.step(req, resp, partner_id, body)


class PartnerSuspension(_PartnerStep):
    """approved → suspended."""

    command = SuspendPartner

    @operation("Suspend a partner", body=ReasonSchema(), example={"reason": "Fake referrals."}, **_STEP)
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """approved → suspended: no new rewards, no payouts."""
        self.step(req, resp, partner_id, body)


class PartnerReinstatement(_PartnerStep):
    """suspended → approved."""

    command = ReinstatePartner

    @operation("Reinstate a partner", body=ReasonSchema(), example={"reason": "Cleared up."}, **_STEP)
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """suspended → approved."""
        self.step(req, resp, partner_id, body)


class PartnerMembership(_PartnerStep):
    """The group of a partner in a program."""

    command = AssignPartnerGroup

    @operation(
        "Put a partner into a group",
        body=MembershipSchema(),
        example={"program_id": "9e0c2b1c-5a1f-5d0e-8b3a-0f6f0f6b2a11", "partner_group": "gold"},
        answer=PARTNER,
        scopes=("admin",),
        problems=("unknown-partner", "unknown-program"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """Or out of it, with null."""
        self.step(req, resp, partner_id, body)


class PartnerLocale(_PartnerStep):
    """The language of a partner."""

    command = ChangePartnerLocale

    @operation(
        "Set a partner's language",
        body=LocaleSchema(),
        example={"locale": "de-AT"},
        answer=PARTNER,
        scopes=("admin",),
        problems=("unknown-partner",),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """Its statements are written in it, if we have it, with the number format of its region."""
        self.step(req, resp, partner_id, body)


class PartnerPayoutHold(_PartnerStep):
    """Finance holds a partner's payouts."""

    command = PausePartnerPayouts

    @operation(
        "Hold a partner's payouts",
        body=ReasonSchema(),
        example={"reason": "Invoice address under review."},
        answer=PARTNER,
        scopes=("finance:approve",),
        problems=("unknown-partner",),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """Nothing is drafted for it, what is approved waits, until the hold is lifted. It goes on earning."""
        self.step(req, resp, partner_id, body)


class PartnerPayoutResumption(_PartnerStep):
    """A hold of a partner's payouts is lifted."""

    command = ResumePartnerPayouts

    @operation(
        "Lift a hold of a partner's payouts",
        body=ResumedSchema(),
        example={"note": "Address confirmed."},
        answer=PARTNER,
        scopes=("finance:approve",),
        problems=("unknown-partner",),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """One cause, by default that of finance. Those of the provider's account lift themselves."""
        self.step(req, resp, partner_id, body)
