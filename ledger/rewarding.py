"""What a conversion earns its partners: (facts, terms, history) → new reward facts. Pure.

`settle` compares what should stand for a conversion with what was rewarded, and says the difference as
facts. It is called whenever something changed that a conversion's rewards depend on, in log order, so
the outcome depends on the facts and not on the order in which they came.
"""

from datetime import datetime
from functools import cache
from typing import Final, Literal
from uuid import UUID

import msgspec

from ledger import ids
from ledger.conversion import Taking
from ledger.events.conversion import ConversionRecorded
from ledger.events.referral import AttributionShare
from ledger.events.reward import CapApplied, ConversionNotRewarded, ReversalReason, RewardAccrued
from ledger.money import FULL_SHARE_BPS, Money, share_minor, split_minor
from ledger.reward import (
    Case,
    NoOffer,
    Offer,
    Outcome,
    Piece,
    Reversal,
    TotalKey,
    cap_keys,
    counts_payment,
    payments_key,
    piece_of,
    told_word,
)
from ledger.terms import Rule, Terms


def settle(case: Case) -> list[Outcome]:
    """What changes for a recorded conversion; nothing when its rewards are as they should be.

    First what stands no longer is closed, so that it leaves room under caps; then what is new accrues.
    """
    shares = case.attributed.shares if case.attributed else ()
    outcome: list[Outcome] = []
    standing: dict[UUID, Piece] = {}
    for piece in case.pieces:
        if piece.closed:
            continue
        reason = _why_closed(case, piece)
        if reason is None:
            standing[piece.partner_id] = piece
        else:
            closing = Reversal(piece, piece.kept_minor, reason, case.sale.effective_at, closes=True)
            outcome.append(closing)
            case = msgspec.structs.replace(case, totals=_totals_without(case, closing))
    if not shares:
        outcome += _not_rewarded(case, None, NoOffer("not_attributed", "no touch of a partner counts for it"))
    for index, share in enumerate(shares):
        stands = standing.get(share.partner_id)
        if stands is not None:
            outcome += _takings(case, stands, index)
            continue
        accrued = _accrue(case, index, share)
        if isinstance(accrued, RewardAccrued):
            outcome.append(accrued)
            if case.conversion.last_taking is not None:
                outcome += _takings(case, piece_of(accrued), index)
        else:
            outcome += accrued
    return outcome


def _why_closed(case: Case, piece: Piece) -> ReversalReason | None:
    """Why a piece stands no longer: the conversion counts for others now, or its rule's time was over."""
    shares = case.attributed.shares if case.attributed else ()
    for index, share in enumerate(shares):
        if share.partner_id != piece.partner_id or share.share_bps != piece.share_bps:
            continue
        whole = case.sale.amount_minor
        if _gross_minor(case, index, piece.rate_bps, piece.flat_minor, whole) != piece.gross_minor:
            return "reattribution"  # the same share of another split: the odd penny went elsewhere
        assert case.attributed is not None
        rule = case.terms_of[piece.terms_version].rules[piece.rule]
        covered = rule.duration.covers(case.sale.effective_at, case.attributed.since)
        return None if covered else "duration_ended"
    return "reattribution"


def _totals_without(case: Case, closing: Reversal) -> dict[TotalKey, int]:
    """The running totals once a piece is closed: what it kept and the payment that it was."""
    piece, totals = closing.piece, dict(case.totals)
    terms = case.terms_of[piece.terms_version]
    for key in cap_keys(terms, piece.account_id, piece.customer_id, piece.effective_at):
        if key in totals:
            totals[key] -= closing.amount_minor
    payments = payments_key(piece.account_id, piece.customer_id)
    if payments in totals and counts_payment(terms.rules[piece.rule], case.sale.kind):
        totals[payments] -= 1
    return totals


def _takings(case: Case, piece: Piece, index: int) -> list[Outcome]:
    """What refunds, lost disputes and a cancellation take of a piece: each the difference that it makes."""
    outcome: list[Outcome] = []
    kept = piece.kept_minor
    for taking in case.conversion.takings_since(piece.takings):
        target = _target_minor(case, piece, index, taking)
        if target < kept:
            outcome.append(Reversal(piece, kept - target, taking.reason, taking.effective_at))
            kept = target
    return outcome


def _target_minor(case: Case, piece: Piece, index: int, taking: Taking) -> int:
    """What is kept of a piece after a taking: the frozen rate on what is left, at most what was granted."""
    if not case.conversion.stands_after(taking):
        return 0
    rest = case.conversion.rest_after(taking)
    return min(piece.granted_minor, _gross_minor(case, index, piece.rate_bps, piece.flat_minor, rest))


def _gross_minor(
    case: Case, index: int, rate_bps: int | None, flat_minor: int | None, amount_minor: int
) -> int:
    """A partner's part of what a rate (half-up) or a flat sum pays on an amount, before caps.

    The whole is rounded once and then split by largest remainder, so partners under equal terms get
    exactly the whole together. A flat sum is owed while anything of the conversion stands.
    """
    whole = flat_minor if rate_bps is None else share_minor(amount_minor, rate_bps)
    assert whole is not None
    assert case.attributed is not None
    shares = case.attributed.shares
    if len(shares) == 1:
        return whole
    # Whoever stands first in the list must not get the odd penny: the order is by partner.
    order = sorted(range(len(shares)), key=lambda i: shares[i].partner_id)
    parts = split_minor(whole, [shares[i].share_bps for i in order])
    return parts[order.index(index)]


def _accrue(case: Case, index: int, share: AttributionShare) -> RewardAccrued | list[ConversionNotRewarded]:
    """A first reward for a partner of the conversion, on its whole amount, or why there is none."""
    assert case.attributed is not None
    sale, partner_id = case.sale, share.partner_id
    offer = case.offers[partner_id]
    if isinstance(offer, NoOffer):
        return _not_rewarded(case, partner_id, offer)
    found = offer.terms.rule_for(sale.kind, sale.product)
    if found is None:
        return _not_rewarded(
            case, partner_id, NoOffer("no_rule", f"terms {offer.terms_version} pay nothing for it")
        )
    rule = offer.terms.rules[found]
    account_id = ids.account_id(sale.program_id, partner_id, sale.currency)
    ended = _ended(case, rule, account_id, case.attributed.since)
    if ended is not None:
        return _not_rewarded(case, partner_id, ended)
    gross = _gross_minor(case, index, rule.rate_bps, rule.flat_minor, sale.amount_minor)
    if gross == 0:
        return _not_rewarded(case, partner_id, NoOffer("rounds_to_zero", "the reward rounds to nothing"))
    amount, caps = _capped(case, offer.terms, account_id, gross) if offer.counts else (gross, ())
    if amount == 0:
        return _not_rewarded(case, partner_id, NoOffer("cap_used_up", "the cap was used up before"))
    number = 1 + sum(piece.partner_id == partner_id for piece in case.pieces)
    return RewardAccrued(
        reward_id=ids.reward_id(case.conversion_id, partner_id, number),
        account_id=account_id,
        conversion_id=case.conversion_id,
        program_id=sale.program_id,
        partner_id=partner_id,
        customer_id=case.customer_id,
        amount_minor=amount,
        currency=sale.currency,
        basis_minor=sale.amount_minor,
        gross_minor=gross,
        share_bps=share.share_bps,
        terms_version=offer.terms_version,
        rule=found,
        effective_at=sale.effective_at,
        matures_at=offer.terms.matures_at(sale.effective_at),
        reason=_sentence(sale, offer, rule, found, share.share_bps, caps),
        cause_position=case.cause_position,
        rate_bps=rule.rate_bps,
        flat_minor=rule.flat_minor,
        caps=caps,
    )


def _ended(case: Case, rule: Rule, account_id: UUID, since: datetime) -> NoOffer | None:
    if not rule.duration.covers(case.sale.effective_at, since):
        return NoOffer("duration_ended", f"{rule.duration.months} months since {since:%Y-%m-%d} had passed")
    if counts_payment(rule, case.sale.kind):
        used = case.totals.get(payments_key(account_id, case.customer_id), 0)
        assert rule.duration.payments is not None
        if used >= rule.duration.payments:
            return NoOffer("payments_used_up", f"all {rule.duration.payments} payments were rewarded before")
    return None


def _capped(case: Case, terms: Terms, account_id: UUID, gross: int) -> tuple[int, tuple[CapApplied, ...]]:
    """The amount that the caps leave of a gross one, and each cap that cut it."""
    amount, caps = gross, []
    for key in cap_keys(terms, account_id, case.customer_id, case.sale.effective_at):
        period = None
        if key.kind == "per_customer":
            limit = terms.cap_per_customer_minor
        else:
            assert terms.cap_per_period is not None
            limit, period = terms.cap_per_period.amount_minor, key.name
        assert limit is not None
        left = max(0, limit - case.totals.get(key, 0))
        if left < gross:
            kind: Literal["per_customer", "per_period"] = "per_period" if period else "per_customer"
            caps.append(CapApplied(kind=kind, limit_minor=limit, left_minor=left, period=period))
            amount = min(amount, left)
    return amount, tuple(caps)


def _sentence(
    sale: ConversionRecorded,
    offer: Offer,
    rule: Rule,
    index: int,
    share_bps: int,
    caps: tuple[CapApplied, ...],
) -> str:
    """The reason as a partner reads it."""
    if rule.rate_bps is not None:
        what = f"{percent(rule.rate_bps)} of {Money(sale.amount_minor, sale.currency)}"
    else:
        what = f"{Money(rule.flat_minor or 0, sale.currency)} flat"
    shared = "" if share_bps == FULL_SHARE_BPS else f", a share of {percent(share_bps)}"
    cut = "".join(
        f"; {Money(cap.left_minor, sale.currency)} of the cap of {Money(cap.limit_minor, sale.currency)}"
        f" {_CAP_WORDS[cap.kind]} were left"
        for cap in caps
    )
    return f"{what} for a {sale.kind}{shared} (terms {offer.terms_version}, rule {index + 1}){cut}"


_CAP_WORDS: Final = {"per_customer": "for this customer", "per_period": "for the period"}


@cache
def percent(bps: int) -> str:
    """Basis points for people: 2000 → 20%, 1250 → 12.5%."""
    whole, rest = divmod(bps, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + "%" if rest else f"{whole}%"


def _not_rewarded(case: Case, partner_id: UUID | None, why: NoOffer) -> list[ConversionNotRewarded]:
    if told_word(partner_id, why.reason) in case.told:
        return []
    return [
        ConversionNotRewarded(
            conversion_id=case.conversion_id,
            program_id=case.sale.program_id,
            customer_id=case.customer_id,
            reason=why.reason,
            detail=why.detail,
            effective_at=case.sale.effective_at,
            cause_position=case.cause_position,
            partner_id=partner_id,
        )
    ]
