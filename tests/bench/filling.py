"""Fills a log with sales that earned and matured, faster than the engine would: for what only reads it."""

from datetime import timedelta
from uuid import UUID

from ledger import ids
from ledger.events.account import RewardMatured
from ledger.events.conversion import ConversionRecorded
from ledger.events.reward import RewardAccrued
from ledger.store.application import Change
from tests.bench.place import EFFECTIVE_AT, PARTNERS, Place, customer_of

_SALES_AT_ONCE = 3_000


def fill(place: Place, sales: int) -> None:
    """Append this many sales, each with its reward accrued and matured: three facts a sale."""
    program = place.world.program_id
    partners = [ids.partner_id(f"filled-{number}") for number in range(PARTNERS)]
    versions = [0] * PARTNERS
    changes: list[Change] = []
    for number in range(sales):
        owner = number % PARTNERS
        changes += _sale(place, program, partners[owner], versions[owner], number)
        versions[owner] += 1
        if len(changes) >= _SALES_AT_ONCE * 3 or number == sales - 1:
            place.world.ledger.append(changes, by="engine")
            changes = []


def _sale(place: Place, program: UUID, partner: UUID, version: int, number: int) -> list[Change]:
    name, customer = f"filled-{number}", customer_of(number % PARTNERS, number % 5)
    conversion = ids.conversion_id(program, "bench", name)
    account = ids.account_id(program, partner, "GBP")
    reward = ids.reward_id(conversion, partner, 1)
    at = EFFECTIVE_AT - timedelta(seconds=number)
    amount = 10_000 + number % 9_000
    recorded = ConversionRecorded(
        program_id=program,
        source="bench",
        external_id=name,
        kind="sale",
        customer=customer,
        amount_minor=amount,
        currency="GBP",
        effective_at=at,
    )
    accrued = RewardAccrued(
        reward_id=reward,
        account_id=account,
        conversion_id=conversion,
        program_id=program,
        partner_id=partner,
        customer_id=ids.customer_id(program, customer),
        amount_minor=amount // 5,
        currency="GBP",
        basis_minor=amount,
        gross_minor=amount // 5,
        share_bps=10_000,
        terms_version=1,
        rule=0,
        effective_at=at,
        matures_at=at,
        reason="20% for a sale (terms 1, rule 1)",
        cause_position=1,
        rate_bps=2_000,
    )
    matured = RewardMatured(
        reward_id=reward,
        conversion_id=conversion,
        program_id=program,
        partner_id=partner,
        amount_minor=amount // 5,
        currency="GBP",
        effective_at=at,
    )
    return [
        Change(conversion, 0, [recorded]),
        Change(ids.rewards_id(conversion), 0, [accrued]),
        Change(account, version, [matured]),
    ]
