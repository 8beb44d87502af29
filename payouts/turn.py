"""A worker's turn: what it may append while it holds a lease, and the payouts that it looks at then."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple
from uuid import UUID

import sqlalchemy as sa

from ledger import ids, payout
from ledger.desk import PARTNER, PROGRAM
from ledger.events.base import Fact
from ledger.events.payout import PayoutDrafted
from ledger.partner import PartnerState
from ledger.payout import PayoutState
from ledger.payout_batch import BatchState
from ledger.program import ProgramState
from ledger.store.application import Change, Ledger
from ledger.store.database import DatabaseUnavailable
from payouts.batches import BATCH, PAYOUT
from payouts.eligibility import STRIPE
from payouts.leases import Lease, Leases
from payouts.restore_check import GATE

BY: Final = "payouts"
_NOTHING: Final[Mapping[UUID, int]] = MappingProxyType({})


class At(NamedTuple):
    """A payout as it stands, and the version of its stream that says so."""

    payout_id: UUID
    state: PayoutState
    version: int

    @property
    def draft(self) -> PayoutDrafted:
        """What was approved."""
        return payout.drafted(self.state)

    def after(self, facts: Sequence[Fact]) -> "At":
        """The payout after facts that were appended to it."""
        state = self.state
        for fact in facts:
            state = payout.evolve(state, fact)
        return At(self.payout_id, state, self.version + len(facts))


class Around(NamedTuple):
    """What payouts depend on besides their accounts: their programs, partners and batches.

    `set_aside` are those whose transfer the provider holds already. `versions` are those of all the streams
    that say so, the gate's among them: what is decided upon them holds while none has moved.
    """

    programs: dict[UUID, ProgramState | None]
    partners: dict[UUID, PartnerState | None]
    batches: dict[UUID, BatchState]
    set_aside: frozenset[UUID]
    versions: dict[UUID, int]

    def seen(self, drafts: Iterable[PayoutDrafted]) -> dict[UUID, int]:
        """The versions that decisions about these payouts were made upon."""
        streams = {id_ for draft in drafts for id_ in (draft.program_id, draft.partner_id, draft.batch_id)}
        return {stream: self.versions[stream] for stream in (*streams, ids.payout_gate_id())}

    def holds(self, draft: PayoutDrafted) -> bool:
        """Whether nothing may be sent now: the partner's payouts are held, or the batch is paused."""
        partner = self.partners[draft.partner_id]
        return (partner is not None and bool(partner.payout_holds)) or self.is_paused(draft)

    def us_source(self, draft: PayoutDrafted) -> bool:
        """Whether the program pays out income from the US."""
        program = self.programs[draft.program_id]
        return program is not None and program.payouts.us_source

    def is_paused(self, draft: PayoutDrafted) -> bool:
        """Whether no more of the payout's batch is sent now."""
        return self.batches[draft.batch_id].paused is not None


def load(ledger: Ledger, payouts: Sequence[UUID]) -> list[At]:
    """Payouts from their streams, in this order; those that nobody drafted are left out.

    So are those that another provider pays: nothing of them goes through this gateway, whatever a view says.
    """
    found = ledger.load_many(payouts, PAYOUT)
    return [
        At(payout_id, at.state, at.version)
        for payout_id, at in found.items()
        if at.state.draft is not None and at.state.draft.provider == STRIPE
    ]


def load_around(ledger: Ledger, drafts: Iterable[PayoutDrafted]) -> Around:
    """The programs, partners and batches of payouts, and which of them are set aside, from their streams."""
    of = list(drafts)
    programs = ledger.load_many(list({draft.program_id for draft in of}), PROGRAM)
    partners = ledger.load_many(list({draft.partner_id for draft in of}), PARTNER)
    batches = ledger.load_many(list({draft.batch_id for draft in of}), BATCH)
    gate = ledger.load(ids.payout_gate_id(), GATE)
    versions = {stream: at.version for found in (programs, partners, batches) for stream, at in found.items()}
    return Around(
        {program_id: at.state for program_id, at in programs.items()},
        {partner_id: at.state for partner_id, at in partners.items()},
        {batch_id: at.state for batch_id, at in batches.items()},
        gate.state.set_aside,
        versions | {ids.payout_gate_id(): gate.version},
    )


class _Moved(Exception):
    """A stream that a decision was made upon has new facts."""


class DecidedUponLost(DatabaseUnavailable):
    """A stream no longer holds the facts that a decision was made upon: the database was put back."""


class Turn:
    """Appends under a lease: each asks within its transaction whether the lease still holds."""

    def __init__(self, ledger: Ledger, leases: Leases, lease: Lease) -> None:
        self._ledger, self._leases = ledger, leases
        self.lease = lease

    def keep(self) -> None:
        """Renew the lease in time. Raises LeaseLost."""
        self.lease = self._leases.renewed(self.lease)

    def append(self, changes: Sequence[Change], *, seen: Mapping[UUID, int] = _NOTHING) -> bool:
        """Store changes, all or none; False when one lost a race. Raises LeaseLost,
        and DecidedUponLost where a stream has no event of the version that its change was decided upon.

        `seen` are the versions of other streams that the changes were decided upon: where one of them has
        moved, that is a race lost, too. Writers exclude each other, so nothing comes between the look and
        the commit.
        """
        fence = self._leases.fence(self.lease)
        upon = {change.stream_id: version for change in changes if (version := change.expected_version)}

        def check(connection: sa.Connection) -> None:
            fence(connection)
            if not self._ledger.log.holds(connection, upon):
                raise DecidedUponLost("what was decided upon is not in the log any more")
            if seen and self._ledger.log.read_tails(connection, seen):
                raise _Moved

        try:
            return self._ledger.append(changes, by=BY, within=check) is not None
        except _Moved:
            return False
