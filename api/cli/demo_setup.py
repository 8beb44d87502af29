"""What the demo sets up before its data comes: keys, a program with its terms, partners, accounts to pay to.

Every wish here is idempotent: a second demo asks for the same, and nothing new is recorded.
"""

import csv
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import urllib3

from api.cli.csv_rows import Noun
from api.cli.terminal import fail
from ledger import ids
from ledger.commands import (
    AcceptAgreement,
    ApplyAsPartner,
    ApprovePartner,
    CreateProgram,
    IssueApiKey,
    PublishTerms,
    ReviewPartner,
)
from ledger.desk import Desk
from ledger.events.access import Scope
from payouts import accounts
from payouts.gateway import GatewayError, StripeGateway

BY: Final = "cli"
PROGRAM: Final = "online-retail"
CURRENCY: Final = "GBP"
SINCE: Final = datetime(2010, 1, 1, tzinfo=UTC)
TERMS: Final[dict[str, Any]] = {
    "language": 1,
    "rules": [{"kinds": ["sale"], "reward": {"rate_bps": 2000}, "duration": {"lifetime": True}}],
    "holding_days": 30,
    "attribution": {"model": "first_touch", "window_days": None},
    "minimum_payout_minor": 1,
}
KEYS: Final[dict[str, tuple[Scope, ...]]] = {
    "admin": ("admin",),
    "conversions writer": ("conversions:write",),
    "finance maker": ("finance:read", "finance:approve"),
    "finance checker": ("finance:read", "finance:approve"),
}
STANDIN_PATIENCE_S: Final = 10
PARTNER_KEY: Final = "partner"
FILES: Final[tuple[tuple[Noun, str], ...]] = (
    ("referrals", "referrals.csv"),
    ("conversions", "invoices.csv"),
    ("refunds", "refunds.csv"),
)


def partner_names(data: Path) -> list[str]:
    """The partners that the referrals name, sorted."""
    with (data / "referrals.csv").open(encoding="utf-8", newline="") as file:
        return sorted({row["partner"] for row in csv.DictReader(file)})


def create_program(desk: Desk) -> UUID:
    """The program and its terms: 20% of every invoice, 30 days holding, no cap."""
    wish = CreateProgram(
        reference=PROGRAM, name="Online Retail", type="revenue_share", currency=CURRENCY, goals=("revenue",)
    )
    program_id = desk.execute(wish, by=BY).id
    desk.execute(PublishTerms(program_id=program_id, terms=TERMS, effective_at=SINCE), by=BY)
    return program_id


def admit_partner(desk: Desk, gateway: StripeGateway, program_id: UUID, name: str) -> None:
    """A partner from its application to an agreement and an account that can be paid."""
    address = f"{name}@example.com"
    shown = name.replace("-", " ").capitalize()
    wish = ApplyAsPartner(reference=name, name=shown, email=address, country="GB")
    partner_id = desk.execute(wish, by=BY).id
    state = desk.partner(partner_id)
    if state is not None and state.status != "approved":
        if state.status == "applied":
            desk.execute(ReviewPartner(partner_id=partner_id), by=BY)
        desk.execute(ApprovePartner(partner_id=partner_id), by=BY)
    accepted = AcceptAgreement(
        program_id=program_id, partner_id=partner_id, terms_version=1, accepted_by=address, effective_at=SINCE
    )
    desk.execute(accepted, by=BY)
    _link_account(desk, gateway, partner_id, name, address)


def _link_account(desk: Desk, gateway: StripeGateway, partner_id: UUID, name: str, address: str) -> None:
    state = desk.partner(partner_id)
    linked = state.payout_accounts.get("stripe") if state is not None else None
    if linked is None or not _known(gateway, linked):
        linked = gateway.create_account(name, "GB", address, f"demo-account-{name}")
    seen_at = desk.ledger.clock()
    accounts.link(desk.ledger, partner_id, gateway.account(linked), seen_at=seen_at, by=BY)


def accounts_of(desk: Desk, names: Sequence[str]) -> list[str]:
    """Where the money of these partners goes."""
    states = (desk.partner(ids.partner_id(name)) for name in names)
    return [state.payout_accounts["stripe"] for state in states if state is not None]


def pay_out(url: str) -> None:
    """Let the stand-in pay an account out to its bank, at once instead of two days after midnight."""
    answer = urllib3.request("POST", url, json={"takes_s": 0}, retries=False, timeout=STANDIN_PATIENCE_S)
    if answer.status != 200:
        fail(f"the stand-in answers {answer.status}: {answer.data.decode(errors='replace')[:200]}")


def _known(gateway: StripeGateway, account_id: str) -> bool:
    """Whether the stand-in still has the account: its books may have been thrown away with `var/`."""
    try:
        gateway.account(account_id)
    except GatewayError:
        return False
    return True


def demo_keys(desk: Desk, path: Path, partner: str) -> dict[str, str]:
    """The keys to use, by what they are for: those of an earlier run where they still open, else new ones."""
    known = _read_keys(path)
    keys: dict[str, str] = {}
    wanted: dict[str, tuple[tuple[Scope, ...], UUID | None]] = {
        **{name: (scopes, None) for name, scopes in KEYS.items()},
        f"{PARTNER_KEY} ({partner})": (("partner:read",), ids.partner_id(partner)),
    }
    for name, (scopes, bound) in wanted.items():
        token = known.get(name)
        if token is None or desk.authenticate(token) is None:
            wish = IssueApiKey(name=f"demo {name}", scopes=scopes, partner_id=bound)
            token = desk.execute(wish, by=BY).secret
        assert token is not None
        keys[name] = token
    if keys != known:
        _write_keys(path, keys)
    return keys


def _read_keys(path: Path) -> dict[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return {str(name): str(token) for name, token in found.items()} if isinstance(found, dict) else {}


def _write_keys(path: Path, keys: dict[str, str]) -> None:
    beside = path.with_name(path.name + ".new")
    beside.unlink(missing_ok=True)
    # Made with its mode, so that at no moment anybody else can read it.
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(keys, file, indent=1)
    os.replace(beside, path)
