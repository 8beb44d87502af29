"""Partners: applied, reviewed, approved, suspended; their groups and where their money goes."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, assert_never
from uuid import UUID

import msgspec

from ledger import bank_account, checks, program, tax_forms, withholding
from ledger.bank_commands import LinkBankAccount
from ledger.commands import (
    ApplyAsPartner,
    ApprovePartner,
    AssignPartnerGroup,
    DeclinePartner,
    FileTaxForm,
    LinkPayoutAccount,
    PausePartnerPayouts,
    ReinstatePartner,
    ResumePartnerPayouts,
    ReviewPartner,
    SeePayoutAccount,
    SuspendPartner,
)
from ledger.events.bank import BankAccountLinked
from ledger.events.base import Fact
from ledger.events.partner import (
    PartnerApplied,
    PartnerApproved,
    PartnerDeclined,
    PartnerGroupAssigned,
    PartnerLocaleChanged,
    PartnerPayoutsPaused,
    PartnerPayoutsResumed,
    PartnerReinstated,
    PartnerReviewStarted,
    PartnerSuspended,
    PayoutAccountAsked,
    PayoutAccountChanged,
    PayoutAccountLinked,
    PayoutHoldCause,
    TaxForm,
    TaxFormFiled,
    WithholdingSet,
)
from ledger.partner_commands import ChangePartnerLocale
from ledger.payout_commands import SetWithholding
from ledger.refusals import AlreadyExists, IllegalTransition, NotFound, UnknownPartner

PartnerStatus = Literal["applied", "in_review", "approved", "declined", "suspended"]
StatusCommand = ReviewPartner | ApprovePartner | DeclinePartner | SuspendPartner | ReinstatePartner
HoldCommand = PausePartnerPayouts | ResumePartnerPayouts
AccountCommand = LinkPayoutAccount | LinkBankAccount | SeePayoutAccount | FileTaxForm | SetWithholding
PartnerCommand = (
    ApplyAsPartner | StatusCommand | AssignPartnerGroup | ChangePartnerLocale | AccountCommand | HoldCommand
)


class Suspension(msgspec.Struct, frozen=True):
    """A time in which nothing is earned or paid; open while `until` is None."""

    since: datetime
    until: datetime | None = None


class PartnerState(msgspec.Struct, frozen=True, kw_only=True):
    """A partner as its facts made it. `remark` is the note or reason of the last step of its status.

    `payout_holds` maps each cause for which nothing is paid to its reason; `accounts_seen` each provider to
    how an account there stood when it was last looked at. The last of `payout_accounts` is the one that was
    linked last: the money goes there. `accounts_asked` says since when one may have been made at a provider
    that nobody linked yet. `bank_accounts` maps each IBAN to what was last said of it.
    """

    reference: str
    name: str
    email: str | None
    country: str | None
    locale: str | None = None
    status: PartnerStatus = "applied"
    remark: str | None = None
    suspensions: tuple[Suspension, ...] = ()
    groups: Mapping[UUID, str] = {}
    payout_accounts: Mapping[str, str] = {}
    accounts_asked: Mapping[str, datetime] = {}
    bank_accounts: Mapping[str, BankAccountLinked] = {}
    payout_holds: Mapping[PayoutHoldCause, str] = {}
    accounts_seen: Mapping[str, PayoutAccountChanged] = {}
    tax_forms: Mapping[TaxForm, TaxFormFiled] = {}
    withholding: tuple[WithholdingSet, ...] = ()

    @property
    def provider(self) -> str | None:
        """Through whom the partner is paid: whose account was linked last."""
        return next(reversed(list(self.payout_accounts)), None)

    def account_seen(self, provider: str) -> PayoutAccountChanged | None:
        """How the account that is linked now stood; None: nobody has looked at it yet."""
        seen = self.accounts_seen.get(provider)
        linked = self.payout_accounts.get(provider)
        return seen if seen is not None and seen.destination == linked else None


INITIAL: Final[PartnerState | None] = None
_replace = msgspec.structs.replace


def evolve(state: PartnerState | None, fact: Fact) -> PartnerState | None:
    """The partner after a fact."""
    if isinstance(fact, PartnerApplied):
        return PartnerState(reference=fact.reference, name=fact.name, email=fact.email, country=fact.country)
    if state is None:
        return None
    match fact:
        case PartnerReviewStarted():
            return _replace(state, status="in_review", remark=fact.note)
        case PartnerApproved():
            return _replace(state, status="approved", remark=fact.note)
        case PartnerDeclined():
            return _replace(state, status="declined", remark=fact.reason)
        case PartnerSuspended():
            since = (*state.suspensions, Suspension(fact.effective_at))
            return _replace(state, status="suspended", remark=fact.reason, suspensions=since)
        case PartnerReinstated() if state.suspensions:
            *before, last = state.suspensions
            ended = (*before, Suspension(last.since, fact.effective_at))
            return _replace(state, status="approved", remark=fact.reason, suspensions=ended)
        case PartnerGroupAssigned():
            groups = {p: g for p, g in state.groups.items() if p != fact.program_id}
            if fact.partner_group is not None:
                groups[fact.program_id] = fact.partner_group
            return _replace(state, groups=groups)
        case PayoutAccountAsked():
            return _replace(state, accounts_asked={**state.accounts_asked, fact.provider: fact.effective_at})
        case PartnerLocaleChanged():
            return _replace(state, locale=fact.locale)
        case PayoutAccountLinked():
            return _replace(
                state,
                payout_accounts=_linked(state, fact.provider, fact.destination),
                accounts_asked={p: at for p, at in state.accounts_asked.items() if p != fact.provider},
            )
        case BankAccountLinked():
            return _replace(
                state,
                payout_accounts=_linked(state, bank_account.PROVIDER, fact.iban),
                bank_accounts={**state.bank_accounts, fact.iban: fact},
            )
        case PayoutAccountChanged():
            return _replace(state, accounts_seen={**state.accounts_seen, fact.provider: fact})
        case WithholdingSet():
            return _replace(state, withholding=(*state.withholding, fact))
        case TaxFormFiled():
            return _replace(state, tax_forms={**state.tax_forms, fact.form: fact})
        case PartnerPayoutsPaused():
            return _replace(state, payout_holds={**state.payout_holds, fact.cause: fact.reason})
        case PartnerPayoutsResumed():
            left = {cause: why for cause, why in state.payout_holds.items() if cause != fact.cause}
            return _replace(state, payout_holds=left)
        case _:
            return state


_OF_STRIPE: Final[tuple[PayoutHoldCause, ...]] = ("account_restricted", "account_closed", "account_mismatch")


def _linked(state: PartnerState, provider: str, destination: str) -> dict[str, str]:
    others = {name: account for name, account in state.payout_accounts.items() if name != provider}
    return {**others, provider: destination}


def approved_at(state: PartnerState | None, when: datetime) -> bool:
    """Whether the partner could earn at a time: approved by now, and not suspended then.

    An approval has no time of its own: it covers what came before it, as far back as the agreement does.
    """
    if state is None or state.status not in ("approved", "suspended"):
        return False
    return not any(s.since <= when and (s.until is None or when < s.until) for s in state.suspensions)


def payouts_held(state: PartnerState, provider: str = "stripe") -> str | None:
    """Why nothing is paid to the partner through a provider, in words; None where nothing holds its payouts.

    What is wrong with an account at Stripe does not concern who is paid by our bank.
    """
    aside = _OF_STRIPE if provider == bank_account.PROVIDER else ()
    held = [
        f"{why} ({cause.replace('_', ' ')})"
        for cause, why in state.payout_holds.items()
        if cause not in aside
    ]
    return "; ".join(held) or None


def ask_for_account(state: PartnerState, provider: str, now: datetime) -> list[Fact]:
    """An account is about to be made; nothing new while one may have been made already."""
    if provider in state.accounts_asked:
        return []
    return [PayoutAccountAsked(provider=provider, effective_at=now)]


def decide(
    command: PartnerCommand,
    state: PartnerState | None,
    *,
    now: datetime,
    program_state: program.ProgramState | None = None,
) -> list[Fact]:
    """The facts that grant a wish about a partner; none where it was granted before.

    `program_state` is the program that AssignPartnerGroup names.
    """
    match command:
        case ApplyAsPartner():
            return _apply(command, state)
        case AssignPartnerGroup():
            return _assign(command, known(state), program.known(program_state))
        case ChangePartnerLocale():
            return _change_locale(command, known(state))
        case LinkPayoutAccount():
            return _link(command, known(state))
        case LinkBankAccount():
            return _link_bank(command, known(state))
        case SeePayoutAccount():
            return _see(command, known(state))
        case FileTaxForm():
            return _file(command, known(state), now)
        case SetWithholding():
            return withholding.set_rate(command, known(state).withholding, now)
        case PausePartnerPayouts() | ResumePartnerPayouts():
            return _hold(command, known(state), now)
        case ReviewPartner() | ApprovePartner() | DeclinePartner() | SuspendPartner() | ReinstatePartner():
            return _step(command, known(state), now)
        case _:
            assert_never(command)


def known(state: PartnerState | None, pointer: str = "/partner_id") -> PartnerState:
    """The partner, or UnknownPartner."""
    if state is None:
        raise UnknownPartner("there is no such partner", pointer=pointer)
    return state


def _apply(command: ApplyAsPartner, state: PartnerState | None) -> list[Fact]:
    applied = PartnerApplied(
        reference=checks.reference(command.reference, "/reference"),
        name=checks.name(command.name, "/name"),
        email=checks.email(command.email, "/email"),
        country=checks.country(command.country, "/country"),
    )
    if state is None:
        return [applied]
    for field in ("name", "email", "country"):
        if getattr(state, field) != getattr(applied, field):
            raise AlreadyExists(f"partner {state.reference} exists with another {field}", pointer=f"/{field}")
    return []


class _Step(msgspec.Struct, frozen=True):
    """A step of the status: from where, to where."""

    verb: str
    sources: tuple[PartnerStatus, ...]
    target: PartnerStatus


_STEPS: Final[dict[type[StatusCommand], _Step]] = {
    ReviewPartner: _Step("be reviewed", ("applied",), "in_review"),
    ApprovePartner: _Step("be approved", ("applied", "in_review"), "approved"),
    DeclinePartner: _Step("be declined", ("applied", "in_review"), "declined"),
    SuspendPartner: _Step("be suspended", ("approved",), "suspended"),
    ReinstatePartner: _Step("be reinstated", ("suspended",), "approved"),
}


def _step(command: StatusCommand, state: PartnerState, now: datetime) -> list[Fact]:
    step = _STEPS[type(command)]
    remark = _remark(command)
    # A partner can only be reinstated again who has been before; else it is approved, not reinstated.
    taken = state.status == step.target and (
        bool(state.suspensions) or not isinstance(command, ReinstatePartner)
    )
    if taken and remark in (None, state.remark):
        return []
    if state.status not in step.sources:
        raise IllegalTransition(f"a partner that is {state.status} can't {step.verb}", status=state.status)
    match command:
        case ReviewPartner():
            return [PartnerReviewStarted(note=command.note)]
        case ApprovePartner():
            return [PartnerApproved(note=command.note)]
        case DeclinePartner():
            return [PartnerDeclined(reason=command.reason)]
        case SuspendPartner():
            return [PartnerSuspended(reason=command.reason, effective_at=now)]
        case ReinstatePartner():
            return [PartnerReinstated(reason=command.reason, effective_at=now)]
        case _:
            assert_never(command)


def _remark(command: StatusCommand) -> str | None:
    if isinstance(command, ReviewPartner | ApprovePartner):
        return checks.optional_note(command.note, "/note")
    return checks.note(command.reason, "/reason")


def _assign(
    command: AssignPartnerGroup, state: PartnerState, program_state: program.ProgramState
) -> list[Fact]:
    group = command.partner_group
    if group is not None and program.group(program_state, group) is None:
        raise NotFound(f"the program has no group {group}", pointer="/partner_group")
    if state.groups.get(command.program_id) == group:
        return []
    return [PartnerGroupAssigned(program_id=command.program_id, partner_group=group)]


def _change_locale(command: ChangePartnerLocale, state: PartnerState) -> list[Fact]:
    locale = checks.locale(command.locale, "/locale")
    return [] if locale == state.locale else [PartnerLocaleChanged(locale=locale)]


def _link(command: LinkPayoutAccount, state: PartnerState) -> list[Fact]:
    destination = checks.destination(command.provider, command.destination)
    if state.payout_accounts.get(command.provider) == destination and state.provider == command.provider:
        return []
    return [PayoutAccountLinked(provider=command.provider, destination=destination)]


def _link_bank(command: LinkBankAccount, state: PartnerState) -> list[Fact]:
    linked = state.bank_accounts.get(state.payout_accounts.get(bank_account.PROVIDER, ""))
    return bank_account.link(command, linked, is_where_money_goes=state.provider == bank_account.PROVIDER)


def _see(command: SeePayoutAccount, state: PartnerState) -> list[Fact]:
    """Nothing where it stands as before, or was looked at before the last time: that look came too late."""
    if state.payout_accounts.get(command.provider) != command.destination:
        raise NotFound("the partner has no such payout account", pointer="/destination")
    seen = PayoutAccountChanged(
        provider=command.provider,
        destination=command.destination,
        transfers_active=command.transfers_active,
        payouts_enabled=command.payouts_enabled,
        disabled_reason=command.disabled_reason,
        currently_due=command.currently_due,
        country=command.country,
        default_currency=command.default_currency,
        effective_at=command.effective_at,
    )
    last = state.account_seen(command.provider)
    if last is None:
        return [seen]
    same = _replace(seen, effective_at=last.effective_at) == last
    return [] if same or seen.effective_at < last.effective_at else [seen]


def _file(command: FileTaxForm, state: PartnerState, now: datetime) -> list[Fact]:
    signed_at = checks.effective_at(command.effective_at, now)
    filed = TaxFormFiled(
        form=command.form,
        reference=checks.reference(command.reference, "/reference"),
        effective_at=signed_at,
        expires_at=tax_forms.expires_at(command.form, signed_at),
    )
    return [] if state.tax_forms.get(command.form) == filed else [filed]


def _hold(command: HoldCommand, state: PartnerState, now: datetime) -> list[Fact]:
    held = state.payout_holds.get(command.cause)
    if isinstance(command, PausePartnerPayouts):
        reason = checks.note(command.reason, "/reason")
        if held == reason:
            return []
        return [PartnerPayoutsPaused(cause=command.cause, reason=reason, effective_at=now)]
    note = checks.optional_note(command.note, "/note")
    if held is None:
        return []
    return [PartnerPayoutsResumed(cause=command.cause, effective_at=now, note=note)]
