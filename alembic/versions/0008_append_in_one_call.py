"""Appending in one call: lock, insert and answer inside the database, so that the lock waits for no client.

Revision 0008, after 0007.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# The lock is held from its statement to the end of the caller's transaction. Alone in a transaction, that is
# from inside this function to the commit, without one way to the client and back in between. It runs with the
# caller's rights, so it adds none; names are whole, so no other table gets in the way.
APPEND_FUNCTION = """
    CREATE FUNCTION append_stored_events(ids uuid[], versions bigint[], topics text[], states bytea[])
    RETURNS SETOF bigint LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM {schema}.lock_stored_events();
        RETURN QUERY
            INSERT INTO {schema}.stored_events (originator_id, originator_version, topic, state)
            SELECT * FROM unnest(ids, versions, topics, states)
            ON CONFLICT DO NOTHING RETURNING notification_id;
    END
    $$
"""


def upgrade() -> None:
    """Make the function; SQLite has no client to wait for."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    schema = connection.exec_driver_sql("SELECT quote_ident(current_schema())").scalar_one()
    op.execute(APPEND_FUNCTION.format(schema=schema))


def downgrade() -> None:
    """Take the function away."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION append_stored_events(uuid[], bigint[], text[], bytea[])")
