"""What the gateway reads of the provider's books: balance transactions and transfers, page by page."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from uuid import UUID

import msgspec
import structlog

from payouts.currencies import from_stripe_minor
from payouts.outcomes import GatewayError, Rejected, Transfer, Unknown, UnsendableIntent
from payouts.reconciliation import REVERSAL, TRANSFER, Theirs

_log = structlog.get_logger(__name__)

PAGE: Final = 100
_UNREADABLE: Final = (msgspec.ValidationError, AttributeError, KeyError, UnsendableIntent)
"""What is raised where an object is not in the shape, or its amount not in the units, that we know."""

Answer = TypeVar("Answer")


class BooksReader:
    """The part of the gateway that only reads. Lists come newest first, as the provider gives them.

    What is inserted while we page stands before the first page or is seen twice: cursors are ids, so no page
    shifts, and every id counts once.
    """

    @property
    @abstractmethod
    def _sdk(self) -> Any:
        """The provider's client."""

    @abstractmethod
    def _ask(self, call: Callable[[], Answer]) -> Answer:
        """The call's answer. Raises GatewayError."""

    @abstractmethod
    def _read_transfer(self, answer: Any) -> Transfer:
        """A transfer, its amounts in our minor units."""

    def balance_transactions(self, created_from: datetime, created_to: datetime) -> list[Theirs]:
        """Every balance transaction from a time on and before another. Raises GatewayError."""
        params = {
            "created": {"gte": _seconds(created_from), "lt": _seconds(created_to)},
            "expand": ["data.source"],
            "limit": PAGE,
        }

        def read() -> list[Theirs]:
            found: dict[str, Theirs] = {}
            transfers: dict[str, dict[str, Any]] = {}
            for answer in self._sdk.v1.balance_transactions.list(params).auto_paging_iter():
                entry = self._entry(answer.to_dict(), transfers)
                found.setdefault(entry.transaction_id, entry)
            return list(found.values())

        return self._ask(read)

    def transfer(self, transfer_id: str) -> Transfer | None:
        """A transfer by its id; None: there is none. Raises GatewayError."""
        return self._unless_missing(lambda: self._read_transfer(self._sdk.v1.transfers.retrieve(transfer_id)))

    def transfers_since(self, created_from: datetime) -> Iterator[Transfer]:
        """The transfers from a time on, the newest first, read as they are asked for.

        One that we can't read is passed over if it names no payout: others send from this account, too.
        Raises GatewayError, also for one that we can't read and that does name a payout.
        """
        params = {"created": {"gte": _seconds(created_from)}, "limit": PAGE}
        listed = self._ask(lambda: self._sdk.v1.transfers.list(params).auto_paging_iter())
        seen: set[str] = set()
        while (answer := self._ask(lambda: next(listed, None))) is not None:
            transfer = self._read_unless_foreign(answer)
            if transfer is not None and transfer.id not in seen:
                seen.add(transfer.id)
                yield transfer

    def _read_unless_foreign(self, answer: Any) -> Transfer | None:
        """A transfer; None for one that can't be read and names no payout."""
        try:
            return self._read_transfer(answer)
        except _UNREADABLE as error:
            content = answer.to_dict()
            payout_id, told = _payout_named(content), f"transfer {content.get('id')}: {error}"
            if payout_id is not None:
                detail = f"it names payout {payout_id}, and can't be read: {told}"
                raise GatewayError(Unknown(reason="unreadable", detail=detail)) from error
            _log.warning("a transfer that names no payout can't be read", detail=told)
            return None

    def reversal(self, transfer_id: str, reversal_id: str) -> Theirs | None:
        """A reversal of a transfer, as the entry that it made; None: there is none. Raises GatewayError."""

        def read() -> Theirs:
            content = self._sdk.v1.transfers.reversals.retrieve(transfer_id, reversal_id).to_dict()
            return _reversal(content, str(content.get("balance_transaction")), REVERSAL)

        return self._unless_missing(read)

    def _unless_missing(self, read: Callable[[], Answer]) -> Answer | None:
        try:
            return self._ask(read)
        except GatewayError as error:
            if isinstance(error.outcome, Rejected) and error.outcome.code == "resource_missing":
                return None
            raise

    def _entry(self, content: dict[str, Any], transfers: dict[str, dict[str, Any]]) -> Theirs:
        """A balance transaction; a source that came as an id only is looked up.

        What can't be read of it is left out, and the rest is shown: one odd entry hides no other.
        """
        source, kind = content.get("source"), str(content["type"])
        if kind == REVERSAL and isinstance(source, dict):
            return _reversal(source, content["id"], kind)
        of: dict[str, Any] = {}
        if kind.startswith(TRANSFER) and isinstance(source, str) and source.startswith("tr_"):
            of = transfers.get(source) or self._sdk.v1.transfers.retrieve(source).to_dict()
        elif kind.startswith(TRANSFER) and isinstance(source, dict) and source.get("object") == TRANSFER:
            of = source
        if of:
            transfers[of["id"]] = of
        return Theirs(
            transaction_id=content["id"],
            kind=kind,
            reference=of.get("id") or _id_of(source) or content["id"],
            amount_minor=_amount(content),
            currency=str(content["currency"]).upper(),
            created_at=datetime.fromtimestamp(content["created"], UTC),
            transfer_id=of.get("id"),
            destination=_id_of(of.get("destination")),
            payout_id=_payout_named(of),
        )


def _amount(content: dict[str, Any]) -> int:
    """An entry's amount in our minor units; 0 where there is none that we can count."""
    try:
        return from_stripe_minor(content["amount"], str(content["currency"]).upper())
    except _UNREADABLE as error:
        _log.warning("an amount that can't be counted", entry=content.get("id"), error=str(error))
        return 0


def entry_of(transfer: Transfer) -> Theirs:
    """A transfer as the entry that it made in the provider's books."""
    return Theirs(
        transaction_id=transfer.balance_transaction or transfer.id,
        kind=TRANSFER,
        reference=transfer.id,
        amount_minor=-transfer.amount,
        currency=transfer.currency.upper(),
        created_at=datetime.fromtimestamp(transfer.created, UTC),
        transfer_id=transfer.id,
        destination=transfer.destination,
        payout_id=payout_id_of(transfer),
    )


def payout_id_of(transfer: Transfer) -> UUID | None:
    """The payout that a transfer's metadata names; None for a transfer that is not ours."""
    return _payout_named({"metadata": transfer.metadata})


def _payout_named(content: dict[str, Any]) -> UUID | None:
    try:
        return UUID((content.get("metadata") or {}).get("payout_id", ""))
    except (ValueError, TypeError, AttributeError):
        return None


def _reversal(content: dict[str, Any], transaction_id: str, kind: str) -> Theirs:
    return Theirs(
        transaction_id=transaction_id,
        kind=kind,
        reference=content["id"],
        amount_minor=_amount(content),
        currency=str(content["currency"]).upper(),
        created_at=datetime.fromtimestamp(content["created"], UTC),
        transfer_id=_id_of(content.get("transfer")),
    )


def _id_of(value: Any) -> str | None:
    """The id of an object that came whole, or as its id."""
    found = value.get("id") if isinstance(value, dict) else value
    return found if isinstance(found, str) else None


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
