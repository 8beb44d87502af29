"""The raw scan: rows of the log through the driver alone, in pages, nothing decoded."""

import sqlalchemy as sa

from ledger.store.database import driver
from tests.bench.harness import timed
from tests.bench.place import Place

PAGE = 4_000
COLUMNS = "originator_id, originator_version, topic, state, notification_id"


def scan(place: Place, after: int, upto: int) -> tuple[int, float]:
    """How many rows stand behind `after` up to `upto`, and the seconds that reading them took."""
    mark = "%s" if place.database == "postgresql" else "?"
    statement = (
        f"SELECT {COLUMNS} FROM stored_events WHERE notification_id > {mark} AND notification_id <= {mark}"
        f" ORDER BY notification_id LIMIT {PAGE}"
    )
    count = 0
    with place.world.database.read() as connection:
        raw = driver(connection)
        cursor = raw.cursor(binary=True) if place.database == "postgresql" else raw.cursor()
        with timed() as seconds:
            while rows := cursor.execute(statement, (after, upto)).fetchall():
                count += len(rows)
                after = rows[-1][4]
    return count, seconds()


def head(place: Place) -> int:
    """The last position of the log."""
    with place.world.database.read() as connection:
        return int(connection.execute(sa.text("SELECT max(notification_id) FROM stored_events")).scalar_one())
