"""The directory: the last thing told about programs, partners, codes, customers and keys."""

from typing import Any
from uuid import uuid4

import pytest

from ledger import ids
from ledger.events.access import ApiKeyIssued, ApiKeyRevoked
from ledger.events.partner import (
    AgreementAccepted,
    AgreementEnded,
    PartnerApplied,
    PartnerApproved,
    PartnerGroupAssigned,
    PartnerPayoutsPaused,
    PartnerPayoutsResumed,
    PartnerSuspended,
    PayoutAccountLinked,
)
from ledger.events.program import PartnerGroupCreated, ProgramCreated, TermsVersionPublished
from ledger.events.referral import (
    AttributionShare,
    CustomerReattributed,
    ReferralCodeIssued,
    ReferralLinkTouched,
    ReferralRecorded,
)
from projections import queries, tables
from projections.rebuild import rebuild
from projections.runner import Runner
from tests.projections.world import PROGRAM, day, partner

CUSTOMER = ids.customer_id(PROGRAM, "initech")
AGREEMENT = ids.agreement_id(PROGRAM, partner(1))
KEY = uuid4()


def referral(number):
    return ReferralRecorded(
        referral_id=ids.referral_id(CUSTOMER, str(number)),
        program_id=PROGRAM,
        customer="initech",
        partner_id=partner(number),
        via="registration",
        effective_at=day(number),
    )


def accepted(version):
    return AgreementAccepted(
        program_id=PROGRAM,
        partner_id=partner(1),
        terms_version=version,
        accepted_by="ann",
        effective_at=day(version),
    )


@pytest.fixture(params=[1, 1_000])
def told(world, ledger, request):
    """A directory's worth of facts, projected one by one or all together."""
    program = ProgramCreated(
        reference="retail", name="Retail", type="revenue_share", currency="GBP", goals=("grow",)
    )
    world.add(PROGRAM, program)
    terms = TermsVersionPublished(terms_version=1, terms={"b": 1, "a": [2]}, effective_at=day(0))
    world.add(PROGRAM, terms, PartnerGroupCreated(partner_group="gold", name="Gold"), by="cli")
    world.add(partner(1), PartnerApplied(reference="acme", name="Acme", country="GB"))
    world.add(partner(1), PartnerApproved(note="fine"))
    world.add(partner(1), PartnerGroupAssigned(program_id=PROGRAM, partner_group="gold"))
    world.add(partner(1), PayoutAccountLinked(provider="stripe", destination="acct_1"))
    audit = PartnerPayoutsPaused(cause="finance", reason="audit", effective_at=day(1))
    closed = PartnerPayoutsPaused(cause="account_closed", reason="closed by Stripe", effective_at=day(2))
    world.add(partner(1), audit, closed, PartnerPayoutsResumed(cause="finance", effective_at=day(3)))
    world.add(AGREEMENT, accepted(1))
    world.add(AGREEMENT, AgreementEnded(reason="renewal", effective_at=day(2)))
    world.add(AGREEMENT, accepted(2))
    code: dict[str, Any] = {"code": "ACME10", "program_id": PROGRAM, "partner_id": partner(1)}
    world.add(ids.referral_code_id("ACME10"), ReferralCodeIssued(**code))
    for _ in range(3):
        world.add(uuid4(), ReferralLinkTouched(**code), by="link")
    world.add(CUSTOMER, referral(1))
    world.add(CUSTOMER, referral(2))
    shares = (AttributionShare(partner_id=partner(1), share_bps=10_000),)
    world.add(
        CUSTOMER,
        CustomerReattributed(
            program_id=PROGRAM, customer="initech", shares=shares, effective_at=day(5), reason="agreed"
        ),
    )
    issued = ApiKeyIssued(name="shop", scopes=("conversions:write",), secret_sha256="f" * 64)
    world.add(KEY, issued, by="cli")
    world.add(KEY, ApiKeyRevoked(reason="rotated"))
    Runner(ledger, batch_events=request.param).catch_up()


def test_the_directory_holds_what_was_told_last(told, ledger):
    """Each thing as it is now, with what belongs to it."""
    program: Any
    terms: Any
    found: Any
    code: Any
    customer: Any
    with ledger.database.read() as connection:
        program = queries.program_by_reference(connection, "retail")
        terms = queries.terms_version(connection, PROGRAM, 1)
        found = queries.partner(connection, partner(1))
        code = queries.referral_code(connection, ids.referral_code_id("ACME10"))
        customer = queries.customer(connection, CUSTOMER)

    assert (program["goals"], program["terms_version"], program["currency"]) == (["grow"], 1, "GBP")
    assert (terms["terms"], terms["published_by"]) == ({"a": [2], "b": 1}, "cli")
    assert (found["status"], found["status_note"], found["destination"]) == ("approved", "fine", "acct_1")
    held = {partner(1): [{"cause": "account_closed", "reason": "closed by Stripe"}]}
    assert found["payout_holds"] == held[partner(1)]
    with ledger.database.read() as connection:
        assert queries.payout_holds(connection, [partner(1), partner(2)]) == held
    assert found["groups"] == [{"program_id": PROGRAM, "partner_group": "gold"}]
    (agreement,) = found["agreements"]
    assert (agreement["terms_version"], agreement["status"], agreement["ended_at"]) == (2, "active", None)
    assert code["touches"] == 3
    assert code["last_touched_at"] is not None
    assert (customer["referral_count"], customer["last_partner_id"]) == (2, partner(2))
    assert customer["shares"] == [{"partner_id": str(partner(1)), "share_bps": 10_000}]
    assert [row["partner_id"] for row in customer["referrals"]] == [partner(1), partner(2)]


def test_a_key_is_shown_without_its_hash(told, ledger, rows):
    """Nothing in any view of the directory could be tried against a secret."""
    key: Any
    with ledger.database.read() as connection:
        key = queries.api_key(connection, KEY)

    assert (key["scopes"], key["issued_by"], key["revoke_reason"]) == (
        ["conversions:write"],
        "cli",
        "rotated",
    )
    assert "f" * 64 not in str(rows(tables.api_keys))


def test_lists_find_what_is_asked_for(told, world, ledger):
    """By status, by group, by program, by code's partner, by whether a key is open."""
    world.add(partner(2), PartnerApplied(reference="beta", name="Beta"))
    world.add(partner(1), PartnerSuspended(reason="audit", effective_at=day(9)))
    Runner(ledger).catch_up()

    def references(**filters):
        with ledger.database.read() as connection:
            return [row["reference"] for row in queries.list_partners(connection, **filters).rows]

    assert references() == ["acme", "beta"]
    assert references(status="suspended") == ["acme"]
    assert references(partner_group="gold", program_id=PROGRAM) == ["acme"]
    assert references(program_id=PROGRAM) == ["acme"]
    with ledger.database.read() as connection:
        assert [row["key_id"] for row in queries.list_api_keys(connection, revoked=True).rows] == [KEY]
        assert queries.list_api_keys(connection, revoked=False).rows == []
        assert len(queries.list_referrals(connection, partner_id=partner(2)).rows) == 1
        assert len(queries.list_customers(connection, program_id=PROGRAM).rows) == 1
        assert len(queries.list_agreements(connection, status="active").rows) == 1
        assert len(queries.list_referral_codes(connection, partner_id=partner(1)).rows) == 1
        assert len(queries.list_programs(connection).rows) == 1
        assert len(queries.list_terms_versions(connection, program_id=PROGRAM).rows) == 1
        assert len(queries.list_partner_groups(connection, program_id=PROGRAM).rows) == 1


def test_the_directory_is_rebuilt_to_the_same_bytes(told, ledger):
    """In one batch, whatever the live one was told in."""
    assert rebuild(ledger, ["directory"]).differences == ()
