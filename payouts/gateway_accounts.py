"""What the gateway does with connected accounts: make one, look at it, give its owner a link. API v2, or v1.

v2 accounts get the recipient configuration alone. Where v2 is not to be had for this key, v1 makes Express
accounts instead: that is decided by the setting, or by a definite no of v2, never by silence.
"""

from abc import abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from payouts.connected import CLOSED_TO_US, AccountLink, AccountsApi, NewAccount
from payouts.eligibility import CLOSED
from payouts.outcomes import Account, GatewayError, NotSent, Rejected, Unsettled

Answer = TypeVar("Answer")

_INCLUDED: Final = ["configuration.recipient", "identity", "defaults", "requirements"]
_V2_BLOCKED: Final = ("accounts_v2_access_blocked", "v2_not_enabled")
_NO_SUCH_DOOR: Final = ("unrecognized_url", "PermissionError")
_DUE: Final = ("currently_due", "past_due")


class AccountsKeeper:
    """The part of the gateway for connected accounts."""

    accounts_api: AccountsApi
    _v2_refused: bool = False

    @property
    @abstractmethod
    def _sdk(self) -> Any:
        """The provider's client."""

    @abstractmethod
    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """The call's answer. Raises GatewayError."""

    def create_account(self, reference: str, country: str, email: str, idempotency_key: str) -> str:
        """Make an Express account by v1 that can receive transfers: its id. `reference` is in its metadata.

        For a day the same key gives the same account. Raises GatewayError.
        """
        new = NewAccount(reference, reference, email, country)
        return self._ask(lambda: self._create_by_v1(new, idempotency_key).account_id)

    def open_account(self, new: NewAccount) -> Account:
        """Make a partner's connected account: how it stands. Raises GatewayError.

        The same partner again is the same account while the provider remembers the key: v1 for a day, v2 for
        thirty.
        """
        return self._by_v2_or_v1(
            lambda: self._create_by_v2(new, f"account-v2-{new.reference}"),
            lambda: self._create_by_v1(new, f"account-{new.reference}"),
        )

    def find_account(self, reference: str, created_from: datetime) -> Account | None:
        """An account that was made for a partner by v1 since a time; None: none is shown.

        By metadata the provider can't search: its accounts are read from that time on. Raises GatewayError.
        """
        if self.accounts_api == "v2":
            return None
        params = {"created": {"gte": int(created_from.timestamp())}, "limit": 100}

        def look() -> Account | None:
            for answer in self._sdk.v1.accounts.list(params).auto_paging_iter():
                found = read_v1_account(answer.to_dict())
                if found.reference == reference:
                    return found
            return None

        return self._ask(look)

    def account(self, account_id: str) -> Account:
        """How a connected account stands. Raises GatewayError, with Rejected for one not ours."""
        return self._by_v2_or_v1(
            lambda: read_v2_account(
                self._sdk.v2.core.accounts.retrieve(account_id, {"include": _INCLUDED}).to_dict()
            ),
            lambda: read_v1_account(self._sdk.v1.accounts.retrieve(account_id).to_dict()),
            known_to_v1_alone=True,
        )

    def account_link(self, account_id: str, *, return_url: str, refresh_url: str) -> AccountLink:
        """A fresh link by which the account's owner tells what the provider wants. Raises GatewayError."""
        pages = {"refresh_url": refresh_url, "return_url": return_url}
        use_case = {"type": "account_onboarding", "account_onboarding": pages}
        asked = {"account": account_id, "type": "account_onboarding", **pages}
        return self._by_v2_or_v1(
            lambda: _v2_link(
                self._sdk.v2.core.account_links.create(
                    {"account": account_id, "use_case": use_case}
                ).to_dict()
            ),
            lambda: _v1_link(self._sdk.v1.account_links.create(asked).to_dict()),
            known_to_v1_alone=True,
        )

    def _by_v2_or_v1(
        self, by_v2: Callable[[], Answer], by_v1: Callable[[], Answer], *, known_to_v1_alone: bool = False
    ) -> Answer:
        """v2 first, unless it is not wanted or was refused; v1 after a definite no that is about v2.

        `known_to_v1_alone`: an account that v2 does not know, or won't show, may be one that v1 made.
        """
        if self.accounts_api != "v1" and not self._v2_refused:
            try:
                return self._ask(by_v2)
            except GatewayError as error:
                if self.accounts_api == "v2":
                    raise
                if _refuses_v2(error.outcome):
                    self._v2_refused = True
                elif not (known_to_v1_alone and isinstance(error.outcome, Rejected)):
                    raise
        return self._ask(by_v1)

    def _create_by_v1(self, new: NewAccount, idempotency_key: str) -> Account:
        params: dict[str, Any] = {
            "type": "express",
            "capabilities": {"transfers": {"requested": True}},
            "metadata": {"reference": new.reference},
        }
        if new.country is not None:
            params["country"] = new.country
        if new.email is not None:
            params["email"] = new.email
        options = {"idempotency_key": idempotency_key}
        return read_v1_account(self._sdk.v1.accounts.create(params, options).to_dict())

    def _create_by_v2(self, new: NewAccount, idempotency_key: str) -> Account:
        capabilities = {"stripe_balance": {"stripe_transfers": {"requested": True}}}
        responsibilities = {"fees_collector": "application", "losses_collector": "application"}
        params: dict[str, Any] = {
            "configuration": {"recipient": {"capabilities": capabilities}},
            "dashboard": "express",
            "defaults": {"responsibilities": responsibilities},
            "display_name": new.name,
            "include": _INCLUDED,
            "metadata": {"reference": new.reference},
        }
        if new.country is not None:
            params["identity"] = {"country": new.country.lower()}
        if new.email is not None:
            params["contact_email"] = new.email
        options = {"idempotency_key": idempotency_key}
        return read_v2_account(self._sdk.v2.core.accounts.create(params, options).to_dict())


def _refuses_v2(outcome: Unsettled) -> bool:
    if isinstance(outcome, Rejected):
        return outcome.code in _V2_BLOCKED
    return isinstance(outcome, NotSent) and outcome.reason in _NO_SUCH_DOOR


def read_v1_account(content: dict[str, Any]) -> Account:
    """An account as v1 shows it."""
    requirements = content.get("requirements") or {}
    return Account(
        account_id=content["id"],
        country=content.get("country"),
        default_currency=content.get("default_currency"),
        transfers_active=(content.get("capabilities") or {}).get("transfers") == "active",
        payouts_enabled=bool(content.get("payouts_enabled")),
        disabled_reason=requirements.get("disabled_reason"),
        currently_due=tuple(requirements.get("currently_due") or ()),
        reference=(content.get("metadata") or {}).get("reference"),
    )


def read_v2_account(content: dict[str, Any]) -> Account:
    """An account as v2 shows it: its capabilities to receive, in the same words as v1's."""
    recipient = (content.get("configuration") or {}).get("recipient") or {}
    balance = (recipient.get("capabilities") or {}).get("stripe_balance") or {}
    transfers = balance.get("stripe_transfers") or {}
    entries = (content.get("requirements") or {}).get("entries") or ()
    country = (content.get("identity") or {}).get("country")
    return Account(
        account_id=content["id"],
        country=country.upper() if country else None,
        default_currency=(content.get("defaults") or {}).get("currency"),
        transfers_active=transfers.get("status") == "active" and not content.get("closed"),
        payouts_enabled=(balance.get("payouts") or {}).get("status") == "active",
        disabled_reason=_v2_disabled(content, transfers),
        currently_due=tuple(
            entry["description"]
            for entry in entries
            if entry.get("awaiting_action_from") == "user"
            and (entry.get("minimum_deadline") or {}).get("status") in _DUE
        ),
        reference=(content.get("metadata") or {}).get("reference"),
    )


def _v2_disabled(content: dict[str, Any], transfers: dict[str, Any]) -> str | None:
    status = transfers.get("status")
    if content.get("closed"):
        return CLOSED
    if status not in ("restricted", "rejected", "unsupported"):
        return None
    details = transfers.get("status_details") or ()
    return f"{status}.{details[0].get('code') or 'other'}" if details else f"{status}.other"


def closed_account(account_id: str) -> Account:
    """How an account stands that the provider will not show us any more."""
    return Account(account_id, None, None, False, False, CLOSED, ())


def is_closed_to_us(outcome: object) -> bool:
    """Whether a question about an account was answered by: there is none, or not for you."""
    return isinstance(outcome, Rejected) and outcome.code in CLOSED_TO_US


def _v1_link(content: dict[str, Any]) -> AccountLink:
    return AccountLink(content["url"], datetime.fromtimestamp(content["expires_at"], UTC))


def _v2_link(content: dict[str, Any]) -> AccountLink:
    return AccountLink(content["url"], datetime.fromisoformat(content["expires_at"]).astimezone(UTC))
