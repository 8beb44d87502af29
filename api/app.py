"""The front door: every route, and what happens around each request."""

from typing import Any

import falcon

from api import errors, openapi
from api.middleware.doors import Access, Bodies, Schemas
from api.middleware.etag import ETags
from api.middleware.idempotency import Idempotency
from api.middleware.requests import Requests
from api.operations import answer_head
from api.resources import (
    agreements,
    audit,
    balances,
    bank_accounts,
    bank_files,
    bank_statements,
    conversions,
    documentation,
    keys,
    partners,
    payout_accounts,
    payout_gate,
    payout_settings,
    payouts,
    programs,
    reconciliations,
    referrals,
    reports,
    rewards,
    statements,
    status,
    webhooks,
    why,
)
from api.services import Services

_BANK_FILES = "/v1/payout-batches/{batch_id:uuid}/bank-files"

App = falcon.App[falcon.Request, falcon.Response]


def routes(services: Services) -> dict[str, object]:
    """Address → what answers there."""
    return {
        "/v1/programs": programs.Programs(services),
        "/v1/programs/{program_id:uuid}": programs.Program(services),
        "/v1/programs/{program_id:uuid}/terms": programs.TermsVersions(services),
        "/v1/programs/{program_id:uuid}/terms/{terms_version:int}": programs.TermsVersion(services),
        "/v1/programs/{program_id:uuid}/groups": programs.PartnerGroups(services),
        "/v1/programs/{program_id:uuid}/payout-settings": payout_settings.ProgramPayoutSettings(services),
        "/v1/programs/{program_id:uuid}/withholding-remittances": payout_settings.ProgramRemittances(
            services
        ),
        "/v1/programs/{program_id:uuid}/balances": balances.ProgramBalances(services),
        "/v1/partners": partners.Partners(services),
        "/v1/partners/{partner_id:uuid}": partners.Partner(services),
        "/v1/partners/{partner_id:uuid}/review": partners.PartnerReview(services),
        "/v1/partners/{partner_id:uuid}/approve": partners.PartnerApproval(services),
        "/v1/partners/{partner_id:uuid}/decline": partners.PartnerRefusal(services),
        "/v1/partners/{partner_id:uuid}/suspend": partners.PartnerSuspension(services),
        "/v1/partners/{partner_id:uuid}/reinstate": partners.PartnerReinstatement(services),
        "/v1/partners/{partner_id:uuid}/group": partners.PartnerMembership(services),
        "/v1/partners/{partner_id:uuid}/locale": partners.PartnerLocale(services),
        "/v1/partners/{partner_id:uuid}/payout-account": payout_accounts.PartnerPayoutAccount(services),
        "/v1/partners/{partner_id:uuid}/payout-account/link": payout_accounts.PartnerOnboardingLink(services),
        "/v1/partners/{partner_id:uuid}/bank-account": bank_accounts.PartnerBankAccount(services),
        "/v1/partners/{partner_id:uuid}/tax-forms": payout_accounts.PartnerTaxForms(services),
        "/v1/tax-reports/1099-nec": payout_accounts.TaxReport1099(services),
        "/v1/partners/{partner_id:uuid}/payout-hold": partners.PartnerPayoutHold(services),
        "/v1/partners/{partner_id:uuid}/payout-resume": partners.PartnerPayoutResumption(services),
        "/v1/partners/{partner_id:uuid}/withholding": payout_settings.PartnerWithholding(services),
        "/v1/partners/{partner_id:uuid}/balances": balances.PartnerBalances(services),
        "/v1/partners/{partner_id:uuid}/write-offs": balances.ClawbackWriteOff(services),
        "/v1/agreements": agreements.Agreements(services),
        "/v1/agreements/end": agreements.AgreementEnd(services),
        "/v1/agreements/{agreement_id:uuid}": agreements.Agreement(services),
        "/v1/referral-codes": referrals.ReferralCodes(services),
        "/v1/referrals": referrals.Referrals(services),
        "/v1/referrals/batch": referrals.ReferralBatch(services),
        "/v1/customers": referrals.Customers(services),
        "/v1/customers/{customer_id:uuid}": referrals.Customer(services),
        "/v1/customers/{customer_id:uuid}/reattribute": referrals.CustomerReattribution(services),
        "/v1/conversions": conversions.Conversions(services),
        "/v1/conversions/batch": conversions.ConversionBatch(services),
        "/v1/conversions/{conversion_id:uuid}": conversions.Conversion(services),
        "/v1/conversions/{conversion_id:uuid}/why": why.ConversionWhy(services),
        "/v1/rewards/{reward_id:uuid}/why": why.RewardWhy(services),
        "/v1/payouts/{payout_id:uuid}/why": why.PayoutWhy(services),
        "/v1/rewards": rewards.Rewards(services),
        "/v1/rewards/{reward_id:uuid}": rewards.Reward(services),
        "/v1/journal": balances.Journal(services),
        **_report_routes(services),
        **_payout_routes(services),
        **_statement_routes(services),
        **_audit_routes(services),
        "/v1/keys": keys.Keys(services),
        "/v1/keys/{key_id:uuid}": keys.Key(services),
        "/v1/keys/{key_id:uuid}/revoke": keys.KeyRevocation(services),
        "/v1/status": status.Status(services),
        "/r/{code}": referrals.ReferralLink(services),
        "/healthz": status.Health(services),
        "/readyz": status.Readiness(services),
        "/metrics": status.Metrics(services),
        "/docs": documentation.Reference(),
        "/problems/{name}": documentation.Problems(),
        **{
            f"/static/{address}": documentation.StaticFile(name)
            for address, name in documentation.FILES.items()
        },
    }


def _report_routes(services: Services) -> dict[str, object]:
    """The doors to what finance reports."""
    return {
        "/v1/reports/trial-balance": reports.TrialBalance(services),
        "/v1/reports/roll-forward": reports.RollForward(services),
        "/v1/reports/ageing": reports.Ageing(services),
        "/v1/journal/export": reports.JournalExport(services),
    }


def _payout_routes(services: Services) -> dict[str, object]:
    """The doors to the money that leaves, and to what the provider says of it."""
    return {
        "/v1/payout-batches": payouts.PayoutBatches(services),
        "/v1/payout-batches/{batch_id:uuid}": payouts.PayoutBatch(services),
        "/v1/payout-batches/{batch_id:uuid}/approve": payouts.PayoutBatchApproval(services),
        "/v1/payout-batches/{batch_id:uuid}/cancel": payouts.PayoutBatchCancellation(services),
        "/v1/payout-batches/{batch_id:uuid}/send": payouts.PayoutBatchSending(services),
        "/v1/payout-batches/{batch_id:uuid}/outlook": payouts.PayoutBatchOutlook(services),
        _BANK_FILES: bank_files.BankFiles(services),
        f"{_BANK_FILES}/{{number:int}}": bank_files.BankFile(services),
        f"{_BANK_FILES}/{{number:int}}/pain.001": bank_files.BankFileText(services),
        "/v1/payouts": payouts.Payouts(services),
        "/v1/payouts/{payout_id:uuid}": payouts.Payout(services),
        "/v1/payouts/{payout_id:uuid}/cancel": payouts.PayoutCancellation(services),
        "/v1/payouts/{payout_id:uuid}/resolve": payouts.PayoutResolution(services),
        "/v1/payouts/{payout_id:uuid}/bank-outcome": bank_statements.PayoutBankOutcome(services),
        "/v1/payouts/{payout_id:uuid}/bank-outcome/withdraw": bank_statements.PayoutBankRejection(services),
        "/v1/bank-statements": bank_statements.BankStatements(services),
        "/v1/bank-statements/{bank_statement_id:uuid}": bank_statements.BankStatement(services),
        "/v1/webhook-events": webhooks.WebhookEvents(services),
        "/v1/webhook-events/{event_id}": webhooks.WebhookEvent(services),
        "/v1/webhook-events/{event_id}/retry": webhooks.WebhookRetry(services),
        "/v1/webhook-events/{event_id}/dismiss": webhooks.WebhookDismissal(services),
        "/webhooks/stripe": webhooks.StripeWebhooks(services),
        "/v1/payout-gate": payout_gate.PayoutGate(services),
        "/v1/payout-gate/freeze": payout_gate.PayoutFreeze(services),
        "/v1/payout-gate/thaw": payout_gate.PayoutThaw(services),
        "/v1/payout-gate/restored": payout_gate.DatabaseRestored(services),
        "/v1/payout-gate/bank-files-known": payout_gate.BankFilesKnown(services),
        "/v1/payout-gate/take-in": payout_gate.TransferTakeIn(services),
        "/v1/reconciliations": reconciliations.Reconciliations(services),
        "/v1/reconciliations/differences/resolve": reconciliations.DifferenceResolution(services),
        "/v1/reconciliations/{reconciliation_id:uuid}": reconciliations.Reconciliation(services),
        "/v1/reconciliations/{reconciliation_id:uuid}/items": reconciliations.ReconciliationItems(services),
    }


def _statement_routes(services: Services) -> dict[str, object]:
    """The doors to closed months, and to what partners are told of them."""
    return {
        "/v1/programs/{program_id:uuid}/periods": statements.Periods(services),
        "/v1/programs/{program_id:uuid}/periods/{period}": statements.Period(services),
        "/v1/statements": statements.Statements(services),
        "/v1/statements/{statement_id:uuid}": statements.OneStatement(services),
        "/v1/statements/{statement_id:uuid}/proof": statements.StatementProof(services),
        "/v1/statements/{statement_id:uuid}/correct": statements.StatementCorrection(services),
        "/v1/partners/{partner_id:uuid}/statement-preview": statements.StatementPreview(services),
    }


def _audit_routes(services: Services) -> dict[str, object]:
    """The doors for whoever does not trust us."""
    return {
        "/audit/checkpoint": audit.Checkpoint(services),
        "/audit/tile/entries/{path:path}": audit.EntryBundle(services),
        "/audit/tile/{path:path}": audit.Tile(services),
        "/v1/audit/key": audit.AuditKey(services),
        "/v1/audit/checkpoints": audit.Checkpoints(services),
        "/v1/audit/checkpoints/{size:int}/cosignatures": audit.Cosignatures(services),
        "/v1/audit/inclusion": audit.Inclusion(services),
        "/v1/audit/consistency": audit.Consistency(services),
    }


def create_app(services: Services) -> App:
    """The application over these services."""
    app: Any = falcon.App(
        middleware=[
            Requests(services.ledger.committer),
            ETags(),
            Access(services.gate),
            Bodies(),
            Idempotency(services.idempotency_keys),
            Schemas(),
        ]
    )
    app.req_options.keep_blank_qs_values = True
    app.req_options.auto_parse_qs_csv = False
    resources = routes(services)
    resources["/openapi.json"] = documentation.OpenApi(lambda: openapi.document(app, resources))
    for address, resource in resources.items():
        answer_head(resource)
        app.add_route(address, resource)
    errors.install(app)
    return app  # type: ignore[no-any-return]
