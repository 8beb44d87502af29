"""Bank accounts of partners who are paid off Stripe."""

from uuid import UUID

import falcon

from api.answers import send
from api.auth import nothing_there
from api.listings import Row
from api.masking import shown_destination
from api.operations import operation
from api.schemas.bank import BankAccountSchema, NewBankAccountSchema
from api.services import Resource
from ledger import partner
from ledger.bank_account import PROVIDER
from ledger.bank_commands import LinkBankAccount

ACCOUNT = BankAccountSchema()


def _show(partner_id: UUID, state: partner.PartnerState, *, whole: bool) -> Row | None:
    linked = state.bank_accounts.get(state.payout_accounts.get(PROVIDER, ""))
    if linked is None:
        return None
    return {
        "partner_id": partner_id,
        "iban": shown_destination(PROVIDER, linked.iban, whole=whole),
        "holder_name": linked.holder_name,
        "bic": linked.bic,
    }


class PartnerBankAccount(Resource):
    """The bank account that a partner's money goes to."""

    @operation(
        "Link a bank account",
        tag="partners",
        scopes=("finance:approve",),
        body=NewBankAccountSchema(),
        example={"iban": "DE89370400440532013000", "holder_name": "Brightside GmbH"},
        answer=ACCOUNT,
        problems=("unknown-partner",),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """From now on the partner is drafted for it, in euros; drafted payouts keep the account they have.

        The IBAN must be of a country that SEPA reaches, with its length and its check digits.
        """
        done = self.desk.execute(LinkBankAccount(partner_id=partner_id, **body), by=req.context.caller.by)
        send(resp, _show(partner_id, done.state, whole=False))

    @operation(
        "Get a partner's bank account",
        tag="partners",
        scopes=("finance:read", "finance:approve"),
        answer=ACCOUNT,
        problems=("unknown-partner",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, partner_id: UUID) -> None:
        """With the whole IBAN, which stands masked everywhere else."""
        shown = _show(partner_id, partner.known(self.desk.partner(partner_id)), whole=True)
        if shown is None:
            raise nothing_there()
        resp.set_header("Cache-Control", "no-store")
        send(resp, shown)
