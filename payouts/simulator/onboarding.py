"""What an account may do and what is still asked of its owner: capabilities, requirements, links, closing."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from payouts.simulator import bank_payouts, problems
from payouts.simulator.books import PLATFORM
from payouts.simulator.forms import Params
from payouts.simulator.problems import StripeProblem
from payouts.simulator.store import Body
from payouts.simulator.work import Work

CAPABILITIES = ("card_payments", "transfers")
DUE_FROM_A_NEW_OWNER = (
    "business_profile.url",
    "external_account",
    "tos_acceptance.date",
    "tos_acceptance.ip",
)
PAST_DUE = "requirements.past_due"
UNDER_REVIEW = "requirements.pending_verification"
LINK_LIVES_S = 300
STATUSES = ("active", "inactive", "pending")


class Tweak(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /_sim/accounts/{id}: what its owner or Stripe's review did. What is absent stays as it is.

    `onboarded` true: everything asked for is given, false: asked for again. `transfers` is the capability's
    status.
    """

    onboarded: bool | None = None
    transfers: str | None = None
    payouts_enabled: bool | None = None
    disabled_reason: str | msgspec.UnsetType | None = msgspec.UNSET
    currently_due: tuple[str, ...] | None = None
    country: str | None = None
    default_currency: str | None = None
    closed: bool = False


class NewLink(NamedTuple):
    """A checked wish for a link that leads an owner through the onboarding."""

    account: str
    kind: str
    return_url: str
    refresh_url: str


def nothing_due() -> Body:
    """Requirements of an account of which nothing is asked."""
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": [],
        "disabled_reason": None,
        "errors": [],
        "eventually_due": [],
        "past_due": [],
        "pending_verification": [],
    }


def ask(account: Body, due: tuple[str, ...], reason: str | None) -> None:
    """Let requirements be due, and say why the account is not whole."""
    requirements = account["requirements"]
    requirements["currently_due"] = list(due)
    requirements["eventually_due"] = list(due)
    requirements["past_due"] = list(due) if reason == PAST_DUE else []
    requirements["disabled_reason"] = reason


def settle(work: Work, account: Body) -> None:
    """Everything asked for is given: the capabilities are active, and there is a bank account."""
    account["requirements"] = nothing_due()
    account["capabilities"] = dict.fromkeys(account["capabilities"], "active")
    account["charges_enabled"] = "card_payments" in account["capabilities"]
    account["details_submitted"] = account["payouts_enabled"] = True
    account["tos_acceptance"]["date"] = work.now
    account["external_accounts"]["data"] = [_bank_account(account)]


def unsettle(account: Body) -> None:
    """As before the onboarding."""
    account["capabilities"] = dict.fromkeys(account["capabilities"], "inactive")
    account["charges_enabled"] = account["details_submitted"] = account["payouts_enabled"] = False
    account["tos_acceptance"]["date"] = None
    account["external_accounts"]["data"] = []
    ask(account, DUE_FROM_A_NEW_OWNER, PAST_DUE)


def save(work: Work, account: Body, before: dict[str, str] | None = None) -> None:
    """Store a changed account and tell everybody; `before` are its capabilities as they were."""
    work.tx.replace(account)
    identifier = account["id"]
    work.emit("account.updated", account, account=identifier)
    work.emit_thin("v2.core.account.updated", identifier)
    work.emit_thin("v2.core.account[requirements].updated", identifier)
    for name, status in account["capabilities"].items():
        if before is not None and before.get(name) != status:
            work.emit("capability.updated", capability_of(account, name), account=identifier)
            if name == "transfers":
                kind = "v2.core.account[configuration.recipient].capability_status_updated"
                work.emit_thin(kind, identifier)


def tweak(work: Work, wish: Tweak, identifier: str) -> Body:
    """Do to an account what its owner or Stripe would do."""
    account = known(work, identifier)
    before = dict(account["capabilities"])
    if wish.transfers is not None and wish.transfers not in STATUSES:
        raise problems.invalid_text("transfers", f"transfers is one of {', '.join(STATUSES)}")
    if wish.onboarded is not None:
        settle(work, account) if wish.onboarded else unsettle(account)
    if wish.currently_due is not None or wish.disabled_reason is not msgspec.UNSET:
        requirements = account["requirements"]
        due = wish.currently_due if wish.currently_due is not None else tuple(requirements["currently_due"])
        reason = wish.disabled_reason
        ask(account, due, requirements["disabled_reason"] if reason is msgspec.UNSET else reason)
    if wish.transfers is not None:
        account["capabilities"]["transfers"] = wish.transfers
    for name in ("country", "default_currency", "payouts_enabled"):
        if getattr(wish, name) is not None:
            account[name] = getattr(wish, name)
    if wish.closed:
        close(work, account)
    else:
        save(work, account, before)
    return account


def close(work: Work, account: Body) -> None:
    """End an account: nobody reads it any more by API v1, and nothing can be sent to it."""
    before = dict(account["capabilities"])
    account["capabilities"] = dict.fromkeys(before, "inactive")
    account["payouts_enabled"] = account["charges_enabled"] = False
    ask(account, (), "rejected.other")
    save(work, account, before)
    work.tx.remember(f"closed {account['id']}", str(work.now))
    application = {"id": "ca_standin", "object": "application", "name": "stand-in"}
    work.emit("account.application.deauthorized", application, account=account["id"])
    work.emit_thin("v2.core.account.closed", account["id"])


def is_closed(work: Work, identifier: str) -> bool:
    """Whether an account was ended."""
    return work.tx.recall(f"closed {identifier}") is not None


def lose_transfers(work: Work, identifier: str) -> None:
    """Take the `transfers` capability away, as a review of the account does."""
    account = work.tx.get("account", PLATFORM, identifier)
    if account is not None:
        before = dict(account["capabilities"])
        account["capabilities"]["transfers"] = "inactive"
        account["requirements"]["pending_verification"] = ["individual.verification.document"]
        account["requirements"]["disabled_reason"] = UNDER_REVIEW
        save(work, account, before)


def grant(account: Body, name: str, *, requested: bool) -> None:
    """Give a capability that is asked for, if nothing is due; take one that is given back."""
    ready = not account["requirements"]["currently_due"]
    account["capabilities"][name] = "active" if requested and ready else "inactive"
    if requested and ready:
        account["requirements"] = nothing_due()


def known(work: Work, identifier: str) -> Body:
    """An account of ours. Another's and one that is not there look the same: 403."""
    found = work.tx.get("account", PLATFORM, identifier)
    if found is None or is_closed(work, identifier):
        message = f"The provided key does not have access to account '{identifier}' (or it does not exist)."
        raise StripeProblem(403, message, code="account_invalid")
    return found


# Capabilities


def capability_of(account: Body, name: str) -> Body:
    """A capability as an object of its own."""
    return {
        "id": name,
        "object": "capability",
        "account": account["id"],
        "future_requirements": nothing_due(),
        "requested": name in account["capabilities"],
        "requested_at": account["created"] if name in account["capabilities"] else None,
        "requirements": account["requirements"],
        "status": account["capabilities"].get(name, "unrequested"),
    }


def list_capabilities(work: Work, _params: Params, account: str) -> Body:
    """GET /v1/accounts/{account}/capabilities: all that were asked for."""
    found = known(work, account)
    return {
        "object": "list",
        "data": [capability_of(found, name) for name in sorted(found["capabilities"])],
        "has_more": False,
        "url": f"/v1/accounts/{account}/capabilities",
    }


def one_capability(work: Work, account: str, capability: str) -> Body:
    """GET /v1/accounts/{account}/capabilities/{capability}."""
    found = known(work, account)
    if capability not in CAPABILITIES:
        raise problems.no_such("capability", capability, "capability")
    return capability_of(found, capability)


def check_request(params: Params) -> bool | None:
    """POST /v1/accounts/{account}/capabilities/{capability}: its parameters."""
    return params.flag("requested")


def request(work: Work, requested: bool | None, account: str, capability: str) -> Body:
    """POST /v1/accounts/{account}/capabilities/{capability}."""
    one_capability(work, account, capability)
    changed = known(work, account)
    before = dict(changed["capabilities"])
    if requested is not None:
        grant(changed, capability, requested=requested)
        save(work, changed, before)
    return capability_of(changed, capability)


# Links


def check_link(params: Params) -> NewLink:
    """POST /v1/account_links: its parameters."""
    options = params.nest("collection_options")
    options.choice("fields", ("currently_due", "eventually_due"))
    options.choice("future_requirements", ("include", "omit"))
    options.refuse_the_rest()
    params.choice("collect", ("currently_due", "eventually_due"))
    kind = params.choice("type", ("account_onboarding", "account_update"))
    if kind is None:
        raise problems.missing_parameter("type")
    return NewLink(params.text("account"), kind, params.text("return_url"), params.text("refresh_url"))


def link(work: Work, wish: NewLink) -> Body:
    """POST /v1/account_links: an address at this stand-in that plays the owner who fills everything in."""
    found = known(work, wish.account)
    if wish.kind == "account_update" and found["type"] == "express":
        raise StripeProblem(400, "You cannot create account_update links for Express accounts.", param="type")
    return {
        "object": "account_link",
        "created": work.now,
        "expires_at": work.now + LINK_LIVES_S,
        "url": new_link(work, wish),
    }


def new_link(work: Work, wish: NewLink) -> str:
    """Remember a link, and where it leads to afterwards: its address."""
    known(work, wish.account)
    token = work.new_id("link")
    content: dict[str, Any] = {**wish._asdict(), "expires_at": work.now + LINK_LIVES_S}
    work.tx.remember(token, msgspec.json.encode(content).decode())
    return f"{work.base_url}/_sim/onboarding/{wish.account}/{token}"


def follow(work: Work, account: str, token: str) -> str:
    """Somebody opened a link: the account is whole then. Where the browser goes next.

    A link works once and for five minutes; later it leads to where a new one is made.
    """
    kept = work.tx.recall(token)
    if kept is None:
        raise problems.no_such("account link", token, "link")
    content = msgspec.json.decode(kept)
    if content["account"] != account:
        raise problems.no_such("account link", token, "link")
    work.tx.remember(token, msgspec.json.encode({**content, "expires_at": 0}).decode())
    if work.now >= content["expires_at"]:
        return str(content["refresh_url"])
    tweak(work, Tweak(onboarded=True), account)
    return str(content["return_url"])


def _bank_account(account: Body) -> Body:
    return {
        "id": bank_payouts.bank_account_id(account["id"]),
        "object": "bank_account",
        "account": account["id"],
        "account_holder_name": None,
        "account_holder_type": "company",
        "account_type": None,
        "available_payout_methods": ["standard"],
        "bank_name": "STAND-IN BANK",
        "country": account["country"],
        "currency": account["default_currency"],
        "default_for_currency": True,
        "fingerprint": None,
        "last4": "6789",
        "metadata": {},
        "routing_number": "110000000",
        "status": "new",
    }


def bank_account(work: Work, identifier: str) -> Body | None:
    """The bank account behind an id, or None: the platform's is not shown."""
    account = work.tx.get("account", PLATFORM, "acct_" + identifier.removeprefix("ba_"))
    return None if account is None else _bank_account(account)
