"""The contents page: every wish and the rule that grants or refuses it. `Desk.execute` is the one way in.

Conversions come in through ledger.intake, in bulk; payouts through payouts.batches.

A handler reads what its rule needs from other streams before it appends to its own. Those may change in
between. That is harmless, since it is as if the wish had come a moment earlier: programs, partners, groups,
terms versions and codes are only ever added, and a suspension is heeded again by the engine and by payouts.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import msgspec

from ledger import access, account, agreement, checks, ids, partner, program, referral
from ledger.bank_commands import LinkBankAccount
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    AssignPartnerGroup,
    Command,
    CreatePartnerGroup,
    CreateProgram,
    DeclinePartner,
    EndAgreement,
    FileTaxForm,
    IssueApiKey,
    IssueReferralCode,
    LinkPayoutAccount,
    PausePartnerPayouts,
    PublishTerms,
    ReattributeCustomer,
    RecordReferral,
    ReinstatePartner,
    ResumePartnerPayouts,
    ReviewPartner,
    RevokeApiKey,
    SeePayoutAccount,
    SuspendPartner,
    TouchReferralLink,
    WriteOffClawback,
)
from ledger.events.base import Fact, Recorded
from ledger.partner_commands import ChangePartnerLocale
from ledger.payout_commands import ChangePayoutSettings, RecordWithholdingRemitted, SetWithholding
from ledger.refusals import WrongCurrency
from ledger.store.application import Decider, Ledger

PROGRAM: Final = Decider(program.INITIAL, program.evolve)
PARTNER: Final = Decider(partner.INITIAL, partner.evolve)
AGREEMENT: Final = Decider(agreement.INITIAL, agreement.evolve)
REFERRAL_CODE: Final = Decider(referral.CODE_INITIAL, referral.evolve_code)
TOUCH: Final = Decider(referral.TOUCH_INITIAL, referral.evolve_touch)
CUSTOMER: Final = Decider(referral.CUSTOMER_INITIAL, referral.evolve_customer)
API_KEY: Final = Decider(access.INITIAL, access.evolve)
ACCOUNT: Final = Decider(account.EMPTY, account.evolve)

S = TypeVar("S")


class Outcome(msgspec.Struct, frozen=True):
    """What became of a wish: what it is about, as it stands now.

    `id` names it and `state` is it: the stream's state, or the one version, group or referral in it that was
    asked for. `new` is False where the wish had been met before, and then nothing was `recorded`. `secret` is
    a new key's token, which nobody can be told again.
    """

    id: UUID
    state: Any
    new: bool
    recorded: tuple[Recorded, ...] = ()
    secret: str | None = None


class Desk:
    """Grants wishes, or refuses them with one of ledger.refusals."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def execute(self, command: Command, *, by: str) -> Outcome:
        """Grant a wish, asked for by `key:<id>`, `cli` or `link`; or raise the refusal."""
        return HANDLERS[type(command)](self, command, by)

    def authenticate(self, token: str) -> access.ApiKey | None:
        """The key that a token opens; None where there is none, or it was revoked.

        Anybody may name any stream here: until the secret fits, no more than its first fact is read.
        """
        parts = access.parse(token)
        if parts is None:
            return None
        first = self.ledger.first(parts.key_id)
        state = access.INITIAL if first is None else access.evolve(access.INITIAL, first.fact)
        if not access.opens(access.key(parts.key_id, state), parts.secret):
            return None
        api_key = self.api_key(parts.key_id)
        return api_key if access.opens(api_key, parts.secret) else None

    # What readers of one resource ask for

    def program(self, program_id: UUID) -> program.ProgramState | None:
        """The program of this id."""
        return self.ledger.load(program_id, PROGRAM).state

    def partner(self, partner_id: UUID) -> partner.PartnerState | None:
        """The partner of this id."""
        return self.ledger.load(partner_id, PARTNER).state

    def agreement(self, program_id: UUID, partner_id: UUID) -> agreement.AgreementState | None:
        """The agreement of a partner with a program."""
        return self.ledger.load(ids.agreement_id(program_id, partner_id), AGREEMENT).state

    def referral_code(self, code: str) -> referral.CodeState | None:
        """The code, if it was issued."""
        return self.ledger.load(ids.referral_code_id(code), REFERRAL_CODE).state

    def customer(self, program_id: UUID, customer: str) -> referral.CustomerState:
        """The referrals and reattributions of a customer, none where nothing is known."""
        return self.ledger.load(ids.customer_id(program_id, customer), CUSTOMER).state

    def api_key(self, key_id: UUID) -> access.ApiKey | None:
        """The key of this id, revoked or not."""
        return access.key(key_id, self.ledger.load(key_id, API_KEY).state)

    def append(
        self, stream_id: UUID, decider: Decider[S], decide: Callable[[S], Sequence[Fact]], by: str
    ) -> Outcome:
        """Load, decide and append on one stream; the outcome's state is the stream's."""
        loaded, recorded = self.ledger.execute(stream_id, decider, decide, by=by)
        return Outcome(stream_id, loaded.state, bool(recorded), tuple(recorded))


# Programs


def _create_program(desk: Desk, command: CreateProgram, by: str) -> Outcome:
    stream_id = ids.program_id(checks.reference(command.reference, "/reference"))
    now = desk.ledger.clock()
    return desk.append(stream_id, PROGRAM, lambda state: program.decide(command, state, now=now), by)


def _publish_terms(desk: Desk, command: PublishTerms, by: str) -> Outcome:
    now = desk.ledger.clock()
    done = desk.append(command.program_id, PROGRAM, lambda state: program.decide(command, state, now=now), by)
    return msgspec.structs.replace(done, state=program.published(program.known(done.state), command))


def _create_partner_group(desk: Desk, command: CreatePartnerGroup, by: str) -> Outcome:
    now = desk.ledger.clock()
    done = desk.append(command.program_id, PROGRAM, lambda state: program.decide(command, state, now=now), by)
    group = program.group(program.known(done.state), command.partner_group)
    return msgspec.structs.replace(done, state=group)


def _change_payouts(desk: Desk, command: program.PayoutsCommand, by: str) -> Outcome:
    now = desk.ledger.clock()
    return desk.append(command.program_id, PROGRAM, lambda state: program.decide(command, state, now=now), by)


# Partners and agreements


def _apply_as_partner(desk: Desk, command: ApplyAsPartner, by: str) -> Outcome:
    stream_id = ids.partner_id(checks.reference(command.reference, "/reference"))
    now = desk.ledger.clock()
    return desk.append(stream_id, PARTNER, lambda state: partner.decide(command, state, now=now), by)


def _change_partner(
    desk: Desk,
    command: partner.StatusCommand | partner.HoldCommand | partner.AccountCommand | ChangePartnerLocale,
    by: str,
) -> Outcome:
    now = desk.ledger.clock()
    return desk.append(command.partner_id, PARTNER, lambda state: partner.decide(command, state, now=now), by)


def _assign_partner_group(desk: Desk, command: AssignPartnerGroup, by: str) -> Outcome:
    now, program_state = desk.ledger.clock(), desk.program(command.program_id)
    return desk.append(
        command.partner_id,
        PARTNER,
        lambda state: partner.decide(command, state, now=now, program_state=program_state),
        by,
    )


def _change_agreement(desk: Desk, command: AcceptAgreement | EndAgreement, by: str) -> Outcome:
    now = desk.ledger.clock()
    program_state, partner_state = desk.program(command.program_id), desk.partner(command.partner_id)
    return desk.append(
        ids.agreement_id(command.program_id, command.partner_id),
        AGREEMENT,
        lambda state: agreement.decide(
            command, state, now=now, program_state=program_state, partner_state=partner_state
        ),
        by,
    )


# Referrals


def _issue_referral_code(desk: Desk, command: IssueReferralCode, by: str) -> Outcome:
    checks.code(command.code, "/code")
    program.known(desk.program(command.program_id))
    partner.known(desk.partner(command.partner_id))
    return desk.append(
        ids.referral_code_id(command.code),
        REFERRAL_CODE,
        lambda state: referral.issue_code(command, state),
        by,
    )


def _touch_referral_link(desk: Desk, command: TouchReferralLink, by: str) -> Outcome:
    code_state = desk.referral_code(checks.code(command.code, "/code"))
    return desk.append(command.touch_id, TOUCH, lambda state: referral.touch(command, state, code_state), by)


def _record_referral(desk: Desk, command: RecordReferral, by: str) -> Outcome:
    now = desk.ledger.clock()
    checks.reference(command.customer, "/customer")
    program.known(desk.program(command.program_id))
    named = _named(desk, command)
    partner_id = referral.partner_of(command, named)
    pointer = "/partner" if command.partner_id is None and command.partner is not None else "/partner_id"
    partner.known(desk.partner(partner_id), pointer)
    done = desk.append(
        ids.customer_id(command.program_id, command.customer),
        CUSTOMER,
        lambda state: referral.record(command, state, named, now=now),
        by,
    )
    referral_id = referral.referral_id(command, partner_id)
    return msgspec.structs.replace(done, id=referral_id, state=done.state.referrals[referral_id])


def _named(desk: Desk, command: RecordReferral) -> referral.Named:
    code = None if command.code is None else desk.referral_code(checks.code(command.code, "/code"))
    if command.touch_id is None:
        return referral.Named(code=code)
    touch, touched_at = referral.TOUCH_INITIAL, None
    for recorded in desk.ledger.history(command.touch_id):
        touch, touched_at = referral.evolve_touch(touch, recorded.fact), recorded.recorded_at
    return referral.Named(code=code, touch=touch, touched_at=touched_at)


def _reattribute_customer(desk: Desk, command: ReattributeCustomer, by: str) -> Outcome:
    now = desk.ledger.clock()
    program.known(desk.program(command.program_id))
    partners = desk.ledger.load_many([share.partner_id for share in command.shares], PARTNER)
    for index, share in enumerate(command.shares):
        partner.known(partners[share.partner_id].state, f"/shares/{index}/partner_id")
    return desk.append(
        ids.customer_id(command.program_id, checks.reference(command.customer, "/customer")),
        CUSTOMER,
        lambda state: referral.reattribute(command, state, now=now),
        by,
    )


# Money


def _write_off_clawback(desk: Desk, command: WriteOffClawback, by: str) -> Outcome:
    now = desk.ledger.clock()
    program_state = program.known(desk.program(command.program_id))
    partner.known(desk.partner(command.partner_id))
    if command.currency != program_state.currency:
        raise WrongCurrency(f"the program is in {program_state.currency}", pointer="/currency")
    amount = checks.amount_minor(command.amount_minor, "/amount_minor")
    reason = checks.note(command.reason, "/reason")
    holder = account.Holder(command.program_id, command.partner_id, command.currency)
    return desk.append(
        ids.account_id(command.program_id, command.partner_id, command.currency),
        ACCOUNT,
        lambda state: account.write_off(
            state,
            holder,
            write_off_id=command.write_off_id,
            amount_minor=amount,
            reason=reason,
            effective_at=now,
        ),
        by,
    )


# Access


def _issue_api_key(desk: Desk, command: IssueApiKey, by: str) -> Outcome:
    if command.partner_id is not None:
        partner.known(desk.partner(command.partner_id))
    key_id, secret = uuid4(), access.new_secret()
    done = desk.append(key_id, API_KEY, lambda state: access.issue(command, state, secret=secret), by)
    return msgspec.structs.replace(
        done, state=access.key(key_id, done.state), secret=access.token(key_id, secret)
    )


def _revoke_api_key(desk: Desk, command: RevokeApiKey, by: str) -> Outcome:
    done = desk.append(command.key_id, API_KEY, lambda state: access.revoke(command, state), by)
    return msgspec.structs.replace(done, state=access.key(command.key_id, done.state))


HANDLERS: Final[dict[type[Command], Callable[[Desk, Any, str], Outcome]]] = {
    CreateProgram: _create_program,
    PublishTerms: _publish_terms,
    CreatePartnerGroup: _create_partner_group,
    ChangePayoutSettings: _change_payouts,
    RecordWithholdingRemitted: _change_payouts,
    ApplyAsPartner: _apply_as_partner,
    ReviewPartner: _change_partner,
    ApprovePartner: _change_partner,
    DeclinePartner: _change_partner,
    SuspendPartner: _change_partner,
    ReinstatePartner: _change_partner,
    AssignPartnerGroup: _assign_partner_group,
    ChangePartnerLocale: _change_partner,
    LinkPayoutAccount: _change_partner,
    LinkBankAccount: _change_partner,
    SetWithholding: _change_partner,
    SeePayoutAccount: _change_partner,
    FileTaxForm: _change_partner,
    PausePartnerPayouts: _change_partner,
    ResumePartnerPayouts: _change_partner,
    AcceptAgreement: _change_agreement,
    EndAgreement: _change_agreement,
    IssueReferralCode: _issue_referral_code,
    TouchReferralLink: _touch_referral_link,
    RecordReferral: _record_referral,
    ReattributeCustomer: _reattribute_customer,
    WriteOffClawback: _write_off_clawback,
    IssueApiKey: _issue_api_key,
    RevokeApiKey: _revoke_api_key,
}
"""Wish → the rule that grants or refuses it."""
