"""Accounts by API v2: the same accounts as by v1, seen through configurations. Only `recipient` is played."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import msgspec

from payouts.simulator import accounts, books, onboarding, problems
from payouts.simulator.books import PLATFORM
from payouts.simulator.forms import Params
from payouts.simulator.listing import v2_page
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work, timestamp

_EXTRAS = "v2_extras"
_INCLUDABLE = ("configuration.recipient", "defaults", "identity", "requirements", "future_requirements")
_NOT_PLAYED = ("configuration.customer", "configuration.merchant")
_STATUS = {"active": "active", "inactive": "restricted", "pending": "pending"}

Read = TypeVar("Read")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Stripe knows and this does not name is refused by name."""


class Requested(_Strict, frozen=True):
    """A capability that is asked for, or given back."""

    requested: bool


class StripeBalance(_Strict, frozen=True):
    """Capabilities on the balance at Stripe."""

    stripe_transfers: Requested | None = None


class Capabilities(_Strict, frozen=True):
    """Capabilities of a recipient."""

    stripe_balance: StripeBalance | None = None


class Recipient(_Strict, frozen=True):
    """The configuration for those who are paid."""

    capabilities: Capabilities | None = None


class Configuration(_Strict, frozen=True):
    """What an account is used for."""

    recipient: Recipient | None = None


class Identity(_Strict, frozen=True):
    """Who owns the account. Names and documents come with the onboarding, not with the call."""

    country: str | None = None
    entity_type: Literal["company", "government_entity", "individual", "non_profit"] | None = None


class Responsibilities(_Strict, frozen=True):
    """Who bears fees and losses."""

    fees_collector: Literal["application", "application_custom", "application_express", "stripe"]
    losses_collector: Literal["application", "stripe"]


class Defaults(_Strict, frozen=True):
    """What holds for all configurations."""

    currency: str | None = None
    responsibilities: Responsibilities | None = None


class AccountWish(_Strict, frozen=True):
    """POST /v2/core/accounts and POST /v2/core/accounts/{id}."""

    configuration: Configuration | None = None
    contact_email: str | None = None
    dashboard: Literal["express", "full", "none"] | None = None
    defaults: Defaults | None = None
    display_name: str | None = None
    identity: Identity | None = None
    include: tuple[str, ...] = ()
    metadata: dict[str, str] | None = None


class Closing(_Strict, frozen=True):
    """POST /v2/core/accounts/{id}/close."""

    applied_configurations: tuple[Literal["customer", "merchant", "recipient"], ...] = ()


class Collection(_Strict, frozen=True):
    """What an owner is asked."""

    fields: Literal["currently_due", "eventually_due"] | None = None
    future_requirements: Literal["include", "omit"] | None = None


class Use(_Strict, frozen=True):
    """Where a link leads back to."""

    refresh_url: str
    return_url: str | None = None
    collection_options: Collection | None = None


class UseCase(_Strict, frozen=True):
    """What a link is for."""

    type: Literal["account_onboarding", "account_update"]
    account_onboarding: Use | None = None
    account_update: Use | None = None


class LinkWish(_Strict, frozen=True):
    """POST /v2/core/account_links."""

    account: str
    use_case: UseCase


def read_as(kind: type[Read], sent: dict[str, Any]) -> Read:
    """What was sent, typed. Raises StripeProblem that names what is wrong or not known."""
    try:
        return msgspec.convert(sent, type=kind)
    except msgspec.ValidationError as wrong:
        raise StripeProblem(400, f"Invalid request body: {wrong}", code="invalid_fields") from wrong


def check_wish(sent: dict[str, Any]) -> AccountWish:
    """The body of a POST about an account."""
    wish = read_as(AccountWish, sent)
    _check_include(wish.include)
    return wish


def create(work: Work, wish: AccountWish) -> Body:
    """POST /v2/core/accounts."""
    country = (wish.identity.country if wish.identity else None) or accounts.PLATFORM_COUNTRY
    new = accounts.NewAccount(
        kind="express" if wish.dashboard in (None, "express") else "none",
        country=country.upper(),
        email=wish.contact_email,
        business_type=wish.identity.entity_type if wish.identity else None,
        default_currency=wish.defaults.currency if wish.defaults else None,
        capabilities=("transfers",) if _asks_transfers(wish) else (),
        metadata=wish.metadata or {},
    )
    account = accounts.create(work, new)
    extras: Body = {
        "id": account["id"],
        "object": _EXTRAS,
        "created": work.now,
        "recipient": wish.configuration is not None and wish.configuration.recipient is not None,
        "dashboard": wish.dashboard or "express",
        "display_name": wish.display_name,
        "responsibilities": None,
    }
    if wish.defaults is not None and wish.defaults.responsibilities is not None:
        extras["responsibilities"] = msgspec.to_builtins(wish.defaults.responsibilities)
    work.tx.add(PLATFORM, extras, work.now)
    return _shown(work, account, wish.include)


def change(work: Work, wish: AccountWish, account: str) -> Body:
    """POST /v2/core/accounts/{id}: what is absent stays as it is."""
    found, extras = _known(work, account)
    before = dict(found["capabilities"])
    asked = _transfers(wish)
    if wish.contact_email is not None:
        found["email"] = wish.contact_email
    if wish.identity is not None and wish.identity.entity_type is not None:
        found["business_type"] = wish.identity.entity_type
    if wish.identity is not None and wish.identity.country not in (None, found["country"]):
        raise StripeProblem(400, "The country of an account cannot be changed.", param="identity.country")
    if wish.defaults is not None and wish.defaults.currency is not None:
        found["default_currency"] = wish.defaults.currency
    if wish.metadata is not None:
        merged = {**found["metadata"], **wish.metadata}
        found["metadata"] = {name: value for name, value in merged.items() if value}
    if asked is not None:
        onboarding.grant(found, "transfers", requested=asked)
        extras["recipient"] = True
    for name in ("dashboard", "display_name"):
        if getattr(wish, name) is not None:
            extras[name] = getattr(wish, name)
    _keep_extras(work, extras)
    onboarding.save(work, found, before)
    return _shown(work, found, wish.include)


def check_closing(sent: dict[str, Any]) -> Closing:
    """The body of POST /v2/core/accounts/{id}/close."""
    return read_as(Closing, sent)


def close(work: Work, _wish: Closing, account: str) -> Body:
    """POST /v2/core/accounts/{id}/close: only an account without money can be closed."""
    found, _extras = _known(work, account)
    if onboarding.is_closed(work, account):
        raise StripeProblem(400, f"Account {account} is closed.", code="account_closed")
    if any(books.balances(work.tx.connection, account).values()):
        raise StripeProblem(400, f"Account {account} has money in it.", code="account_balance_not_zero")
    onboarding.close(work, found)
    return _shown(work, found, ())


def one(work: Work, params: Params, account: str) -> Body:
    """GET /v2/core/accounts/{id}: without `include` the larger parts are null."""
    include = tuple(params.texts("include"))
    _check_include(include)
    return _shown(work, _known(work, account)[0], include)


def listed(work: Work, params: Params) -> Body:
    """GET /v2/core/accounts, newest first."""
    wanted = params.texts("applied_configurations")
    closed = params.flag("closed")
    found = v2_page(work, params, "/v2/core/accounts", "account", {})
    shown = [_shown(work, account, ()) for account in found["data"]]
    found["data"] = [
        one
        for one in shown
        if set(wanted) <= set(one["applied_configurations"]) and (one["closed"] is True) is (closed is True)
    ]
    return found


def check_link(sent: dict[str, Any]) -> LinkWish:
    """The body of POST /v2/core/account_links."""
    wish = read_as(LinkWish, sent)
    if getattr(wish.use_case, wish.use_case.type) is None:
        raise StripeProblem(400, f"use_case.{wish.use_case.type} is missing.", code="invalid_fields")
    return wish


def link(work: Work, wish: LinkWish) -> Body:
    """POST /v2/core/account_links."""
    _known(work, wish.account)
    use: Use = getattr(wish.use_case, wish.use_case.type)
    leads = onboarding.NewLink(
        wish.account, wish.use_case.type, use.return_url or use.refresh_url, use.refresh_url
    )
    shown = {name: value for name, value in msgspec.to_builtins(use).items() if value is not None}
    case: dict[str, Any] = {"type": wish.use_case.type, wish.use_case.type: shown}
    return {
        "object": "v2.core.account_link",
        "account": wish.account,
        "created": timestamp(work.now),
        "expires_at": timestamp(work.now + onboarding.LINK_LIVES_S),
        "livemode": False,
        "url": onboarding.new_link(work, leads),
        "use_case": case,
    }


# How an account looks


def _transfers(wish: AccountWish) -> bool | None:
    recipient = wish.configuration.recipient if wish.configuration else None
    balance = recipient.capabilities.stripe_balance if recipient and recipient.capabilities else None
    return balance.stripe_transfers.requested if balance and balance.stripe_transfers else None


def _asks_transfers(wish: AccountWish) -> bool:
    return _transfers(wish) is True


def _check_include(include: tuple[str, ...]) -> None:
    for name in include:
        if name not in (*_INCLUDABLE, *_NOT_PLAYED):
            raise StripeProblem(400, f"Invalid value for include: {name}", code="invalid_fields")


def _known(work: Work, identifier: str) -> tuple[Body, Body]:
    account = work.tx.get("account", PLATFORM, identifier)
    if account is None:
        raise problems.not_found_v2(f"Account not found: {identifier}")
    extras = work.tx.get(_EXTRAS, PLATFORM, identifier)
    if extras is None:  # made by API v1
        extras = {
            "id": identifier,
            "object": _EXTRAS,
            "created": account["created"],
            "recipient": "transfers" in account["capabilities"],
            "dashboard": "express" if account["type"] == "express" else "none",
            "display_name": None,
            "responsibilities": None,
        }
    return account, extras


def _keep_extras(work: Work, extras: Body) -> None:
    if work.tx.get(_EXTRAS, PLATFORM, extras["id"]) is None:
        work.tx.add(PLATFORM, extras, work.now)
    else:
        work.tx.replace(extras)


def _shown(work: Work, account: Body, include: tuple[str, ...]) -> Body:
    _account, extras = _known(work, account["id"])
    responsibilities = extras["responsibilities"] or {
        "fees_collector": "application",
        "losses_collector": "application",
    }
    whole: dict[str, Any] = {
        "configuration.recipient": {"recipient": _recipient(account)} if extras["recipient"] else None,
        "defaults": {
            "currency": account["default_currency"],
            "responsibilities": {**responsibilities, "requirements_collector": "stripe"},
        },
        "identity": {"country": account["country"].lower(), "entity_type": account["business_type"]},
        "requirements": _requirements(account),
    }
    parts = {name: whole.get(name) if name in include else None for name in _INCLUDABLE}
    return {
        "id": account["id"],
        "object": "v2.core.account",
        "applied_configurations": ["recipient"] if extras["recipient"] else [],
        "closed": onboarding.is_closed(work, account["id"]),
        "configuration": parts["configuration.recipient"],
        "contact_email": account["email"],
        "created": timestamp(account["created"]),
        "dashboard": extras["dashboard"],
        "defaults": parts["defaults"],
        "display_name": extras["display_name"],
        "future_requirements": None,
        "identity": parts["identity"],
        "livemode": False,
        "metadata": account["metadata"],
        "requirements": parts["requirements"],
    }


def _recipient(account: Body) -> Body:
    def capability(active: bool, status: str) -> Body:
        details = [] if active else [{"code": "requirements_past_due", "resolution": "provide_info"}]
        return {"status": status, "status_details": details}

    transfers = account["capabilities"].get("transfers", "inactive")
    payouts = account["payouts_enabled"]
    return {
        "applied": True,
        "capabilities": {
            "stripe_balance": {
                "payouts": capability(payouts, "active" if payouts else "restricted"),
                "stripe_transfers": capability(transfers == "active", _STATUS[transfers]),
            }
        },
    }


def _requirements(account: Body) -> Body:
    due = account["requirements"]["currently_due"]
    deadline = "past_due" if account["requirements"]["past_due"] else "currently_due"
    restricts = {
        "capability": "stripe_balance.stripe_transfers",
        "configuration": "recipient",
        "deadline": {"status": deadline},
    }
    entries = [
        {
            "awaiting_action_from": "user",
            "description": description,
            "errors": [],
            "impact": {"restricts_capabilities": [restricts]},
            "minimum_deadline": {"status": deadline},
            "requested_reasons": [{"code": "routine_onboarding"}],
        }
        for description in due
    ]
    summary = {"minimum_deadline": {"status": deadline, "time": None}} if due else None
    return {"entries": entries, "summary": summary}
