"""One conversion in a step of the engine: what the pure rule decides, booked into the workspace."""

import msgspec

from ledger import account, attribution, ids
from ledger.account import Holder
from ledger.engine.directory import Directory
from ledger.engine.workspace import Conversion, Workspace
from ledger.events.reward import ConversionNotRewarded, RewardAccrued, RewardReversed
from ledger.reward import (
    Case,
    Offer,
    Piece,
    Reversal,
    TotalKey,
    cap_keys,
    counts_payment,
    payments_key,
    piece_of,
    told_word,
)
from ledger.rewarding import settle


class Settler:
    """Applies `ledger.rewarding` with the terms and agreements that the directory knows."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def settle(self, space: Workspace, entry: Conversion, cause_position: int) -> None:
        """Bring a recorded conversion's rewards to what they should be, as facts of this step."""
        case = self._case(space, entry, cause_position)
        for outcome in settle(case):
            if isinstance(outcome, RewardAccrued):
                self._accrue(space, entry, outcome, case)
            elif isinstance(outcome, Reversal):
                self._reverse(space, entry, outcome, cause_position)
            else:
                self._tell(space, entry, outcome)
        last = entry.state.last_taking
        if last is None:
            return
        for piece in list(entry.pieces.values()):
            if not piece.closed and piece.takings != last.number:
                space.keep_piece(msgspec.structs.replace(piece, takings=last.number))

    def _case(self, space: Workspace, entry: Conversion, cause_position: int) -> Case:
        sale = entry.state.recorded
        assert sale is not None
        customer = space.customers[entry.customer_id]
        attributed = attribution.attributed(customer.state, customer.binding, sale.effective_at)
        partners = [share.partner_id for share in attributed.shares] if attributed else []
        offers = {p: self._directory.offer(sale.program_id, p, sale.effective_at) for p in partners}
        totals: dict[TotalKey, int] = {}
        for partner_id, offer in offers.items():
            if isinstance(offer, Offer) and offer.counts:
                account_id = ids.account_id(sale.program_id, partner_id, sale.currency)
                keys = cap_keys(offer.terms, account_id, entry.customer_id, sale.effective_at)
                if any(counts_payment(rule, sale.kind) for rule in offer.terms.rules):
                    keys.append(payments_key(account_id, entry.customer_id))
                totals |= {key: space.total(key) for key in keys}
        pieces = tuple(entry.pieces.values())
        return Case(
            conversion_id=entry.conversion_id,
            customer_id=entry.customer_id,
            conversion=entry.state,
            pieces=pieces,
            attributed=attributed,
            offers=offers,
            terms_of={
                p.terms_version: self._directory.terms(sale.program_id, p.terms_version) for p in pieces
            },
            totals=totals,
            told=entry.told,
            cause_position=cause_position,
        )

    @staticmethod
    def _accrue(space: Workspace, entry: Conversion, fact: RewardAccrued, case: Case) -> None:
        space.append_to_rewards(entry, fact)
        piece = piece_of(fact)
        space.keep_piece(piece)
        offer = case.offers[fact.partner_id]
        assert isinstance(offer, Offer)
        if not offer.counts:
            return
        terms = offer.terms
        for key in cap_keys(terms, fact.account_id, fact.customer_id, fact.effective_at):
            space.add_total(key, fact.amount_minor)
        assert entry.state.recorded is not None
        if counts_payment(terms.rules[fact.rule], entry.state.recorded.kind):
            space.add_total(payments_key(fact.account_id, fact.customer_id), 1)

    def _reverse(self, space: Workspace, entry: Conversion, reversal: Reversal, cause_position: int) -> None:
        """Take a part of a reward back: from what is held, or from the money account once it matured."""
        piece = entry.pieces[reversal.piece.reward_id]
        kept = piece.kept_minor - reversal.amount_minor
        if reversal.amount_minor and piece.matured:
            space.append_to_account(
                piece.account_id,
                account.reverse(
                    space.accounts[piece.account_id].state,
                    _holder(piece),
                    reward_id=piece.reward_id,
                    conversion_id=piece.conversion_id,
                    amount_minor=reversal.amount_minor,
                    reason=reversal.reason,
                    effective_at=reversal.effective_at,
                    cause_position=cause_position,
                ),
            )
        elif reversal.amount_minor:
            space.append_to_rewards(
                entry,
                RewardReversed(
                    reward_id=piece.reward_id,
                    account_id=piece.account_id,
                    conversion_id=piece.conversion_id,
                    program_id=piece.program_id,
                    partner_id=piece.partner_id,
                    amount_minor=reversal.amount_minor,
                    currency=piece.currency,
                    reason=reversal.reason,
                    effective_at=reversal.effective_at,
                    cause_position=cause_position,
                ),
            )
        space.keep_piece(
            msgspec.structs.replace(piece, kept_minor=kept, closed=piece.closed or reversal.closes)
        )
        terms = self._directory.terms(piece.program_id, piece.terms_version)
        for key in cap_keys(terms, piece.account_id, piece.customer_id, piece.effective_at):
            space.add_total(key, -reversal.amount_minor)  # what is taken back leaves room under a cap
        assert entry.state.recorded is not None
        if reversal.closes and counts_payment(terms.rules[piece.rule], entry.state.recorded.kind):
            space.add_total(payments_key(piece.account_id, piece.customer_id), -1)

    @staticmethod
    def _tell(space: Workspace, entry: Conversion, fact: ConversionNotRewarded) -> None:
        space.append_to_rewards(entry, fact)
        entry.told |= {told_word(fact.partner_id, fact.reason)}

    @staticmethod
    def mature(space: Workspace, piece: Piece) -> None:
        """Move what is kept of a reward into its money account."""
        space.append_to_account(
            piece.account_id,
            account.mature(
                space.accounts[piece.account_id].state,
                _holder(piece),
                reward_id=piece.reward_id,
                conversion_id=piece.conversion_id,
                amount_minor=piece.kept_minor,
                effective_at=piece.matures_at,
            ),
        )
        space.keep_piece(msgspec.structs.replace(piece, matured=True))


def _holder(piece: Piece) -> Holder:
    return Holder(piece.program_id, piece.partner_id, piece.currency)
