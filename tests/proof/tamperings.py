"""Everything that a superuser may do to a sealed ledger, and how the verifier must name it."""

from collections.abc import Iterator

from tests.proof.acts import (
    OTHER_KEY,
    TWICE,
    WITNESS_LINE,
    Tampering,
    column_changed,
    cosigned,
    cut_all,
    cut_facts,
    deleted,
    hashes_changed,
    insert_and_shift,
    leg_behind,
    leg_changed,
    legs_changed,
    months_rewritten,
    new_legs,
    note_changed,
    one_more,
    put_in,
    put_in_unseen,
    resealed,
    rewrite_all,
    row_and_fact,
    sql,
    statement_gone,
    swap_places,
    swap_words,
    view_edited,
    view_row_gone,
    words_changed,
)
from tests.proof.stage import SIGNER, TABLES

FACT = frozenset({"fact_changed"})
LEG = frozenset({"leg_differs"})
KEPT = frozenset({"kept_differs", "kept_unreadable"})


def of_facts() -> Iterator[Tampering]:
    """Each column of a fact, its metadata, its time; one gone, swapped, put in; the tail."""
    amount = words_changed(
        "ConversionRecorded", lambda words: words.replace('"amount_minor":1', '"amount_minor":2')
    )
    yield Tampering("an amount", amount, FACT)
    yield Tampering("who", words_changed("RewardAccrued", lambda w: w.replace('"by":"', '"by":"x')), FACT)
    time = words_changed(
        "ConversionRecorded", lambda w: w.replace('"recorded_at":"2024', '"recorded_at":"2023')
    )
    yield Tampering("when it was recorded", time, FACT)
    effective = words_changed(
        "RewardAccrued", lambda w: w.replace('"effective_at":"2024', '"effective_at":"2023')
    )
    yield Tampering("when it was true", effective, FACT)
    yield Tampering("a space", words_changed("PartnerApproved", lambda w: w.replace(":", ": ", 1), 0), FACT)
    yield Tampering(
        "the last fact", words_changed("TransferConfirmed", lambda w: w.replace("tr_1", "tr_2"), 0), FACT
    )
    yield Tampering(
        "a partner's account",
        words_changed("PayoutAccountLinked", lambda w: w.replace("acct_1", "acct_2"), 0),
        FACT,
    )
    yield Tampering("stream", column_changed("originator_id = :other"), FACT)
    yield Tampering("version", column_changed("originator_version = originator_version + 1000"), FACT)
    yield Tampering("topic", column_changed("topic = 'ConversionCanceled@1'"), FACT)
    yield Tampering("no words", column_changed("state = ''"), FACT)
    yield Tampering(
        "another place", column_changed("notification_id = 1000000000"), frozenset({"fact_missing"})
    )
    yield Tampering("deleted", deleted, frozenset({"fact_missing"}))
    yield Tampering(
        "all deleted", sql("DELETE FROM stored_events", "position 1,"), frozenset({"fact_missing"})
    )
    yield Tampering("tail cut", cut_facts, frozenset({"fact_missing"}))
    cut = frozenset({"tail_cut"})
    yield Tampering("tail cut everywhere", cut_all, cut, resealed(SIGNER))
    yield Tampering("words swapped", swap_words, FACT)
    yield Tampering("places swapped", swap_places, FACT)
    yield Tampering("put in before the first", put_in(-5), frozenset({"fact_inserted"}))
    first = put_in(-(2**63))
    yield Tampering("put in at the first position that there can be", first, frozenset({"fact_inserted"}))
    yield Tampering("put in at zero", put_in(0), frozenset({"fact_inserted"}))
    yield Tampering("put in where a tile hides it", put_in_unseen, frozenset({"fact_inserted"}))
    yield Tampering("put in the middle", insert_and_shift, FACT | {"fact_inserted"})


def of_the_tree() -> Iterator[Tampering]:
    """Tiles, the table of positions, checkpoints; everything at once."""
    yield Tampering("rewritten with another key", rewrite_all, KEPT, resealed(OTHER_KEY))
    yield Tampering("rewritten with the stolen key", rewrite_all, KEPT, resealed(SIGNER))
    tile = frozenset({"tile_changed"})
    for level in (0, 1):
        for change in ("edit", "cut", "lengthen"):
            if (level, change) != (0, "lengthen"):  # a full tile of leaves is read no further
                yield Tampering(f"tile of level {level}: {change}", hashes_changed(level, change), tile)
    gone = sql("DELETE FROM audit_tiles WHERE level = 0 AND tile = 0", "table audit_tiles, level 0, tile 0")
    yield Tampering("a tile gone", gone, tile)
    gone = sql("DELETE FROM audit_tiles WHERE level = 1", "table audit_tiles, level 1, tile 0")
    yield Tampering("a level gone", gone, tile)
    more = "INSERT INTO audit_tiles SELECT 0, 99, hashes FROM audit_tiles WHERE level = 0 AND tile = 0"
    yield Tampering("a tile more", sql(more, "table audit_tiles, level 0, tile 99"), tile)
    bundle = frozenset({"bundle_changed"})
    edit = "UPDATE audit_bundles SET first_position = first_position + 1 WHERE tile = 1"
    yield Tampering("a bundle", sql(edit, "table audit_bundles, tile 1"), bundle)
    edit = (
        "UPDATE audit_bundles SET positions = (SELECT b.positions FROM audit_bundles AS b WHERE b.tile = 0)"
        " WHERE tile = 1"
    )
    yield Tampering("a bundle's positions", sql(edit, "table audit_bundles, tile 1"), bundle)
    gone = sql("DELETE FROM audit_bundles WHERE tile = 1", "table audit_bundles, tile 1")
    yield Tampering("a bundle gone", gone, bundle)
    gone = sql("DELETE FROM audit_bundles", "first_index 0")
    yield Tampering("all bundles gone", gone, frozenset({"tail_cut"}))
    for level, number in ((0, -1), (-1, 0), (1, -1)):
        more = (
            f"INSERT INTO audit_tiles SELECT {level}, {number}, hashes FROM audit_tiles"
            " WHERE level = 0 AND tile = 0"
        )
        where = f"table audit_tiles, level {level}, tile {number}"
        yield Tampering(f"a tile {number} of level {level}", sql(more, where), tile)
    more = "INSERT INTO audit_bundles SELECT -1, -1, positions FROM audit_bundles WHERE tile = 0"
    yield Tampering("a bundle before the first", sql(more, "table audit_bundles, tile -1"), bundle)
    more = (
        "INSERT INTO audit_bundles SELECT 1000000000, 1000000000, positions FROM audit_bundles WHERE tile = 0"
    )
    yield Tampering("a bundle far away", sql(more, "table audit_bundles, tile 1000000000"), bundle)
    ahead = sql("UPDATE positions SET position = position + 5 WHERE name = 'audit'", "table positions")
    yield Tampering("the sequencer moved", ahead, frozenset({"tree_behind"}))


def of_checkpoints() -> Iterator[Tampering]:
    """Each column of what was signed."""
    changed = frozenset({"checkpoint_changed"})
    where = "table audit_checkpoints, size"
    edits = {
        "root": "root = (SELECT substr(hashes, 1, 32) FROM audit_tiles WHERE level = 0 AND tile = 0)",
        "position": "position = position + 1",
        "size": "size = size - 1",
        "note": "note = 'nothing'",
    }
    for column, assigned in edits.items():
        statement = (
            f"UPDATE audit_checkpoints SET {assigned} WHERE size = (SELECT min(size) FROM audit_checkpoints)"
        )
        yield Tampering(f"checkpoint: {column}", sql(statement, where), changed)
    wrong = frozenset({"signature_wrong"})
    yield Tampering(
        "no signature of ours", note_changed(lambda note: note.replace("— ledger", "— other")), wrong
    )
    yield Tampering(
        "a broken signature",
        note_changed(lambda note: note[:-10] + ("A" if note[-10] != "A" else "B") + note[-9:]),
        wrong,
    )
    # What a verifier of an export says no to, with the facts and their seal untouched.
    stranger = note_changed(lambda note: note + "— stranger.example AAAAAAAA\n")
    yield Tampering("a stranger's line below ours", stranger, changed)
    twice = note_changed(lambda note: note + note.partition("\n\n")[2])
    yield Tampering("our signature twice", twice, changed)
    written = note_changed(lambda note: f"{note[:-3]}{chr(ord(note[-3]) + 1)}=\n")
    yield Tampering("the same signature in other letters", written, wrong)
    resigned = note_changed(lambda note: OTHER_KEY.sign(note.partition("\n\n")[0] + "\n"))
    yield Tampering("signed with another key", resigned, wrong)
    below = (
        "INSERT INTO audit_checkpoints SELECT -5, position, root, note, cause, made_at FROM audit_checkpoints"
    )
    more = sql(f"{below} ORDER BY size LIMIT 1", "table audit_checkpoints, size -5")
    yield Tampering("a checkpoint of fewer leaves than none", more, changed)
    for name, line in (
        ("nothing", "nothing"),
        ("more text", f"more\n\n{WITNESS_LINE}"),
        ("another's", WITNESS_LINE),
    ):
        act = cosigned("witness" if name != "another's" else "other", line)
        yield Tampering(f"a witness's line: {name}", act, frozenset({"cosignature_changed"}))
    gone = sql("DELETE FROM audit_checkpoints", "file ")
    yield Tampering("all checkpoints gone", gone, frozenset({"checkpoint_missing"}))


def of_months() -> Iterator[Tampering]:
    """A closing's totals and edges, a statement's figures, one gone; such a figure with all sealed anew by
    the stolen key, which is named without any checkpoint kept elsewhere, too."""
    for topic, name in (
        ("PeriodTotalsFrozen", "moved_minor"),
        ("PeriodTotalsFrozen", "opening_minor"),
        ("PeriodTotalsFrozen", "legs"),
        ("PeriodClosed", "through_position"),
        ("StatementIssued", "pending_minor"),
        ("StatementIssued", "lines"),
    ):
        yield Tampering(f"month: {topic}.{name}", words_changed(topic, one_more(name), 0), FACT)
    gone = frozenset({"fact_missing"})
    for number in (0, -1):
        yield Tampering(f"a statement removed ({number})", statement_gone(number), gone)
    yield Tampering("a statement in its fact and its row", row_and_fact, FACT)
    for topic, name, kind in (
        ("PeriodTotalsFrozen", "moved_minor", "closing_differs"),
        ("StatementIssued", "pending_minor", "statement_differs"),
    ):
        act = months_rewritten(topic, name)
        yield Tampering(f"{topic} rewritten and sealed anew", act, frozenset({kind}), resealed(SIGNER))
    row = sql("DELETE FROM statements WHERE count = 1", "table statements, ")
    yield Tampering("a statement's row gone", row, frozenset({"view_differs"}))


def of_legs() -> Iterator[Tampering]:
    """Each column of a leg that an entry holds; one gone; some put in."""
    for assigned in (
        "account = 'clawback_loss'",
        "amount_minor = amount_minor + 1",
        "currency = 'EUR'",
        "program_id = :other",
        "partner_id = :other",
        "posting_version = 2",
        "posting_version = 99999999999",
        "leg = 7",
        "account = 'é'",
    ):
        yield Tampering(f"leg: {assigned}", leg_changed(assigned), LEG)
    yield Tampering("both legs", legs_changed(TWICE), LEG)
    yield Tampering("no legs", legs_changed("DELETE FROM journal"), LEG)
    for topic in ("PayoutReserved", "TransferConfirmed"):
        account = leg_changed("account = 'clawback_loss'", topic, 0)
        yield Tampering(f"a payout's leg ({topic}): amount", leg_changed("amount_minor = 1", topic, 0), LEG)
        yield Tampering(f"a payout's leg ({topic}): account", account, LEG)
        yield Tampering(f"a payout's legs ({topic}): both", legs_changed(TWICE, topic, 0), LEG)
        yield Tampering(
            f"a payout's legs ({topic}): gone", legs_changed("DELETE FROM journal", topic, 0), LEG
        )
    yield Tampering("legs at a fact that has none", new_legs(1), LEG | {"leg_inserted"})
    yield Tampering("legs before all facts", new_legs(-7), frozenset({"leg_inserted"}))
    first = new_legs(-(2**63))
    yield Tampering("legs at the first position that there can be", first, frozenset({"leg_inserted"}))
    behind = frozenset({"view_differs"})
    yield Tampering("a leg that the journal has not come to", leg_behind, behind)
    yield Tampering("legs behind all facts", new_legs(10**9), frozenset({"leg_inserted"}))


def of_views() -> Iterator[Tampering]:
    """Each column of each table of each view, and each table emptied."""
    for table in TABLES:
        for column in table.columns:
            kinds = {"view_differs", *(LEG if table.name == "journal" else ())}
            yield Tampering(
                f"view: {table.name}.{column.name}", view_edited(table.name, column.name), frozenset(kinds)
            )
        yield Tampering(f"view: {table.name} emptied", view_row_gone(table.name), frozenset({"view_differs"}))


def all_tamperings() -> list[Tampering]:
    """All of them."""
    return [*of_facts(), *of_the_tree(), *of_checkpoints(), *of_months(), *of_legs(), *of_views()]
