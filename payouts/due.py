"""Who is due what: all that is payable on each account, less taxes; and who is left out, and why."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from ledger import account, agreement, bank_account, ids, payout, program, terms, withholding
from ledger.commands import DraftPayouts
from ledger.desk import AGREEMENT, PARTNER
from ledger.engine.snapshots import ONLY_NOW, accounts_now
from ledger.events.payout import PayoutDrafted, PayoutProvider
from ledger.partner import PartnerState
from ledger.store.application import Decider, Ledger
from payouts import candidates
from payouts.currencies import to_stripe_minor
from payouts.eligibility import obstacles
from payouts.outcomes import UnsendableIntent

PAYOUT: Final = Decider(payout.NO_PAYOUT, payout.evolve)

PROVIDERS: Final[tuple[PayoutProvider, ...]] = ("stripe", "bank")
"""Through whom a partner can be paid: through the one whose account was linked last."""
_ACCOUNTS_AT_ONCE: Final = 100
"""Accounts that are held in memory together while a batch is drafted, without their histories."""


class Skipped(msgspec.Struct, frozen=True):
    """A partner with money available that a batch leaves out, and why."""

    partner_id: UUID
    reason: str
    available_minor: int


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch is drafted for: who wants it, of which program, and when."""

    command: DraftPayouts
    program: program.ProgramState
    by: str
    now: datetime

    @property
    def minimum_minor(self) -> int:
        """The least that a payout pays, whatever the partner's terms say."""
        return max(self.command.minimum_minor or 0, self.program.payouts.minimum_minor or 0, 1)


def drafts(ledger: Ledger, asked: Asked) -> tuple[dict[UUID, PayoutDrafted], list[Skipped]]:
    """What each candidate is due by its own account, and who is left out.

    An account is the engine's snapshot and what was appended since: however much a partner ever earned,
    drafting reads no more than that. The draft holds the version that it stands for.
    """
    program_id = asked.command.program_id
    with ledger.database.read() as connection:
        partners = candidates.partners_with_available(connection, program_id, asked.program.currency)
        maybe_open = candidates.payouts_of_program(connection, program_id, payout.OPEN)
    states = (at.state for at in ledger.load_many(maybe_open, PAYOUT).values())
    open_accounts = {s.draft.account_id for s in states if s.draft and s.status in payout.OPEN}
    drafted: dict[UUID, PayoutDrafted] = {}
    skipped: list[Skipped] = []
    for start in range(0, len(partners), _ACCOUNTS_AT_ONCE):
        due = _due(ledger, asked, partners[start : start + _ACCOUNTS_AT_ONCE])
        before = _last_drafts(ledger, due)
        for one in due:
            reason = one.reason_to_skip(open_accounts)
            if reason is not None:
                skipped.append(Skipped(one.partner_id, reason, one.money.payable_minor))
                continue
            payout_id = ids.payout_id(asked.command.batch_id, one.account_id)
            drafted[payout_id] = one.draft(before.get(one.account_id))
    return drafted, skipped


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate: its account as it stands, and what its partner, its terms and its program say."""

    asked: Asked
    partner_id: UUID
    account_id: UUID
    money: account.AccountState
    version: int
    partner: PartnerState | None
    terms_minimum_minor: int | None

    @property
    def provider(self) -> PayoutProvider:
        """Through whom it is paid."""
        linked = self.partner.provider if self.partner else None
        return next((each for each in PROVIDERS if each == linked), PROVIDERS[0])

    @property
    def withheld(self) -> withholding.Withheld:
        """What is kept back as tax."""
        assert self.partner is not None
        seen = self.partner.account_seen(self.provider)
        country = self.partner.country or (seen.country if seen else None)
        settings, now = self.asked.program.payouts, self.asked.now
        rate_bps = withholding.rate_bps(self.partner.withholding, country, settings, now)
        return withholding.withhold(self.money.payable_minor, rate_bps)

    def reason_to_skip(self, open_accounts: set[UUID]) -> str | None:
        """Why nothing is paid now; None: the payable amount is due."""
        if self.partner is None:
            return "the partner is unknown"
        found = obstacles(
            self.partner,
            self.provider,
            now=self.asked.now,
            us_source=self.asked.program.payouts.us_source,
        )
        reasons = [
            f"the partner's payouts are held: {each.detail}" if each.code == "payouts_held" else each.detail
            for each in found
        ]
        if reasons:
            return "; ".join(reasons)
        if self.terms_minimum_minor is None:
            return "the partner has accepted no terms of the program"
        if self.account_id in open_accounts:
            return "an earlier payout is open"
        minimum = max(self.terms_minimum_minor, self.asked.minimum_minor)
        if self.money.payable_minor < minimum:
            return f"less than the minimum of {minimum} is payable"
        return self._unsendable(self.partner)

    def _unsendable(self, of: PartnerState) -> str | None:
        """Why the account or the provider can't take what is left after taxes."""
        currency, seen = self.asked.program.currency, of.account_seen(self.provider)
        takes = seen.default_currency if seen else None
        if takes is not None and takes.upper() != currency:
            return f"its account takes {takes.upper()}, and the program pays {currency}"
        if self.withheld.net_minor == 0:
            return "nothing is left of it once the tax is withheld"
        if self.provider == bank_account.PROVIDER:
            return self._out_of_sepa()
        if self.provider == "stripe":
            try:
                to_stripe_minor(self.withheld.net_minor, currency)
            except UnsendableIntent as unsendable:
                return str(unsendable)
        return None

    def _out_of_sepa(self) -> str | None:
        """Why no SEPA transfer can move it."""
        currency, net_minor = self.asked.program.currency, self.withheld.net_minor
        if currency != bank_account.CURRENCY:
            return (
                f"it is paid to a bank account, in {bank_account.CURRENCY}, and the program pays {currency}"
            )
        if net_minor > bank_account.AMOUNT_MINOR_MAX:
            return f"{net_minor} minor units are more than one SEPA transfer moves"
        return None

    def draft(self, before: PayoutDrafted | None) -> PayoutDrafted:
        """All that is payable at the account's version; the lines begin where the last payout's ended."""
        assert self.partner is not None
        withheld = self.withheld
        return PayoutDrafted(
            batch_id=self.asked.command.batch_id,
            program_id=self.asked.command.program_id,
            partner_id=self.partner_id,
            account_id=self.account_id,
            account_from_version=before.account_to_version if before else 0,
            account_to_version=self.version,
            amount_minor=self.money.payable_minor,
            currency=self.asked.program.currency,
            destination=self.partner.payout_accounts[self.provider],
            made_by=self.asked.by,
            provider=self.provider,
            withheld_minor=withheld.withheld_minor,
            withholding_bps=withheld.rate_bps,
            hash_version=payout.HASH_VERSION,
        )


def _due(ledger: Ledger, asked: Asked, partners: Sequence[UUID]) -> list[_Due]:
    program_id, currency = asked.command.program_id, asked.program.currency
    accounts = {p: ids.account_id(program_id, p, currency) for p in partners}
    agreements = {p: ids.agreement_id(program_id, p) for p in partners}
    with ledger.database.read() as connection:
        found = accounts_now(ledger, connection, dict.fromkeys(accounts.values(), ONLY_NOW))
    known = ledger.load_many(partners, PARTNER)
    agreed = ledger.load_many(list(agreements.values()), AGREEMENT)
    return [
        _Due(
            asked=asked,
            partner_id=partner_id,
            account_id=account_id,
            money=found[account_id].state,
            version=found[account_id].version,
            partner=known[partner_id].state,
            terms_minimum_minor=_minimum_minor(
                asked.program, agreed[agreements[partner_id]].state, asked.now
            ),
        )
        for partner_id, account_id in accounts.items()
        if found[account_id].version
    ]


def _last_drafts(ledger: Ledger, due: Sequence[_Due]) -> Mapping[UUID, PayoutDrafted]:
    """For each account the draft of the last payout that still holds its money, where there is one."""
    held = {one.account_id: last for one in due if (last := one.money.last_held)}
    loaded = ledger.load_many(list(held.values()), PAYOUT)
    found = {account_id: loaded[payout_id].state.draft for account_id, payout_id in held.items()}
    return {account_id: drafted for account_id, drafted in found.items() if drafted}


def _minimum_minor(
    of: program.ProgramState, agreed: agreement.AgreementState | None, now: datetime
) -> int | None:
    """The minimum of the terms that the partner accepted: those of now, after the end the last ones."""
    number = agreement.terms_version_at(agreed, now)
    if number is None:
        accepted = [s for s in agreed.timeline if isinstance(s, agreement.Acceptance)] if agreed else []
        if not accepted:
            return None
        number = accepted[-1].terms_version
    version = program.terms_version(of, number)
    return terms.load_stored(version.terms).minimum_payout_minor if version else None
