"""Connected accounts of the Express kind: made, read, changed, listed."""

from __future__ import annotations

import re
from typing import NamedTuple

from payouts.simulator import problems
from payouts.simulator.books import PLATFORM
from payouts.simulator.forms import Params, merged_metadata
from payouts.simulator.listing import created_in, page
from payouts.simulator.onboarding import (
    CAPABILITIES,
    grant,
    is_closed,
    known,
    nothing_due,
    save,
    settle,
    unsettle,
)
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

TYPES = ("custom", "express", "standard")
BUSINESS_TYPES = ("company", "government_entity", "individual", "non_profit")
PLATFORM_COUNTRY = "GB"

# The currency that an account of a country gets by default; a country that is not here gets US dollars.
_COUNTRIES_OF_CURRENCY = {
    "aud": "AU",
    "brl": "BR",
    "cad": "CA",
    "chf": "CH LI",
    "dkk": "DK",
    "eur": "AT BE CY DE EE ES FI FR GR HR IE IT LT LU LV MT NL PT SI SK",
    "gbp": "GB GI",
    "hkd": "HK",
    "jpy": "JP",
    "mxn": "MX",
    "nok": "NO",
    "nzd": "NZ",
    "pln": "PL",
    "sek": "SE",
    "sgd": "SG",
}
_CURRENCY_OF_COUNTRY = {
    country: currency
    for currency, countries in _COUNTRIES_OF_CURRENCY.items()
    for country in countries.split()
}


class NewAccount(NamedTuple):
    """A checked wish for a connected account."""

    kind: str
    country: str
    email: str | None
    business_type: str | None
    default_currency: str | None
    capabilities: tuple[str, ...]
    metadata: dict[str, str]


class AccountChange(NamedTuple):
    """A checked wish to change an account: what is None stays as it is."""

    email: str | None
    business_type: str | None
    default_currency: str | None
    requested: dict[str, bool]
    metadata: dict[str, str | None] | None


def check_new(params: Params) -> NewAccount:
    """POST /v1/accounts: its parameters."""
    country = params.optional_text("country") or PLATFORM_COUNTRY
    if not re.fullmatch("[A-Z]{2}", country):
        message = f"Country '{country}' is unknown. Try using a 2-character country code instead."
        raise StripeProblem(400, message, param="country")
    requested = _requested(params)
    return NewAccount(
        kind=params.choice("type", TYPES) or "none",
        country=country,
        email=_email(params),
        business_type=params.choice("business_type", BUSINESS_TYPES),
        default_currency=params.optional_text("default_currency"),
        # A simulator default: an account made without asking for anything can receive transfers.
        capabilities=tuple(name for name, asked in requested.items() if asked) or ("transfers",),
        metadata=merged_metadata({}, params.metadata()),
    )


def create(work: Work, wish: NewAccount) -> Body:
    """POST /v1/accounts. Unless told otherwise it is whole at once, as after the onboarding."""
    identifier = work.new_id("acct")
    currency = wish.default_currency or _CURRENCY_OF_COUNTRY.get(wish.country, "usd")
    account: Body = {
        "id": identifier,
        "object": "account",
        "business_type": wish.business_type,
        "capabilities": dict.fromkeys(wish.capabilities, "inactive"),
        "charges_enabled": False,
        "controller": {"type": "application"},
        "country": wish.country,
        "created": work.now,
        "default_currency": currency,
        "details_submitted": False,
        "email": wish.email,
        "external_accounts": {
            "object": "list",
            "data": [],
            "has_more": False,
            "url": f"/v1/accounts/{identifier}/external_accounts",
        },
        "future_requirements": nothing_due(),
        "metadata": wish.metadata,
        "payouts_enabled": False,
        "requirements": nothing_due(),
        "tos_acceptance": {"date": None, "ip": None, "user_agent": None},
        "type": wish.kind,
    }
    if work.settings.onboarding == "instant":
        settle(work, account)
    else:
        unsettle(account)
    work.add(PLATFORM, account)
    work.emit("account.updated", account, account=identifier)
    work.emit_thin("v2.core.account.created", identifier)
    return account


def check_change(params: Params) -> AccountChange:
    """POST /v1/accounts/{account}: its parameters."""
    return AccountChange(
        email=_email(params),
        business_type=params.choice("business_type", BUSINESS_TYPES),
        default_currency=params.optional_text("default_currency"),
        requested=_requested(params),
        metadata=params.metadata(),
    )


def change(work: Work, wish: AccountChange, account: str) -> Body:
    """POST /v1/accounts/{account}. A capability that is requested no more becomes inactive."""
    changed = one(work, account)
    before = dict(changed["capabilities"])
    for name in ("email", "business_type", "default_currency"):
        if getattr(wish, name) is not None:
            changed[name] = getattr(wish, name)
    for name, asked in wish.requested.items():
        grant(changed, name, requested=asked)
    changed["charges_enabled"] = changed["capabilities"].get("card_payments") == "active"
    changed["metadata"] = merged_metadata(changed["metadata"], wish.metadata)
    save(work, changed, before)
    return changed


def one(work: Work, account: str) -> Body:
    """GET /v1/accounts/{account}."""
    return known(work, account)


def own(work: Work) -> Body:
    """GET /v1/account: with `Stripe-Account` that one; the platform's own is not played."""
    if work.owner == PLATFORM:
        raise StripeProblem(400, "This stand-in has no account of the platform's to show.")
    return known(work, work.owner)


def listed(work: Work, params: Params) -> Body:
    """GET /v1/accounts."""
    return page(work, params, "/v1/accounts", "account", created_in(params), "account")


def destination(work: Work, identifier: str) -> Body:
    """The account that a transfer goes to. Raises StripeProblem when there is none or it may not receive."""
    account = work.tx.get("account", PLATFORM, identifier)
    if account is None or is_closed(work, identifier):
        raise problems.no_such("destination", identifier, "destination", status=400)
    if account["capabilities"].get("transfers") != "active":
        message = "Your destination account needs the following capability enabled: transfers"
        raise StripeProblem(400, message, code="insufficient_capabilities_for_transfer", param="destination")
    return account


def _requested(params: Params) -> dict[str, bool]:
    """Which capabilities are asked for (or given back): `capabilities[NAME][requested]=true`."""
    nest = params.nest("capabilities")
    requested: dict[str, bool] = {}
    for name in CAPABILITIES:
        inner = nest.nest(name)
        asked = inner.flag("requested")
        inner.refuse_the_rest()
        if asked is not None:
            requested[name] = asked
    nest.refuse_the_rest()
    return requested


def _email(params: Params) -> str | None:
    email = params.optional_text("email", length_max=800)
    if email is not None and not re.fullmatch(r"[^@\s]+@[^@\s]+", email):
        raise StripeProblem(400, f"Invalid email address: {email}", code="email_invalid", param="email")
    return email
