"""The directory: programs, partners, agreements, codes, referrals, customers and keys, as last told."""

from datetime import datetime
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from ledger.events.access import ApiKeyIssued, ApiKeyRevoked
from ledger.events.bank import BankAccountLinked
from ledger.events.base import Fact, Recorded
from ledger.events.partner import (
    AgreementAccepted,
    AgreementEnded,
    PartnerApplied,
    PartnerApproved,
    PartnerDeclined,
    PartnerGroupAssigned,
    PartnerPayoutsPaused,
    PartnerPayoutsResumed,
    PartnerReinstated,
    PartnerReviewStarted,
    PartnerSuspended,
    PayoutAccountLinked,
)
from ledger.events.program import (
    PartnerGroupCreated,
    PayoutSettingsChanged,
    ProgramCreated,
    TermsVersionPublished,
)
from ledger.events.referral import (
    CustomerReattributed,
    ReferralCodeIssued,
    ReferralLinkTouched,
    ReferralRecorded,
)
from ledger.ids import referral_code_id
from projections import bulk, tables
from projections.view import Batch, Names, TableChanges

_STATUS: Final[dict[type[Fact], str]] = {
    PartnerReviewStarted: "in_review",
    PartnerApproved: "approved",
    PartnerDeclined: "declined",
    PartnerSuspended: "suspended",
    PartnerReinstated: "approved",
}


def canonical_json(value: Any) -> str:
    """JSON with sorted keys: the same bytes for the same value."""
    return msgspec.json.encode(value, order="deterministic").decode()


class Changes:
    """What a batch does to the tables of the directory."""

    def __init__(self) -> None:
        self.tables = {table.name: TableChanges(table) for table in _PLAIN}
        self.members: dict[tuple[Any, Any], tuple[Any, ...]] = {}
        self.holds: dict[tuple[Any, Any], tuple[Any, ...]] = {}

    def __getitem__(self, name: str) -> TableChanges:
        return self.tables[name]


class Directory:
    """Small rows that many pages show. A secret's hash never comes here."""

    name: Final = "directory"
    tables: Final[tuple[sa.Table, ...]] = (
        tables.programs,
        tables.terms_versions,
        tables.partner_groups,
        tables.partners,
        tables.partner_group_members,
        tables.payout_holds,
        tables.agreements,
        tables.referral_codes,
        tables.referrals,
        tables.customers,
        tables.api_keys,
    )
    append_only: Final = False
    facts: Final[tuple[type[Fact], ...]] = (
        ProgramCreated,
        TermsVersionPublished,
        PartnerGroupCreated,
        PayoutSettingsChanged,
        PartnerApplied,
        *_STATUS,
        PartnerGroupAssigned,
        PartnerPayoutsPaused,
        PartnerPayoutsResumed,
        PayoutAccountLinked,
        BankAccountLinked,
        AgreementAccepted,
        AgreementEnded,
        ReferralCodeIssued,
        ReferralLinkTouched,
        ReferralRecorded,
        CustomerReattributed,
        ApiKeyIssued,
        ApiKeyRevoked,
    )

    def fold(self, batch: Batch) -> Changes:
        """The changes of a batch."""
        changes = Changes()
        ours = self._facts
        for event in batch.events:
            if type(event.fact) in ours:
                _program(changes, event)
                _partner(changes, event)
                _agreement(changes, event)
                _referral(changes, event)
                _access(changes, event)
        return changes

    def write(self, connection: sa.Connection, changes: Changes, names: Names) -> None:
        """Write the changes."""
        for table in changes.tables.values():
            table.write(connection, names)
        upserts = ((tables.partner_group_members, changes.members), (tables.payout_holds, changes.holds))
        for upserted, rows in upserts:
            bulk.upsert(connection, upserted, names[upserted.name], list(rows.values()))

    _facts: Final = frozenset(facts)


_PLAIN: Final = tuple(
    table for table in Directory.tables if table not in (tables.partner_group_members, tables.payout_holds)
)


def _stamp(event: Recorded) -> dict[str, Any]:
    return {"recorded_at": event.recorded_at, "position": event.position}


def _program(changes: Changes, event: Recorded) -> None:
    program_id = event.originator_id
    match event.fact:
        case ProgramCreated() as fact:
            changes["programs"].insert(
                program_id=program_id,
                reference=fact.reference,
                name=fact.name,
                type=fact.type,
                currency=fact.currency,
                goals=canonical_json(fact.goals),
                landing_url=fact.landing_url,
                terms_version=0,
                **_stamp(event),
            )
        case TermsVersionPublished() as fact:
            changes["programs"].put(program_id, terms_version=fact.terms_version, position=event.position)
            changes["terms_versions"].insert(
                program_id=program_id,
                terms_version=fact.terms_version,
                partner_group=fact.partner_group,
                terms=canonical_json(fact.terms),
                effective_at=fact.effective_at,
                published_by=event.by,
                **_stamp(event),
            )
        case PayoutSettingsChanged(schedule=schedule):
            every = None if schedule is None else schedule.every
            changes["programs"].put(program_id, payouts_every=every, position=event.position)
        case PartnerGroupCreated(partner_group=group, name=name):
            changes["partner_groups"].insert(
                program_id=program_id, partner_group=group, name=name, **_stamp(event)
            )
        case _:
            pass


def _partner(changes: Changes, event: Recorded) -> None:
    partner_id, fact = event.originator_id, event.fact
    changed = {"changed_at": event.recorded_at, "position": event.position}
    match fact:
        case PartnerApplied():
            changes["partners"].insert(
                partner_id=partner_id,
                reference=fact.reference,
                name=fact.name,
                email=fact.email,
                country=fact.country,
                status="applied",
                changed_at=event.recorded_at,
                **_stamp(event),
            )
        case PartnerGroupAssigned(program_id=program_id, partner_group=group):
            row = (partner_id, program_id, group, event.recorded_at, event.position)
            changes.members[partner_id, program_id] = row
        case PartnerPayoutsPaused(cause=cause, reason=reason):
            _hold(changes, event, cause, reason, fact.effective_at)
        case PartnerPayoutsResumed(cause=cause):
            _hold(changes, event, cause, None, fact.effective_at)
        case PayoutAccountLinked(provider=provider, destination=destination):
            changes["partners"].put(partner_id, provider=provider, destination=destination, **changed)
        case BankAccountLinked(iban=iban):
            changes["partners"].put(partner_id, provider="bank", destination=iban, **changed)
        case _ if type(fact) in _STATUS:
            note = getattr(fact, "reason", None) or getattr(fact, "note", None)
            changes["partners"].put(partner_id, status=_STATUS[type(fact)], status_note=note, **changed)
        case _:
            pass


def _hold(changes: Changes, event: Recorded, cause: str, reason: str | None, effective_at: datetime) -> None:
    row = (event.originator_id, cause, reason, effective_at, event.recorded_at, event.position)
    changes.holds[event.originator_id, cause] = row


def _agreement(changes: Changes, event: Recorded) -> None:
    agreement_id = event.originator_id
    match event.fact:
        case AgreementAccepted() as fact:
            row = {
                "program_id": fact.program_id,
                "partner_id": fact.partner_id,
                "terms_version": fact.terms_version,
                "status": "active",
                "accepted_by": fact.accepted_by,
                "effective_at": fact.effective_at,
                "ended_at": None,
                "end_reason": None,
                **_stamp(event),
            }
            if event.originator_version == 1:
                changes["agreements"].insert(agreement_id=agreement_id, **row)
            else:
                changes["agreements"].put(agreement_id, **row)
        case AgreementEnded(reason=reason, effective_at=effective_at):
            ended = {"status": "ended", "ended_at": effective_at, "end_reason": reason}
            changes["agreements"].put(agreement_id, **ended, position=event.position)
        case _:
            pass


def _referral(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case ReferralCodeIssued() as fact:
            changes["referral_codes"].insert(
                referral_code_id=event.originator_id,
                code=fact.code,
                program_id=fact.program_id,
                partner_id=fact.partner_id,
                landing_url=fact.landing_url,
                touches=0,
                **_stamp(event),
            )
        case ReferralLinkTouched(code=code):
            code_id = referral_code_id(code)
            changes["referral_codes"].add(code_id, touches=1)
            changes["referral_codes"].put(code_id, last_touched_at=event.recorded_at, position=event.position)
        case ReferralRecorded() as fact:
            changes["referrals"].insert(
                **msgspec.structs.asdict(fact), customer_id=event.originator_id, **_stamp(event)
            )
            told = {"last_partner_id": fact.partner_id, "last_referral_at": fact.effective_at}
            _customer(changes, event, fact, told, referrals=1)
        case CustomerReattributed() as fact:
            told = {
                "shares": canonical_json(fact.shares),
                "reattributed_at": fact.effective_at,
                "reattribution_reason": fact.reason,
            }
            _customer(changes, event, fact, told, referrals=0)
        case _:
            pass


def _customer(
    changes: Changes,
    event: Recorded,
    fact: ReferralRecorded | CustomerReattributed,
    told: dict[str, Any],
    *,
    referrals: int,
) -> None:
    customers, customer_id = changes["customers"], event.originator_id
    if event.originator_version == 1:
        customers.insert(
            customer_id=customer_id,
            program_id=fact.program_id,
            customer=fact.customer,
            referrals=referrals,
            **told,
            **_stamp(event),
        )
        return
    customers.put(customer_id, **told, position=event.position)
    if referrals:
        customers.add(customer_id, referrals=referrals)


def _access(changes: Changes, event: Recorded) -> None:
    match event.fact:
        case ApiKeyIssued(name=name, scopes=scopes, partner_id=partner_id, person=person):
            changes["api_keys"].insert(
                key_id=event.originator_id,
                name=name,
                scopes=canonical_json(scopes),
                partner_id=partner_id,
                person=person,
                issued_by=event.by,
                **_stamp(event),
            )
        case ApiKeyRevoked(reason=reason):
            revoked = {"revoked_at": event.recorded_at, "revoke_reason": reason}
            changes["api_keys"].put(event.originator_id, **revoked, position=event.position)
        case _:
            pass
