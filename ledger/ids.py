"""Derived ids: the same words from outside always name the same stream (RFC 9562, version 5)."""

from datetime import date
from functools import lru_cache
from hashlib import sha1
from typing import Final
from uuid import NAMESPACE_URL, UUID, SafeUUID, uuid5

ROOT: Final = uuid5(NAMESPACE_URL, "urn:revshare")
_KEPT: Final = 16_384
"""Of ids that every conversion asks for again: so many are remembered."""
_SEPARATOR: Final = "\x1f"  # ASCII unit separator: refused in every external id, so names can't run together


def _derive(parent: UUID, noun: str, *names: str) -> UUID:
    return fast_uuid5(parent, _SEPARATOR.join((noun, *names)))


def fast_uuid5(parent: UUID, name: str) -> UUID:
    """As uuid.uuid5, in a third of its time: each conversion needs one, and its row another."""
    return _version_5(parent.int.to_bytes(16, "big") + name.encode())


def _version_5(named: bytes) -> UUID:
    digest = sha1(named, usedforsecurity=False).digest()
    made = _NEW(UUID)  # its __init__ takes longer than the hash
    _SET(made, "int", int.from_bytes(digest[:16], "big") & _FREE_BITS | _VERSION_5)
    _SET(made, "is_safe", _UNKNOWN)
    return made


_NEW: Final = object.__new__
_SET: Final = object.__setattr__
_UNKNOWN: Final = SafeUUID.unknown
_VERSION_5: Final = 5 << 76 | 0b10 << 62
_FREE_BITS: Final = ~(0xF << 76 | 0b11 << 62)


def program_id(reference: str) -> UUID:
    """The program that its owner calls by `reference`."""
    return _derive(ROOT, "program", reference)


def partner_id(reference: str) -> UUID:
    """The partner known outside by `reference`."""
    return _derive(ROOT, "partner", reference)


@lru_cache(maxsize=_KEPT)
def agreement_id(program: UUID, partner: UUID) -> UUID:
    """The agreement between a partner and a program."""
    return _derive(program, "agreement", str(partner))


def referral_code_id(code: str) -> UUID:
    """The referral code, unique over all programs since a link holds nothing else."""
    return _derive(ROOT, "referral_code", code)


@lru_cache(maxsize=_KEPT)
def customer_id(program: UUID, customer: str) -> UUID:
    """The customer of a program that other services call `customer`."""
    return _derive(program, "customer", customer)


def referral_id(customer: UUID, reference: str) -> UUID:
    """One referral of a customer, by the reference its sender gave or the facts that make it itself."""
    return _derive(customer, "referral", reference)


def conversion_id(program: UUID, source: str, external_id: str) -> UUID:
    """The conversion that `source` calls `external_id`: a retry meets its first attempt."""
    return fast_uuid5(program, f"conversion\x1f{source}\x1f{external_id}")


def rewards_id(conversion: UUID) -> UUID:
    """The stream of what a conversion earned."""
    return fast_uuid5(conversion, "rewards")


def reward_id(conversion: UUID, partner: UUID, number: int) -> UUID:
    """The `number`th reward (from 1) of a partner for one conversion."""
    return fast_uuid5(conversion, f"reward\x1f{partner}\x1f{number}")


@lru_cache(maxsize=_KEPT)
def account_id(program: UUID, partner: UUID, currency: str) -> UUID:
    """A partner's money account in a program."""
    return _derive(program, "account", str(partner), currency)


def payout_id(batch: UUID, account: UUID) -> UUID:
    """The payout of one account in a batch: one at the most."""
    return _derive(batch, "payout", str(account))


def bank_file_id(batch: UUID, number: int) -> UUID:
    """The `number`th file (from 1) by which our bank is told to pay a batch."""
    return _derive(batch, "bank_file", str(number))


def bank_statement_id(account_iban: str, statement_id: str) -> UUID:
    """A statement of an account of ours, by the bank's id of it."""
    return _derive(ROOT, "bank_statement", account_iban, statement_id)


def scheduled_batch_id(program: UUID, due_on: date, currency: str) -> UUID:
    """The batch that a program's calendar asks for on a date: one at the most."""
    return _derive(program, "scheduled_payouts", due_on.isoformat(), currency)


def command_id(actor: str, idempotency_key: str, noun: str) -> UUID:
    """The id of what a POST creates, from its caller and Idempotency-Key: sent again it names the same."""
    return _derive(ROOT, "command", noun, actor, idempotency_key)


def total_id(account: UUID, kind: str, name: str) -> UUID:
    """A running total of the reward engine."""
    return _derive(account, "total", kind, name)


def difference_id(provider: str, reference: str) -> UUID:
    """What a human said about a difference between the provider's books and ours, by its reference."""
    return _derive(ROOT, "difference", provider, reference)


def transfer_claim_id(provider: str, transfer: str) -> UUID:
    """Whose transfer it is that somebody named: one payout's at the most."""
    return _derive(ROOT, "transfer", provider, transfer)


def payout_gate_id() -> UUID:
    """The one stream that says whether payouts may be sent at all."""
    return _derive(ROOT, "payout_gate")


def audit_log_id() -> UUID:
    """The one stream of what was done to the audit log's own tables."""
    return _derive(ROOT, "audit_log")


def periods_id(program: UUID) -> UUID:
    """The stream of a program's closed months."""
    return _derive(program, "periods")


def statements_id(program: UUID) -> UUID:
    """The stream of a program's statements, whose versions number them."""
    return _derive(program, "statements")


def statement_id(program: UUID, count: int) -> UUID:
    """The `count`th statement (from 1) of a program."""
    return _derive(program, "statement", str(count))
