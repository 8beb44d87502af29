"""A statement for tests that only need one to write out."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec

from projections.statement import (
    Amounts,
    Statement,
    StatementLine,
    StatementPartner,
    StatementPayout,
    StatementPeriod,
    StatementProgram,
)
from tests.support.world import day

NOTE = "ledger.example/log\n42\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— ledger.example/log AAAA\n"


def sample_statement(lines: int = 3, **changes: Any) -> Statement:
    """January 2024 of Acme in the shop: `lines` sales of 100.00 at 20%, one late refund, one payout."""
    payout_id = UUID(int=7)
    sold = [
        _line(number, "reward_accrued", pending_minor=20_00, earned_minor=20_00) for number in range(lines)
    ]
    late = msgspec.structs.replace(
        _line(lines, "matured_reward_reversed", available_minor=-5_00, earned_minor=-5_00),
        effective_at=day(-12),
        reason="refund",
        belongs_to="2023-12",
    )
    sent = _line(
        lines + 1, "payout_reserved", available_minor=-25_00, in_transit_minor=20_00, withheld_minor=5_00
    )
    there = _line(lines + 2, "transfer_confirmed", in_transit_minor=-20_00, paid_minor=20_00)
    paid = [
        msgspec.structs.replace(
            each,
            conversion_id=None,
            source=None,
            external_id=None,
            reward_id=None,
            payout_id=payout_id,
            reason=None,
        )
        for each in (sent, there)
    ]
    whole = (*sold, late, *paid)
    opening = Amounts(available_minor=30_00, earned_minor=30_00)
    made = Statement(
        content_version=1,
        number="shop-000042",
        version=1,
        program=StatementProgram(UUID(int=1), "shop", "Shop partners", "Europe/Berlin"),
        partner=StatementPartner(UUID(int=2), "acme", "Acme Ltd", "pay@acme.example", "GB"),
        period=StatementPeriod("2024-01", day(0, hours=-1), day(31, hours=-1), day(33)),
        currency="GBP",
        opening=opening,
        closing=_sum([opening, *(line.moved for line in whole)]),
        lines=whole,
        payouts=(
            StatementPayout(
                payout_id,
                "paid",
                "stripe",
                25_00,
                5_00,
                20_00,
                reference="tr_1",
                intent_at=day(20),
                confirmed_at=day(20),
                paid_at=day(22),
            ),
        ),
        tax_withheld_minor=5_00,
        issued_at=day(33),
        issued_by="key:finance",
        issued_position=900,
        content_sha256="ab" * 32,
        checkpoint=NOTE,
    )
    return msgspec.structs.replace(made, **changes)


def _line(number: int, kind: Any, **moved: int) -> StatementLine:
    return StatementLine(
        position=100 + number,
        effective_at=day(1) + timedelta(minutes=number),
        recorded_at=day(1) + timedelta(minutes=number, seconds=1),
        kind=kind,
        moved=Amounts(**moved),
        conversion_id=UUID(int=1_000 + number),
        source="shop",
        external_id=f"order-{number}",
        reward_id=UUID(int=2_000_000 + number),
        reason="20% of 100.00 GBP for a sale (terms 1, rule 1)",
    )


def _sum(amounts: list[Amounts]) -> Amounts:
    columns = zip(*(msgspec.structs.astuple(each) for each in amounts), strict=True)
    return Amounts(*map(sum, columns))
