"""Partners' payout accounts: made, linked, looked at; their tax forms, and what is reported of a year."""

from typing import Any, Final
from uuid import UUID

import falcon

from api.answers import send
from api.listings import Row, send_list, shown_as
from api.masking import shown_destination
from api.operations import operation
from api.problems import HttpProblem
from api.schemas.fields import page_of
from api.schemas.partners import (
    LinkSchema,
    LinkWishSchema,
    NewTaxFormSchema,
    OnboardingSchema,
    PayoutAccountStateSchema,
    ReportedPartnerSchema,
    TaxReportQuery,
)
from api.services import Resource
from ledger import partner
from ledger.commands import FileTaxForm
from ledger.store.application import Ledger
from payouts.connected import AccountLink
from payouts.eligibility import STRIPE, missing_for, obstacles
from payouts.tax_thresholds import NoThreshold, threshold
from payouts.us_income import programs_with_us_income
from projections.queries.tax import list_paid_in_year

STATE: Final = PayoutAccountStateSchema()
REPORTED: Final = ReportedPartnerSchema()
_URL: Final = "https://partners.example.com/payouts"
_PROBLEMS: Final = ("unknown-partner", "provider-refused", "provider-unavailable")


def show_state(
    ledger: Ledger, partner_id: UUID, state: partner.PartnerState, link: AccountLink | None = None
) -> Row:
    """A partner's account as it is answered, with what stands in the way in any of its programs."""
    provider, now = state.provider, ledger.clock()
    seen = state.account_seen(provider) if provider else None
    found = (
        *obstacles(state, provider or STRIPE, now=now),
        *missing_for(state, programs_with_us_income(ledger, partner_id), now=now),
    )
    forms = ("form", "reference", "effective_at", "expires_at")
    return {
        "partner_id": partner_id,
        "provider": provider,
        "destination": shown_destination(provider, state.payout_accounts[provider]) if provider else None,
        "seen_at": seen.effective_at if seen else None,
        "transfers_active": bool(seen and seen.transfers_active),
        "payouts_enabled": bool(seen and seen.payouts_enabled),
        "disabled_reason": seen.disabled_reason if seen else None,
        "currently_due": seen.currently_due if seen else (),
        "country": seen.country if seen else None,
        "default_currency": seen.default_currency if seen else None,
        "tax_forms": [{name: getattr(one, name) for name in forms} for one in state.tax_forms.values()],
        "obstacles": [{"code": one.code, "detail": one.detail} for one in found],
        "onboarding_link": {"url": link.url, "expires_at": link.expires_at} if link else None,
    }


class PartnerPayoutAccount(Resource):
    """Where a partner's money goes."""

    @operation(
        "Onboard a partner, or link its payout account",
        tag="partners",
        body=OnboardingSchema(),
        example={"return_url": _URL},
        answer=STATE,
        scopes=("finance:approve",),
        problems=_PROBLEMS,
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """With `destination` that account is linked. Without, the partner's account at the provider is made,
        once, and its owner gets a link (`onboarding_link`) by which it tells what is wanted; a fresh one each
        time. Later payouts go there; drafted ones keep the account that they were drafted with.
        """
        onboarding, by, link = self.services.onboarding, req.context.caller.by, None
        if body["destination"] is not None:
            state = onboarding.link_known(partner_id, body["destination"], by=by)
        else:
            state = onboarding.begin(partner_id, by=by)
            pages = self.services.pages(body)
            link = onboarding.fresh_link(partner_id, **pages)
        shown = show_state(self.ledger, partner_id, state, link)
        req.context.kept_media = {**shown, "onboarding_link": None}
        resp.set_header("Cache-Control", "no-store")
        send(resp, shown)

    @operation(
        "How does a partner's payout account stand?",
        tag="partners",
        answer=STATE,
        scopes=("finance:read", "finance:approve", "partner:read"),
        problems=("unknown-partner",),
    )
    def on_get(self, _req: falcon.Request, resp: falcon.Response, partner_id: UUID) -> None:
        """As it was last looked at, what the provider wants from its owner, and what stands in the way."""
        state = partner.known(self.desk.partner(partner_id))
        send(resp, show_state(self.ledger, partner_id, state))


class PartnerOnboardingLink(Resource):
    """A fresh link for a partner."""

    @operation(
        "Make a fresh onboarding link",
        tag="partners",
        body=LinkWishSchema(),
        example={"return_url": _URL},
        answer=LinkSchema(),
        scopes=("finance:approve",),
        problems=(*_PROBLEMS, "payout-destination-missing"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """For one visit, within minutes. Repeated under an Idempotency-Key it is not told again."""
        link = self.services.onboarding.fresh_link(partner_id, **self.services.pages(body))
        req.context.kept_media = {"url": "", "expires_at": link.expires_at}
        resp.set_header("Cache-Control", "no-store")
        send(resp, {"url": link.url, "expires_at": link.expires_at})


class PartnerTaxForms(Resource):
    """The tax forms of a partner."""

    @operation(
        "File a tax form",
        tag="partners",
        body=NewTaxFormSchema(),
        example={"form": "w-9", "reference": "vault/4711", "effective_at": "2026-01-15T00:00:00Z"},
        answer=STATE,
        scopes=("finance:approve",),
        problems=("unknown-partner", "effective-time-in-future"),
    )
    def on_post(self, req: falcon.Request, resp: falcon.Response, partner_id: UUID, body: Row) -> None:
        """That it is on file, where, and since when: the form itself is kept elsewhere. The newest counts."""
        done = self.desk.execute(FileTaxForm(partner_id=partner_id, **body), by=req.context.caller.by)
        send(resp, show_state(self.ledger, partner_id, done.state))


class TaxReport1099(Resource):
    """Whose payments of a year are reported on Form 1099-NEC."""

    @operation(
        "List partners over the 1099-NEC threshold",
        tag="partners",
        scopes=("finance:read", "finance:approve"),
        query=TaxReportQuery(),
        answer=page_of(REPORTED),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, query: Row) -> None:
        """Partners of the US, and those that named no country, that were sent at least the year's threshold
        in USD: transfers less reversals, with what was withheld. 600.00 for 2025, 2,000.00 for 2026.
        Later years' amounts are indexed: a year whose amount is not known here is refused.
        """
        try:
            line = threshold(query["year"], "USD")
        except NoThreshold as error:
            raise HttpProblem(
                "invalid-query", str(error), [{"pointer": "/year", "detail": str(error)}]
            ) from None
        assert line is not None
        show = shown_as(REPORTED)

        def shown(row: dict[str, Any]) -> Row:
            return show({**row, "currency": line.currency, "threshold_minor": line.amount_minor})

        where = {"year": query["year"], "currency": line.currency, "least_minor": line.amount_minor}
        send_list(req, resp, self.database, query, list_paid_in_year, shown, **where)
