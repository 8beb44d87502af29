"""A fact in one sentence, for whoever asks why. The fact's own words stand beside it."""

import re
from collections.abc import Callable
from typing import Any, Final

from ledger.events import account, bank, conversion, partner, payout, program, referral, reward
from ledger.events.base import Fact
from ledger.money import Money

_WORDS: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")


def says(fact: Fact) -> str:
    """The fact in a sentence; amounts with their decimals and currency."""
    say = _SENTENCES.get(type(fact))
    return say(fact) if say is not None else _plainly(fact)


def _plainly(fact: Any) -> str:
    """A fact without a sentence of its own, by its name, amount and reason."""
    said = _WORDS.sub(" ", type(fact).__name__).capitalize()
    if hasattr(fact, "amount_minor") and hasattr(fact, "currency"):
        said += f": {Money(fact.amount_minor, fact.currency)}"
    reason = getattr(fact, "reason", None)
    return f"{said} ({reason})" if reason else said


def _amount(fact: Any) -> Money:
    return Money(fact.amount_minor, fact.currency)


def _day(fact: Any) -> str:
    return str(fact.effective_at.date())


def _shares(fact: referral.CustomerReattributed) -> str:
    shares = ", ".join(f"{share.share_bps / 100:g}% for {share.partner_id}" for share in fact.shares)
    return f"Finance decided that the customer counts {shares or 'for nobody'} from {_day(fact)} on"


def _matured_reversed(fact: account.MaturedRewardReversed) -> str:
    taken = Money(fact.payable_minor + fact.clawback_minor, fact.currency)
    owed = Money(fact.clawback_minor, fact.currency)
    return f"{taken} taken back ({fact.reason}), {owed} of it after it was paid"


def _drafted(fact: payout.PayoutDrafted) -> str:
    gross, withheld = Money(fact.amount_minor, fact.currency), Money(fact.withheld_minor, fact.currency)
    return f"{gross} for the partner, {withheld} of it withheld as tax; to {fact.provider} {fact.destination}"


def _rate(rate_bps: int | None) -> str:
    return "What the program says of the country" if rate_bps is None else f"{rate_bps / 100:g}% of tax"


def _settings(fact: program.PayoutSettingsChanged) -> str:
    rates = ", ".join(f"{each.rate_bps / 100:g}% of tax in {each.country}" for each in fact.withholding)
    return f"How the program pays out from {_day(fact)} on: {rates or 'no tax'} is withheld"


_SENTENCES: Final[dict[type[Fact], Callable[[Any], str]]] = {
    conversion.ConversionRecorded: lambda f: (
        f"A {f.kind} of {_amount(f)} on {_day(f)}, told by {f.source} as {f.external_id}"
    ),
    conversion.ConversionRefunded: lambda f: f"{_amount(f)} refunded on {_day(f)} ({f.refund_id})",
    reward.RewardAccrued: lambda f: f"{_amount(f)}: {f.reason}",
    reward.RewardReversed: lambda f: f"{_amount(f)} taken back while held ({f.reason})",
    reward.ConversionNotRewarded: lambda f: f"Nothing was earned: {f.detail}",
    account.RewardMatured: lambda f: f"{_amount(f)} can be paid since {_day(f)}: the holding period ended",
    account.MaturedRewardReversed: _matured_reversed,
    referral.ReferralRecorded: lambda f: f"The partner brought the customer by {f.via} on {_day(f)}",
    referral.CustomerReattributed: _shares,
    partner.PayoutAccountLinked: lambda f: f"The partner's money goes to {f.provider} {f.destination}",
    bank.BankAccountLinked: lambda f: (
        f"The partner's money goes to the bank account {f.iban} of {f.holder_name}"
    ),
    partner.WithholdingSet: lambda f: f"{_rate(f.rate_bps)} is withheld from {_day(f)} on ({f.reason})",
    program.PayoutSettingsChanged: _settings,
    partner.AgreementAccepted: lambda f: f"The partner accepted terms version {f.terms_version}",
    program.TermsVersionPublished: lambda f: f"Terms version {f.terms_version}, in force from {_day(f)}",
    payout.PayoutBatchDrafted: lambda f: (
        f"{f.made_by} drafted {len(f.payout_ids)} payouts of {Money(f.total_minor, f.currency)}"
    ),
    payout.PayoutBatchChecked: lambda f: f"{f.checked_by} checked the batch first",
    payout.PayoutBatchApproved: lambda f: f"{f.approved_by} approved the batch as it stood",
    payout.PayoutDrafted: _drafted,
    payout.PayoutIntentRecorded: lambda f: (
        f"Attempt {f.attempt} recorded before it was sent: {f.idempotency_key}"
    ),
    payout.TransferConfirmed: lambda f: (
        f"{Money(f.net_minor, f.currency)} left by attempt {f.attempt}: {f.transfer_id}"
    ),
    payout.PayoutPaid: lambda f: f"It reached the partner's bank on {_day(f)}",
}
