"""Exports: read by the standalone verifier, and by a second implementation made from the documentation."""

import base64
import hashlib
import json
import struct
from uuid import UUID

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.audit.revshare_verify import parse_key, verify
from ledger.commands import ApplyAsPartner
from ledger.desk import Desk
from ledger.store.application import Ledger
from projections.export import NoCheckpoint, NotSealed, export_log, export_part, positions_of_partner
from tests.proof.stage import SIGNER
from tests.support import other_tree
from tests.support.world import World

KEY = parse_key(str(SIGNER.verifier))


@pytest.fixture(params=["sqlite", "postgresql"])
def sealed(stage, request):
    """A ledger with something of everything, sealed."""
    with stage.copy(request.param) as database:
        yield Ledger(database)


def partner_of(ledger: Ledger) -> UUID:
    with ledger.database.read() as connection:
        value = connection.execute(sa.text("SELECT partner_id FROM payouts")).scalar_one()
    return value if isinstance(value, UUID) else UUID(value)


def entry_of(line):
    """An entry, by the words of docs/audit-log.md alone."""
    told = json.loads(line)
    state = line[line.index(b',"state":') + len(b',"state":') : -2]

    def short(text):
        return struct.pack(">H", len(text.encode())) + text.encode()

    entry = b"revshare entry v1\n" + struct.pack(">Q", told["position"]) + UUID(told["stream"]).bytes
    entry += struct.pack(">Q", told["version"]) + short(told["topic"])
    entry += (
        struct.pack(">I", len(state)) + hashlib.sha256(state).digest() + struct.pack(">H", len(told["legs"]))
    )
    for account, amount, currency, program, partner, rule in told["legs"]:
        entry += short(account) + short(currency) + struct.pack(">q", amount)
        entry += UUID(program).bytes + UUID(partner).bytes + struct.pack(">I", rule)
    return entry


def test_the_verifier_says_yes_and_its_totals_are_the_balances(sealed):
    lines: list[bytes] = []
    told: list[tuple[int, int]] = []

    count = export_log(sealed, lines.append, lambda *done: told.append(done))

    result = verify(lines, KEY)
    assert (result.facts, result.head.size) == (count, len(lines) - 1)
    assert told[-1] == (count, count)
    with sealed.database.read() as connection:
        query = "SELECT partner_id, currency, available_minor, paid_minor FROM balances"
        for partner, currency, available, paid in connection.execute(sa.text(query)):
            holder = str(partner if isinstance(partner, UUID) else UUID(partner))
            assert result.totals[holder, "commission_payable", currency] == -available
            assert result.totals.get((holder, "stripe_balance", currency), 0) == -paid


def test_a_partner_s_part_is_proven_and_has_all_that_moved_its_money(sealed):
    partner = partner_of(sealed)
    lines: list[bytes] = []

    count = export_part(sealed, positions_of_partner(sealed, partner), lines.append)

    result = verify(lines, KEY)
    assert result.facts == count == len(lines) - 1 > 100
    assert {holder for holder, _, _ in result.totals} == {str(partner)}
    topics = {json.loads(line)["topic"].partition("@")[0] for line in lines[1:]}
    assert topics >= {"RewardAccrued", "RewardMatured", "PayoutReserved", "TransferConfirmed"}


def test_an_implementation_that_is_not_ours_agrees(sealed):
    """Entries made by the documentation's words, a tree by pymerkle: the checkpoint's root, our proofs."""
    whole: list[bytes] = []
    part: list[bytes] = []
    export_log(sealed, whole.append)
    export_part(sealed, positions_of_partner(sealed, partner_of(sealed))[::20], part.append)
    _, size, root = json.loads(whole[0])["checkpoint"].split("\n")[:3]
    proven = [json.loads(line) for line in part[1:]]
    asked = [
        {
            "index": each["index"],
            "size": int(size),
            "root": base64.b64decode(root).hex(),
            "path": each["proof"],
        }
        for each in proven
    ]

    assert len(asked) > 5
    assert other_tree.refused([entry_of(line) for line in whole[1:]], asked) == []
    moved = [entry_of(line) for line in [*whole[2:], whole[1]]]
    assert len(other_tree.refused(moved, asked)) == len(asked)


def tree_of(leaves):
    """MTH of RFC 9162, 2.1.1, word by word."""
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_of(leaves[:split]) + tree_of(leaves[split:])).digest()


def test_the_page_alone_is_enough_to_check_an_export(sealed):
    """A second implementation, of docs/audit-log.md's words: key, signature, leaves, legs, root."""
    lines: list[bytes] = []
    export_log(sealed, lines.append)
    name, key_id, encoded = str(SIGNER.verifier).split("+", 2)
    public = base64.b64decode(encoded)
    header = json.loads(lines[0])
    text, _, signatures = header["checkpoint"].partition("\n\n")
    origin, size, root = text.split("\n")
    dash, signed_by, signature = signatures.removesuffix("\n").split(" ")
    raw = base64.b64decode(signature)

    assert (header["format"], header["version"]) == ("revshare log export", 1)
    assert (dash, signed_by, origin) == ("\u2014", name, name)
    assert hashlib.sha256(name.encode() + b"\n" + public).digest()[:4] == raw[:4] == bytes.fromhex(key_id)
    assert public[:1] == b"\x01"
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(raw[4:], f"{text}\n".encode())
    leaves = [hashlib.sha256(b"\x00" + entry_of(line)).digest() for line in lines[1:]]
    facts = [json.loads(line) for line in lines[1:]]
    assert [leaf.hex() for leaf in leaves] == [fact["leaf"] for fact in facts]
    assert [fact["index"] for fact in facts] == list(range(int(size)))
    assert tree_of(leaves) == base64.b64decode(root)
    assert all(sum(leg[1] for leg in fact["legs"]) == 0 for fact in facts)


def test_what_is_not_sealed_is_not_exported(sealed):
    with pytest.raises(NotSealed, match="position 100000 is not in the tree"):
        export_part(sealed, [100_000], lambda _: None)
    Desk(sealed).execute(ApplyAsPartner(reference="late", name="Late"), by="test")
    lines: list[bytes] = []

    export_log(sealed, lines.append)

    assert verify(lines, KEY).facts == len(lines) - 1


def test_without_a_checkpoint_there_is_nothing_to_show(database_url):
    world = World(database_url)
    world.program()

    with pytest.raises(NoCheckpoint):
        export_log(world.ledger, lambda _: None)
    world.close()


def test_a_fact_that_was_changed_is_named_by_the_verifier(sealed):
    with sealed.database.write() as connection:
        if sealed.database.is_postgresql:
            connection.exec_driver_sql("ALTER TABLE stored_events DISABLE TRIGGER ALL")
        else:
            connection.exec_driver_sql("DROP TRIGGER stored_events_no_update")
        connection.exec_driver_sql("UPDATE stored_events SET topic = 'Other@1' WHERE notification_id = 300")
    lines: list[bytes] = []

    export_log(sealed, lines.append)

    with pytest.raises(Exception, match=r"line 301 \(index 299, position 300\): its leaf is"):
        verify(lines, KEY)
