"""Single bytes of an export changed at random: the standalone verifier must see each of them."""

import io
import random

import sqlalchemy as sa

from ledger.audit import revshare_verify
from ledger.audit.revshare_verify import Wrong
from ledger.store.application import Ledger
from projections.export import export_log, export_part
from projections.statements.proof import statement_proof
from projections.tables import statements
from tests.proof.hand import Hand
from tests.proof.stage import SIGNER, Stage

KEY = revshare_verify.parse_key(str(SIGNER.verifier))


def exported(stage: Stage, kind: str = "sqlite") -> tuple[bytes, bytes, bytes]:
    """The whole log, a part of it, and a statement."""
    whole, part, statement = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with stage.copy(kind) as database:
        ledger = Ledger(database)
        export_log(ledger, whole.write)
        with database.read() as connection:
            hand = Hand(connection, database)
            places = [hand.place("RewardAccrued", number) for number in range(0, 40, 4)]
            places.append(hand.place("TransferConfirmed", 0))
            statement_id = connection.execute(sa.select(statements.c.statement_id).limit(1)).scalar_one()
        export_part(ledger, places, part.write)
        statement.writelines(statement_proof(ledger, statement_id))
    return whole.getvalue(), part.getvalue(), statement.getvalue()


def missed_edits(*exports: bytes, count: int, seed: int = 1) -> list[str]:
    """Of so many edits, as many of each export, those that the verifier says yes to."""
    chance = random.Random(seed)
    missed = []
    assert all(accepts(export) for export in exports)
    for number in range(count):
        export = exports[number % len(exports)]
        edited = bytearray(export)
        place, other = chance.randrange(len(edited)), chance.randrange(1, 256)
        edited[place] ^= other
        if accepts(bytes(edited)):
            missed.append(f"byte {place} of {len(edited)}: {export[place]} → {edited[place]}, seed {seed}")
    return missed


def accepts(export: bytes) -> bool:
    """Whether the verifier says yes."""
    try:
        revshare_verify.verify(io.BytesIO(export), KEY)
    except Wrong:
        return False
    return True
