"""What the gateway reads of the way after a transfer: payouts to banks, what is in them, what came back."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

from payouts.connected import BankPayout, Contents, Reversal, SentTransfer
from payouts.currencies import from_stripe_minor
from payouts.gateway_books import PAGE, BooksReader

Answer = TypeVar("Answer")

_FAILURE: Final = "payout_failure"
_PAYMENTS: Final = ("payment", "transfer")
"""Kinds of balance transactions by which a transfer reaches a connected account's balance."""


class DeliveriesReader(BooksReader):
    """The part of the gateway that follows the money into connected accounts. It only reads."""

    def bank_payout(self, account_id: str, payout_id: str) -> BankPayout | None:
        """A payout of a connected account to its bank; None: it has none of this id. Raises GatewayError."""
        options = {"stripe_account": account_id}
        return self._unless_missing(
            lambda: _bank_payout(self._sdk.v1.payouts.retrieve(payout_id, {}, options).to_dict())
        )

    def bank_payouts(self, account_id: str, created_from: int) -> list[BankPayout]:
        """All payouts of an account to its bank from a time on, oldest first. Raises GatewayError."""
        params = {"created": {"gte": created_from}, "limit": PAGE}
        return sorted(
            self._all(self._sdk.v1.payouts.list, params, _bank_payout, {"stripe_account": account_id}),
            key=lambda found: (found.created, found.payout_id),
        )

    def bank_payout_contents(self, account_id: str, payout_id: str) -> Contents:
        """What is in a payout. Of one that was not automatic the provider does not know: nothing then.

        Raises GatewayError.
        """
        params = {"payout": payout_id, "limit": PAGE}
        options = {"stripe_account": account_id}
        entries = self._all(self._sdk.v1.balance_transactions.list, params, _entry, options)
        return Contents(
            payments={source for kind, source in entries if kind in _PAYMENTS and source},
            failed_payouts={
                source for kind, source in entries if kind == _FAILURE and source and source != payout_id
            },
        )

    def transfers_to(self, account_id: str, created_from: int) -> list[SentTransfer]:
        """Every transfer to a connected account from a time on, oldest first. Raises GatewayError."""
        params = {"destination": account_id, "created": {"gte": created_from}, "limit": PAGE}
        return sorted(
            self._all(self._sdk.v1.transfers.list, params, _sent_transfer),
            key=lambda found: (found.created, found.transfer_id),
        )

    def sent_transfer(self, transfer_id: str) -> SentTransfer | None:
        """A transfer; None: there is none of this id. Raises GatewayError."""
        return self._unless_missing(
            lambda: _sent_transfer(self._sdk.v1.transfers.retrieve(transfer_id).to_dict())
        )

    def reversals(self, transfer_id: str) -> list[Reversal]:
        """Everything that came back of a transfer, oldest first. Raises GatewayError."""
        return sorted(
            self._ask(
                lambda: [
                    _reversal(found.to_dict())
                    for found in self._sdk.v1.transfers.reversals.list(
                        transfer_id, {"limit": PAGE}
                    ).auto_paging_iter()
                ]
            ),
            key=lambda found: (found.created, found.reversal_id),
        )

    def _all(
        self,
        listing: Callable[..., Any],
        params: dict[str, Any],
        read: Callable[[dict[str, Any]], Answer],
        options: dict[str, str] | None = None,
    ) -> list[Answer]:
        """Every page of a list. What is added while we page may come twice: each id counts once."""

        def pages() -> list[Answer]:
            found: dict[str, Answer] = {}
            for each in listing(params, options or {}).auto_paging_iter():
                found.setdefault(each.id, read(each.to_dict()))
            return list(found.values())

        return self._ask(pages)


def _bank_payout(content: dict[str, Any]) -> BankPayout:
    currency = str(content["currency"]).upper()
    return BankPayout(
        payout_id=content["id"],
        status=content["status"],
        amount_minor=from_stripe_minor(content["amount"], currency),
        currency=currency,
        automatic=bool(content["automatic"]),
        created=content["created"],
        failure=content.get("failure_code"),
    )


def _sent_transfer(content: dict[str, Any]) -> SentTransfer:
    currency = str(content["currency"]).upper()
    return SentTransfer(
        transfer_id=content["id"],
        payment_id=_id_of(content.get("destination_payment")),
        destination=_id_of(content["destination"]) or "",
        payout_id=(content.get("metadata") or {}).get("payout_id"),
        amount_minor=from_stripe_minor(content["amount"], currency),
        reversed_minor=from_stripe_minor(content["amount_reversed"], currency),
        currency=currency,
        created=content["created"],
    )


def _reversal(content: dict[str, Any]) -> Reversal:
    currency = str(content["currency"]).upper()
    amount_minor = from_stripe_minor(content["amount"], currency)
    return Reversal(content["id"], amount_minor, currency, content["created"])


def _entry(content: dict[str, Any]) -> tuple[str, str | None]:
    return str(content["type"]), _id_of(content.get("source"))


def _id_of(value: Any) -> str | None:
    """The id of an object that came whole, or as its id."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None
