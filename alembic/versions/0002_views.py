"""The views of the log: journal, balances, conversions and rewards, directory, payouts.

Revision 0002, after 0001.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

VIEWS = ("directory", "conversions", "journal", "balances", "payouts")

TABLES = (
    """
    CREATE TABLE journal (
        position bigint NOT NULL, leg bigint NOT NULL, account text NOT NULL,
        amount_minor bigint NOT NULL, currency text NOT NULL, program_id {uuid} NOT NULL,
        partner_id {uuid} NOT NULL, posting_version bigint NOT NULL, effective_at {time} NOT NULL,
        recorded_at {time} NOT NULL, reward_id {uuid}, payout_id {uuid}, conversion_id {uuid},
        CONSTRAINT pk_journal PRIMARY KEY (position, leg)
    )
    """,
    """
    CREATE TABLE balances (
        program_id {uuid} NOT NULL, partner_id {uuid} NOT NULL, currency text NOT NULL,
        pending_minor bigint NOT NULL, available_minor bigint NOT NULL,
        in_transit_minor bigint NOT NULL, paid_minor bigint NOT NULL, clawback_minor bigint NOT NULL,
        withheld_minor bigint NOT NULL, earned_minor bigint NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_balances PRIMARY KEY (program_id, partner_id, currency)
    )
    """,
    """
    CREATE TABLE conversions (
        conversion_id {uuid} NOT NULL, program_id {uuid} NOT NULL, customer text NOT NULL,
        customer_id {uuid} NOT NULL, source text NOT NULL, external_id text NOT NULL,
        kind text NOT NULL, product text, amount_minor bigint NOT NULL, refunded_minor bigint NOT NULL,
        lost_minor bigint NOT NULL, currency text NOT NULL, status text NOT NULL,
        effective_at {time} NOT NULL, recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_conversions PRIMARY KEY (conversion_id)
    )
    """,
    """
    CREATE TABLE conversion_facts (
        position bigint NOT NULL, conversion_id {uuid} NOT NULL, program_id {uuid} NOT NULL,
        kind text NOT NULL, reference text, amount_minor bigint, reason text,
        effective_at {time} NOT NULL, recorded_at {time} NOT NULL,
        CONSTRAINT pk_conversion_facts PRIMARY KEY (position)
    )
    """,
    """
    CREATE TABLE rewards (
        reward_id {uuid} NOT NULL, conversion_id {uuid} NOT NULL, program_id {uuid} NOT NULL,
        partner_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, amount_minor bigint NOT NULL,
        reversed_minor bigint NOT NULL, stage text NOT NULL, currency text NOT NULL,
        basis_minor bigint NOT NULL, share_bps bigint NOT NULL, rate_bps bigint, flat_minor bigint,
        terms_version bigint NOT NULL, rule bigint NOT NULL, caps text NOT NULL, reason text NOT NULL,
        matures_at {time} NOT NULL, matured_at {time}, effective_at {time} NOT NULL,
        recorded_at {time} NOT NULL, cause_position bigint NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_rewards PRIMARY KEY (reward_id)
    )
    """,
    """
    CREATE TABLE not_rewarded (
        conversion_id {uuid} NOT NULL, program_id {uuid} NOT NULL, customer_id {uuid} NOT NULL,
        reason text NOT NULL, detail text NOT NULL, partner_id {uuid}, effective_at {time} NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_not_rewarded PRIMARY KEY (conversion_id)
    )
    """,
    """
    CREATE TABLE programs (
        program_id {uuid} NOT NULL, reference text NOT NULL, name text NOT NULL, type text NOT NULL,
        currency text NOT NULL, goals text NOT NULL, landing_url text, terms_version bigint NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_programs PRIMARY KEY (program_id)
    )
    """,
    """
    CREATE TABLE terms_versions (
        program_id {uuid} NOT NULL, terms_version bigint NOT NULL, partner_group text,
        terms text NOT NULL, effective_at {time} NOT NULL, recorded_at {time} NOT NULL,
        published_by text NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_terms_versions PRIMARY KEY (program_id, terms_version)
    )
    """,
    """
    CREATE TABLE partner_groups (
        program_id {uuid} NOT NULL, partner_group text NOT NULL, name text NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_partner_groups PRIMARY KEY (program_id, partner_group)
    )
    """,
    """
    CREATE TABLE partners (
        partner_id {uuid} NOT NULL, reference text NOT NULL, name text NOT NULL, email text,
        country text, status text NOT NULL, status_note text, provider text, destination text,
        recorded_at {time} NOT NULL, changed_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_partners PRIMARY KEY (partner_id)
    )
    """,
    """
    CREATE TABLE partner_group_members (
        partner_id {uuid} NOT NULL, program_id {uuid} NOT NULL, partner_group text,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_partner_group_members PRIMARY KEY (partner_id, program_id)
    )
    """,
    """
    CREATE TABLE agreements (
        agreement_id {uuid} NOT NULL, program_id {uuid} NOT NULL, partner_id {uuid} NOT NULL,
        terms_version bigint NOT NULL, status text NOT NULL, accepted_by text NOT NULL,
        effective_at {time} NOT NULL, ended_at {time}, end_reason text, recorded_at {time} NOT NULL,
        position bigint NOT NULL,
        CONSTRAINT pk_agreements PRIMARY KEY (agreement_id)
    )
    """,
    """
    CREATE TABLE referral_codes (
        referral_code_id {uuid} NOT NULL, code text NOT NULL, program_id {uuid} NOT NULL,
        partner_id {uuid} NOT NULL, landing_url text, touches bigint NOT NULL, last_touched_at {time},
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_referral_codes PRIMARY KEY (referral_code_id)
    )
    """,
    """
    CREATE TABLE referrals (
        referral_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, program_id {uuid} NOT NULL,
        customer text NOT NULL, partner_id {uuid} NOT NULL, via text NOT NULL, code text,
        touch_id {uuid}, company text, contact text, note text, effective_at {time} NOT NULL,
        recorded_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_referrals PRIMARY KEY (referral_id)
    )
    """,
    """
    CREATE TABLE customers (
        customer_id {uuid} NOT NULL, program_id {uuid} NOT NULL, customer text NOT NULL,
        referrals bigint NOT NULL, last_partner_id {uuid}, last_referral_at {time}, shares text,
        reattributed_at {time}, reattribution_reason text, recorded_at {time} NOT NULL,
        position bigint NOT NULL,
        CONSTRAINT pk_customers PRIMARY KEY (customer_id)
    )
    """,
    """
    CREATE TABLE api_keys (
        key_id {uuid} NOT NULL, name text NOT NULL, scopes text NOT NULL, partner_id {uuid},
        issued_by text NOT NULL, recorded_at {time} NOT NULL, revoked_at {time}, revoke_reason text,
        position bigint NOT NULL,
        CONSTRAINT pk_api_keys PRIMARY KEY (key_id)
    )
    """,
    """
    CREATE TABLE payout_batches (
        batch_id {uuid} NOT NULL, program_id {uuid} NOT NULL, currency text NOT NULL,
        state text NOT NULL, payouts bigint NOT NULL, total_minor bigint NOT NULL,
        content_hash text NOT NULL, made_by text NOT NULL, approved_by text, canceled_by text,
        reason text, recorded_at {time} NOT NULL, changed_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_payout_batches PRIMARY KEY (batch_id)
    )
    """,
    """
    CREATE TABLE payouts (
        payout_id {uuid} NOT NULL, batch_id {uuid} NOT NULL, program_id {uuid} NOT NULL,
        partner_id {uuid} NOT NULL, account_id {uuid} NOT NULL, account_from_version bigint NOT NULL,
        account_to_version bigint NOT NULL, state text NOT NULL, amount_minor bigint NOT NULL,
        reversed_minor bigint NOT NULL, currency text NOT NULL, destination text NOT NULL,
        attempt bigint NOT NULL, transfer_id text, reason text, made_by text NOT NULL, approved_by text,
        recorded_at {time} NOT NULL, changed_at {time} NOT NULL, intent_at {time}, confirmed_at {time},
        paid_at {time}, position bigint NOT NULL,
        CONSTRAINT pk_payouts PRIMARY KEY (payout_id)
    )
    """,
    """
    CREATE TABLE payout_attempts (
        payout_id {uuid} NOT NULL, attempt bigint NOT NULL, state text NOT NULL,
        idempotency_key text NOT NULL, transfer_id text, code text, message text,
        intent_at {time} NOT NULL, changed_at {time} NOT NULL, position bigint NOT NULL,
        CONSTRAINT pk_payout_attempts PRIMARY KEY (payout_id, attempt)
    )
    """,
)

INDEXES = (
    ("journal", "partner_id, program_id, position"),
    ("journal", "reward_id"),
    ("balances", "partner_id"),
    ("conversions", "customer_id, effective_at"),
    ("conversions", "program_id, effective_at, conversion_id"),
    ("conversion_facts", "conversion_id"),
    ("rewards", "conversion_id"),
    ("rewards", "partner_id, effective_at"),
    ("rewards", "program_id, partner_id, effective_at, reward_id"),
    ("not_rewarded", "program_id, position"),
    ("programs", "reference"),
    ("partners", "reference"),
    ("partner_group_members", "program_id, partner_group"),
    ("agreements", "partner_id"),
    ("agreements", "program_id, partner_id"),
    ("referral_codes", "partner_id"),
    ("referral_codes", "program_id, partner_id"),
    ("referrals", "customer_id"),
    ("referrals", "partner_id, effective_at"),
    ("referrals", "program_id, effective_at, referral_id"),
    ("customers", "program_id, customer"),
    ("payout_batches", "program_id, recorded_at"),
    ("payouts", "batch_id"),
    ("payouts", "partner_id, recorded_at"),
    ("payouts", "program_id, partner_id, recorded_at"),
    ("payouts", "state"),
    ("payouts", "transfer_id"),
)

# Most legs are not of a payout.
PARTIAL_INDEX = "CREATE INDEX ix_journal_payout_id ON journal (payout_id) WHERE payout_id IS NOT NULL"

# A journal entry is added whole, in one statement, so each statement's rows can be held to the rule of books.
POSTGRESQL_GUARDS = (
    """
    CREATE FUNCTION refuse_unbalanced_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        unbalanced record;
    BEGIN
        SELECT position, currency, sum(amount_minor) AS sum_minor INTO unbalanced
        FROM added GROUP BY position, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'the legs of position % sum to % %, not to zero',
                unbalanced.position, unbalanced.sum_minor, unbalanced.currency
                USING ERRCODE = 'check_violation';
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER journal_zero_sum AFTER INSERT ON journal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refuse_unbalanced_entry()
    """,
    """
    CREATE FUNCTION refuse_change_of_journal() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'legs of the journal are never changed or removed: % is refused', TG_OP
            USING ERRCODE = 'insufficient_privilege', HINT = 'To make it anew: revshare rebuild journal';
    END
    $$
    """,
    """
    CREATE TRIGGER journal_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_journal()
    """,
)

SQLITE_GUARDS = (
    """
    CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal BEGIN
        SELECT RAISE(ABORT, 'legs of the journal are never changed or removed: UPDATE is refused');
    END
    """,
    """
    CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal BEGIN
        SELECT RAISE(ABORT, 'legs of the journal are never changed or removed: DELETE is refused');
    END
    """,
)


def upgrade() -> None:
    """Make the tables, and let every view begin at the log's start."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    types = {"uuid": "uuid", "time": "timestamptz"} if postgresql else {"uuid": "char(32)", "time": "text"}
    for table in TABLES:
        op.execute(table.format(**types))
    for table, columns in INDEXES:
        op.execute(f"CREATE INDEX ix_{table}_{columns.replace(', ', '_')} ON {table} ({columns})")
    op.execute(PARTIAL_INDEX)
    for statement in POSTGRESQL_GUARDS if postgresql else SQLITE_GUARDS:
        op.execute(statement)
    for view in VIEWS:
        op.execute(f"INSERT INTO positions (name, position) VALUES ('view:{view}', 0)")


def downgrade() -> None:
    """Remove the views: they can be made anew from the log at any time."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table.split()[2]}")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION refuse_unbalanced_entry(), refuse_change_of_journal()")
    op.execute("DELETE FROM positions WHERE name LIKE 'view:%'")
