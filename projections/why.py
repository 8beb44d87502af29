"""Why a number is what it is: the facts behind a payout, a reward or a conversion, as a tree with proofs.

It is read from the facts themselves, not from the views; views only tell where to look.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import ids, payout_lines
from ledger.events.bank import BankAccountLinked
from ledger.events.base import Fact, Recorded
from ledger.events.conversion import ConversionRecorded
from ledger.events.partner import AgreementAccepted, AgreementEnded, PayoutAccountLinked, WithholdingSet
from ledger.events.payout import PayoutDrafted
from ledger.events.program import PayoutSettingsChanged, TermsVersionPublished
from ledger.events.referral import CustomerReattributed, ReferralRecorded
from ledger.events.reward import ConversionNotRewarded, RewardAccrued
from ledger.refusals import NotFound
from ledger.store.application import Ledger
from ledger.withholding import in_force
from projections import audit_log, tables
from projections.checkpoints import sizes_covering
from projections.why_words import says

LINES_MAX: Final = 200
"""Of so many lines of a payout the reasons are told in full; the others are named, to be asked for alone."""


class Proof(msgspec.Struct, frozen=True):
    """Where a fact stands in the audit log: its leaf, and the oldest checkpoint that covers it."""

    index: int
    size: int


class Because(msgspec.Struct, frozen=True, omit_defaults=True):
    """One fact, in a sentence and in its own words, and the facts that it rests on.

    `role` says what it is to the one above. `proof` is None until a checkpoint covers it.
    """

    role: str
    fact: str
    stream_id: UUID
    position: int
    recorded_at: datetime
    by: str
    says: str
    words: dict[str, Any]
    proof: Proof | None = None
    because: tuple["Because", ...] = ()


class Why:
    """Answers from one moment of the log."""

    def __init__(self, ledger: Ledger, connection: sa.Connection) -> None:
        self._ledger = ledger
        self._connection = connection
        self._known: dict[UUID, list[Recorded]] = {}
        """The streams that were read: many facts rest on the same, and many are read at once."""
        self._causes: dict[int, Recorded] = {}
        """The facts that others name as what led to them, by position."""

    def payout(self, payout_id: UUID) -> Because:
        """A payout: who approved it, where it goes, its lines with their rewards, what was sent. NotFound."""
        history = self._stream(payout_id)
        if not history or not isinstance(history[0].fact, PayoutDrafted):
            raise NotFound("no payout has this id")
        drafted, *later = history
        draft: Any = drafted.fact
        self._read([draft.batch_id, draft.partner_id, draft.program_id])
        because = [self._told("batch", each) for each in self._stream(draft.batch_id)]
        because += self._settled_before(drafted, draft)
        because += self._lines(draft)
        because += [self._told("life", each) for each in later]
        return self._proved(self._told("payout", drafted, because))

    def reward(self, reward_id: UUID) -> Because:
        """A reward: its conversion, whom it counts for, the terms, what was taken back. NotFound."""
        table = tables.rewards
        found = self._connection.execute(
            sa.select(table.c.conversion_id).where(table.c.reward_id == reward_id)
        ).scalar()
        if found is None:
            raise NotFound("no reward has this id, or the views do not show it yet")
        return self._proved(self._rewards([(found, reward_id)])[reward_id])

    def conversion(self, conversion_id: UUID) -> Because:
        """A conversion: what it earned, or why it earned nothing. Refuses with NotFound."""
        history = self._stream(conversion_id)
        if not history:
            raise NotFound("no conversion has this id")
        told = self._stream(ids.rewards_id(conversion_id))
        earned = [each.fact.reward_id for each in told if isinstance(each.fact, RewardAccrued)]
        because = [self._told("about", each) for each in history[1:]]
        because += list(self._rewards([(conversion_id, each) for each in earned]).values())
        because += self._unrewarded(history[0], told)
        if not told and isinstance(history[0].fact, ConversionRecorded):
            # Nothing was decided: the engine has not come so far, or nobody brought the customer.
            because += self._attribution(history[0])
        return self._proved(self._told("conversion", history[0], because))

    # The parts of a tree

    def _settled_before(self, drafted: Recorded, draft: PayoutDrafted) -> list[Because]:
        """Who named the account that the money goes to, and who set what is withheld, as both stood then."""
        partner, program = (
            [each for each in self._stream(stream) if each.position < drafted.position]
            for stream in (draft.partner_id, draft.program_id)
        )
        own = in_force(
            [each.fact for each in partner if isinstance(each.fact, WithholdingSet)], drafted.recorded_at
        )
        taxed = [each for each in partner if each.fact is own]
        if own is None or own.rate_bps is None:
            taxed += [each for each in program if isinstance(each.fact, PayoutSettingsChanged)][-1:]
        named = [each for each in partner if _destination(each.fact) == draft.destination]
        return [self._told("destination", each) for each in named[-1:]] + [
            self._told("withholding", each) for each in taxed
        ]

    def _lines(self, draft: PayoutDrafted) -> list[Because]:
        """The facts of the account that make the payout's amount, with the rewards that they are about."""
        log, first, last = self._ledger.log, draft.account_from_version, draft.account_to_version
        rows = log.read_span(self._connection, draft.account_id, after=first, until=last)
        span = [self._ledger.decode(row) for row in rows]
        made = {each.position for each in payout_lines.lines(span, from_version=first, to_version=last)}
        lines = [each for each in span if each.position in made]
        about: dict[UUID, UUID] = {}
        for each in lines[:LINES_MAX]:
            fact: Any = each.fact
            if getattr(fact, "reward_id", None) and getattr(fact, "conversion_id", None):
                about[fact.reward_id] = fact.conversion_id
        rewards = self._rewards([(conversion, reward) for reward, conversion in about.items()])
        return [self._told("line", each, _behind(each.fact, rewards)) for each in lines]

    def _unrewarded(self, conversion: Recorded, told: Sequence[Recorded]) -> list[Because]:
        """That nothing was earned, and why; what was earned after all stands with its reward."""
        return [
            self._told("not_rewarded", each, self._attribution(conversion))
            for each in told
            if isinstance(each.fact, ConversionNotRewarded)
            and not any(_earned_later(each, accrued) for accrued in told)
        ]

    def _rewards(self, wanted: Sequence[tuple[UUID, UUID]]) -> dict[UUID, Because]:
        """Rewards (conversion, reward) with everything that made them."""
        conversions = list(dict.fromkeys(conversion for conversion, _ in wanted))
        self._read([*conversions, *map(ids.rewards_id, conversions)])
        later = self._about_rewards([reward for _, reward in wanted])
        self._read(self._behind_rewards(conversions))
        self._read_causes(conversions, later.values())
        found = {}
        for conversion, reward in wanted:
            told = self._stream(ids.rewards_id(conversion))
            mine = [each for each in told if getattr(each.fact, "reward_id", None) == reward]
            accrued = next((each for each in mine if isinstance(each.fact, RewardAccrued)), None)
            if accrued is None:
                continue
            history = self._stream(conversion)
            because = [self._told("conversion", each) for each in history[:1]]
            because += [self._told("about", each) for each in history[1:]]
            because += self._attribution(history[0], accrued)
            because += [
                self._told("not_rewarded_before", each) for each in told if _earned_later(each, accrued)
            ]
            life = [each for each in mine if each is not accrued] + later.get(reward, [])
            because += [self._told("life", each, self._cause(each)) for each in life]
            found[reward] = self._told("reward", accrued, because)
        return found

    def _behind_rewards(self, conversions: Sequence[UUID]) -> list[UUID]:
        """The streams that the rewards of these conversions rest on: customers, agreements, programs."""
        streams = []
        for conversion in conversions:
            for each in self._stream(conversion)[:1]:
                if isinstance(each.fact, ConversionRecorded):
                    streams.append(ids.customer_id(each.fact.program_id, each.fact.customer))
            for each in self._stream(ids.rewards_id(conversion)):
                if isinstance(each.fact, RewardAccrued):
                    fact = each.fact
                    streams += [ids.agreement_id(fact.program_id, fact.partner_id), fact.program_id]
        return streams

    def _about_rewards(self, rewards: Sequence[UUID]) -> dict[UUID, list[Recorded]]:
        """The facts of money accounts about rewards: that they matured, or were taken back afterwards."""
        table = tables.journal
        asked = sa.select(table.c.position).where(table.c.reward_id.in_(rewards)).distinct()
        positions = list(self._connection.execute(asked).scalars())
        found: dict[UUID, list[Recorded]] = {}
        for row in self._ledger.log.read_at(self._connection, positions):
            recorded = self._ledger.decode(row)
            fact: Any = recorded.fact
            if recorded.originator_id != ids.rewards_id(getattr(fact, "conversion_id", None) or UUID(int=0)):
                found.setdefault(fact.reward_id, []).append(recorded)
        return found

    def _attribution(self, conversion: Recorded, accrued: Recorded | None = None) -> list[Because]:
        """Who brought the customer; with a reward also the agreement and the terms that it goes by."""
        sale = conversion.fact
        if not isinstance(sale, ConversionRecorded):
            return []
        reward = accrued.fact if accrued else None
        touches = self._stream(ids.customer_id(sale.program_id, sale.customer))
        found = [
            self._told("attribution", each)
            for each in touches
            if isinstance(each.fact, CustomerReattributed)
            or (
                isinstance(each.fact, ReferralRecorded)
                and (not isinstance(reward, RewardAccrued) or each.fact.partner_id == reward.partner_id)
            )
        ]
        if not isinstance(reward, RewardAccrued):
            return found
        agreed = self._stream(ids.agreement_id(reward.program_id, reward.partner_id))
        found += self._chosen(
            "agreement", agreed, lambda fact: isinstance(fact, AgreementAccepted | AgreementEnded)
        )
        found += self._chosen(
            "terms",
            self._stream(reward.program_id),
            lambda fact: (
                isinstance(fact, TermsVersionPublished) and fact.terms_version == reward.terms_version
            ),
        )
        return found

    def _chosen(
        self, role: str, history: Iterable[Recorded], wanted: Callable[[Fact], bool]
    ) -> list[Because]:
        return [self._told(role, each) for each in history if wanted(each.fact)]

    def _read_causes(self, conversions: Iterable[UUID], later: Iterable[Iterable[Recorded]]) -> None:
        """Read what led to the facts of these conversions' rewards, all at once."""
        told = [each for conversion in conversions for each in self._stream(ids.rewards_id(conversion))]
        told += [each for life in later for each in life]
        wanted = {position for each in told if (position := _cause_position(each))} - self._causes.keys()
        for row in self._ledger.log.read_at(self._connection, sorted(wanted)) if wanted else []:
            recorded = self._ledger.decode(row)
            self._causes[recorded.position] = recorded

    def _cause(self, recorded: Recorded) -> list[Because]:
        """What led to it: a refund, another attribution, an agreement's end."""
        cause = self._causes.get(_cause_position(recorded) or 0)
        return [] if cause is None else [self._told("cause", cause)]

    # Facts

    def _told(self, role: str, recorded: Recorded, because: Sequence[Because] = ()) -> Because:
        return Because(
            role=role,
            fact=type(recorded.fact).__name__,
            stream_id=recorded.originator_id,
            position=recorded.position,
            recorded_at=recorded.recorded_at,
            by=recorded.by,
            says=says(recorded.fact),
            words=msgspec.to_builtins(recorded.fact),
            because=tuple(because),
        )

    def _proved(self, tree: Because) -> Because:
        """The tree with the proof of each fact: all their places are looked up at once."""
        indexes = audit_log.indexes_of(self._connection, _positions(tree))
        sizes = sizes_covering(self._connection, indexes.values())
        proofs = {place: Proof(index, sizes[index]) for place, index in indexes.items() if index in sizes}
        return _with_proofs(tree, proofs)

    def _stream(self, stream_id: UUID) -> list[Recorded]:
        self._read([stream_id])
        return self._known[stream_id]

    def _read(self, stream_ids: Iterable[UUID]) -> None:
        missing = list(dict.fromkeys(each for each in stream_ids if each not in self._known))
        if missing:
            found = self._ledger.streams(self._connection, missing)
            self._known |= {each: found.get(each, []) for each in missing}


def _positions(tree: Because) -> Iterator[int]:
    yield tree.position
    for each in tree.because:
        yield from _positions(each)


def _with_proofs(tree: Because, proofs: Mapping[int, Proof]) -> Because:
    return msgspec.structs.replace(
        tree,
        proof=proofs.get(tree.position),
        because=tuple(_with_proofs(each, proofs) for each in tree.because),
    )


def _destination(fact: Fact) -> str | None:
    if isinstance(fact, PayoutAccountLinked):
        return fact.destination
    return fact.iban if isinstance(fact, BankAccountLinked) else None


def _earned_later(told: Recorded, accrued: Recorded) -> bool:
    """Whether it says that nothing was earned, before this was: by the partner it names, or by anybody."""
    nothing, reward = told.fact, accrued.fact
    return (
        isinstance(nothing, ConversionNotRewarded)
        and isinstance(reward, RewardAccrued)
        and told.position < accrued.position
        and nothing.partner_id in (None, reward.partner_id)
    )


def _cause_position(recorded: Recorded) -> int | None:
    return getattr(recorded.fact, "cause_position", None)


def _behind(fact: Any, rewards: Mapping[UUID, Because]) -> tuple[Because, ...]:
    reward = rewards.get(getattr(fact, "reward_id", None) or UUID(int=0))
    return () if reward is None else (reward,)
