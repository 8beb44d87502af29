"""Programs, partners and agreements as the engine knows them: loaded on demand, kept until they change."""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from ledger import agreement, ids, partner, program
from ledger.reward import NoOffer, Offer
from ledger.store.application import Decider, Ledger
from ledger.terms import Attribution, Terms, load_stored

KEPT_MAX: Final = 50_000

_PROGRAM: Final = Decider(program.INITIAL, program.evolve)
_PARTNER: Final = Decider(partner.INITIAL, partner.evolve)
_AGREEMENT: Final = Decider(agreement.INITIAL, agreement.evolve)


def _counts(terms: Terms) -> bool:
    """Whether running totals matter to these terms."""
    capped = terms.cap_per_customer_minor is not None or terms.cap_per_period is not None
    return capped or any(rule.duration.payments is not None for rule in terms.rules)


class Directory:
    """Looks things up as the facts stood that the engine has read."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._kept: OrderedDict[UUID, Any] = OrderedDict()
        self._terms: dict[tuple[UUID, int], Terms] = {}  # a version never changes
        self._plain: dict[tuple[int, int], tuple[datetime, Offer]] = {}
        """By program and partner, as numbers: the only offer that there ever was, and since when it holds."""

    def forget(self, stream_ids: Sequence[UUID]) -> None:
        """New facts of these streams were read: load them anew."""
        for stream_id in stream_ids:
            self._kept.pop(stream_id, None)
        self._plain.clear()

    def offer(self, program_id: UUID, partner_id: UUID, when: datetime) -> Offer | NoOffer:
        """The terms that a partner had agreed to at a time, or why there were none."""
        plain = self._plain.get((program_id.int, partner_id.int))
        if plain is not None and plain[0] <= when:
            return plain[1]
        the_partner: partner.PartnerState | None = self._load(partner_id, _PARTNER)
        if the_partner is None or the_partner.status not in ("approved", "suspended"):
            return NoOffer("partner_not_approved", "the partner is not approved")
        if not partner.approved_at(the_partner, when):
            return NoOffer("partner_suspended", "the partner was suspended at that time")
        deal = self._load(ids.agreement_id(program_id, partner_id), _AGREEMENT)
        version = agreement.terms_version_at(deal, when)
        if version is None:
            return NoOffer("no_agreement", "the partner had no agreement at that time")
        terms = self.terms(program_id, version)
        offer = Offer(version, terms, counts=_counts(terms))
        if len(deal.timeline) == 1 and not the_partner.suspensions:
            if len(self._plain) >= KEPT_MAX:
                self._plain.clear()
            self._plain[program_id.int, partner_id.int] = (deal.timeline[0].effective_at, offer)
        return offer

    def terms(self, program_id: UUID, version: int) -> Terms:
        """A version of a program's terms."""
        found = self._terms.get((program_id, version))
        if found is None:
            if len(self._terms) >= KEPT_MAX:
                self._terms.clear()
            document = self._program(program_id).terms_versions[version - 1].terms
            found = self._terms[program_id, version] = load_stored(document)
        return found

    def attribution_at(self, program_id: UUID, when: datetime) -> Attribution | None:
        """The attribution rule in force: of the newest version for everybody, else for any group."""
        in_force = [v for v in self._program(program_id).terms_versions if v.effective_at <= when]
        if not in_force:
            return None
        newest = max(in_force, key=lambda v: (v.partner_group is None, v.effective_at, v.terms_version))
        return load_stored(newest.terms).attribution

    def _program(self, program_id: UUID) -> program.ProgramState:
        state = self._load(program_id, _PROGRAM)
        assert isinstance(state, program.ProgramState)
        return state

    def _load(self, stream_id: UUID, decider: Decider[Any]) -> Any:
        if stream_id in self._kept:
            self._kept.move_to_end(stream_id)
            return self._kept[stream_id]
        state = self._kept[stream_id] = self._ledger.load(stream_id, decider).state
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return state
