"""Our single POST/s ÷ that of two naive peers: the same requests, connections, workers and threads."""

from collections.abc import Callable
from uuid import UUID

from eventsourcing.application import Application

from api.settings import read_settings
from tests.bench import library, naive_orm
from tests.bench.harness import Ratio, in_turn
from tests.bench.place import PARTNERS, Place, customer_of, customers
from tests.bench.server import running_gunicorn
from tests.bench.single_post import send_singles
from tests.support.databases import sqlite_url


def measure(place: Place) -> list[Ratio]:
    """Three servers; each has the machine to itself while it is asked."""
    settings = read_settings()
    command = ["--worker-class", "gthread", "--workers", str(settings.workers)]
    command += ["--threads", str(settings.threads)]
    by_save = library.environment(place, "naive_save")
    # The tables are made here: of two workers that replace the library's functions at once one dies.
    made: Application[UUID] = Application(env=by_save)
    made.close()
    by_save |= {"CREATE_TABLE": "no"}
    orm_url = place.url if place.database == "postgresql" else sqlite_url(place.folder / "naive_orm.db")
    owned = [(owner, number) for owner in range(PARTNERS) for number in range(customers(owner))]
    naive_orm.prepare(orm_url, [(customer_of(*each), f"partner-{each[0]}") for each in owned])

    def side(port: int) -> Callable[[int], float]:
        return lambda _: send_singles(place, port, "/v1/conversions")

    with (
        running_gunicorn([*command, "tests.bench.naive_save:application"], by_save, place.folder) as save,
        running_gunicorn(
            [*command, "tests.bench.naive_orm:make_application()"], {"DATABASE_URL": orm_url}, place.folder
        ) as orm,
    ):
        ours, saved, by_orm = in_turn([side(place.port), side(save), side(orm)], place.rounds)
    return [
        Ratio("ours-vs-naive-save", ours, saved, "requests/s"),
        Ratio("ours-vs-naive-orm", ours, by_orm, "requests/s"),
    ]
