"""The door for many referrals at once: each with an answer of its own, all in a few transactions."""

from collections.abc import Sequence
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from ledger import checks, ids, partner, program, referral
from ledger.commands import RecordReferral
from ledger.desk import CUSTOMER, PARTNER, PROGRAM, Desk
from ledger.events.base import Fact
from ledger.refusals import ContentConflict, LostRace, Refusal
from ledger.store.application import ATTEMPTS_MAX, Change


class ReferralResult(msgspec.Struct, frozen=True):
    """What became of one referral."""

    status: Literal["new", "duplicate", "conflict", "invalid"]
    referral_id: UUID | None = None
    refusal: Refusal | None = None


Results = list[ReferralResult | None]
_Numbered = tuple[int, RecordReferral]


class ReferralIntake:
    """Records referrals by customer: what a rule needs of other streams is read once for all."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._ledger = desk.ledger

    def record(self, commands: Sequence[RecordReferral], *, by: str) -> list[ReferralResult]:
        """Record referrals; each is answered for itself, in order. The answer comes after the commit."""
        results: Results = [None] * len(commands)
        streams: dict[UUID, list[_Numbered]] = {}
        programs = self._ledger.load_many(list({c.program_id for c in commands}), PROGRAM)
        partners = self._ledger.load_many(list({p for c in commands if (p := _partner_id(c))}), PARTNER)
        for index, command in enumerate(commands):
            try:
                checks.reference(command.customer, "/customer")
                program.known(programs[command.program_id].state)
                if (partner_id := _partner_id(command)) is not None:
                    pointer = "/partner_id" if command.partner_id is not None else "/partner"
                    partner.known(partners[partner_id].state, pointer)
            except Refusal as refusal:
                results[index] = _refused(refusal)
                continue
            if command.code is not None or command.touch_id is not None:
                results[index] = self._alone(command, by)
                continue
            stream = ids.customer_id(command.program_id, command.customer)
            streams.setdefault(stream, []).append((index, command))
        self._together(streams, results, by)
        return [result for result in results if result is not None]

    def _alone(self, command: RecordReferral, by: str) -> ReferralResult:
        """One that a code or a touch names: the desk looks these up."""
        try:
            done = self._desk.execute(command, by=by)
        except Refusal as refusal:
            return _refused(refusal)
        return ReferralResult("new" if done.new else "duplicate", done.id)

    def _together(self, streams: dict[UUID, list[_Numbered]], results: Results, by: str) -> None:
        for _ in range(ATTEMPTS_MAX):
            if not streams:
                return
            loaded = self._ledger.load_many(list(streams), CUSTOMER)
            changes = []
            for stream, items in streams.items():
                facts = self._decide(items, loaded[stream].state, results)
                if facts:
                    changes.append(Change(stream, loaded[stream].version, facts))
            units = [self._ledger.stamp([change], by=by) for change in changes]
            stored = self._ledger.append_units(units) if units else []
            streams = {
                change.stream_id: streams[change.stream_id]
                for change, positions in zip(changes, stored, strict=True)
                if positions is None
            }
        for items in streams.values():
            for index, _command in items:
                results[index] = _refused(LostRace("others changed the customer at the same time"))

    def _decide(self, items: list[_Numbered], state: referral.CustomerState, results: Results) -> list[Fact]:
        facts: list[Fact] = []
        now = self._ledger.clock()
        for index, command in items:
            try:
                decided = referral.record(command, state, _UNNAMED, now=now)
                named: Any = referral.partner_of(command, _UNNAMED)
            except Refusal as refusal:
                results[index] = _refused(refusal)
                continue
            results[index] = ReferralResult(
                "new" if decided else "duplicate", referral.referral_id(command, named)
            )
            for fact in decided:
                facts.append(fact)
                state = referral.evolve_customer(state, fact)
        return facts


_UNNAMED: Final = referral.Named()


def _partner_id(command: RecordReferral) -> UUID | None:
    if command.partner_id is not None:
        return command.partner_id
    return None if command.partner is None else ids.partner_id(command.partner)


def _refused(refusal: Refusal) -> ReferralResult:
    conflict = isinstance(refusal, ContentConflict | LostRace)
    return ReferralResult("conflict" if conflict else "invalid", refusal=refusal)
