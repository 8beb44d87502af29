"""What alembic runs: every migration in one transaction on the connection that it is handed."""

import os

import sqlalchemy as sa
from alembic import context

from ledger.store.migrations import locked_connection


def run(connection: sa.Connection) -> None:
    """Bring the database behind an open transaction to the revision asked for."""
    context.configure(connection=connection, transactional_ddl=True, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()


handed = context.config.attributes.get("connection")
if context.is_offline_mode():
    raise SystemExit("Migrations look at the database they run on; there is no offline mode.")
if handed is not None:
    run(handed)
elif url := os.environ.get("DATABASE_URL"):
    with locked_connection(url) as opened:
        run(opened)
else:
    raise SystemExit("Set DATABASE_URL to the database to migrate.")
