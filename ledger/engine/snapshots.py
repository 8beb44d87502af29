"""Money accounts as they stand now, from the engine's snapshots and what was appended since."""

from collections.abc import Mapping
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa

from ledger import account
from ledger.account import AccountState
from ledger.engine import tables
from ledger.events.base import Recorded
from ledger.store.application import Ledger

ONLY_NOW: Final = 2**62
"""A version that no stream reaches: asked from there, an account has no history."""

_decoder: Final = msgspec.json.Decoder(AccountState)


class AccountNow(NamedTuple):
    """An account at the end of its stream, with the facts behind the version that was asked from."""

    state: AccountState
    version: int
    history: list[Recorded]


def accounts_now(
    ledger: Ledger, connection: sa.Connection, since: Mapping[UUID, int]
) -> dict[UUID, AccountNow]:
    """Many accounts in two reads: no stream is read from its start where the engine keeps a snapshot.

    `since` maps each account to the version behind which its facts are wanted, too.
    """
    found = {account_id: AccountNow(account.EMPTY, 0, []) for account_id in since}
    for row in tables.select_in(connection, tables.accounts, "account_id", since):
        found[row.account_id] = AccountNow(_decoder.decode(row.document), row.version, [])
    versions = {account_id: min(now.version, since[account_id]) for account_id, now in found.items()}
    for raw in ledger.log.read_tails(connection, versions):
        recorded = ledger.decode(raw)
        account_id, version = recorded.originator_id, recorded.originator_version
        now = found[account_id]
        if version > since[account_id]:
            now.history.append(recorded)
        if version > now.version:
            found[account_id] = AccountNow(account.evolve(now.state, recorded.fact), version, now.history)
    return found
