"""The runner's tables: ledger, marks, pauses, practices, passes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table of the runner."""
    op.create_table(
        "visits",
        sa.Column("practice", sa.Text, primary_key=True),
        sa.Column("appointment", sa.Text, primary_key=True),
        sa.Column("business", sa.BigInteger, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("patient", sa.Text),
        sa.Column("day", sa.Text),
        sa.Column("start", sa.Text),
        sa.Column("outcome", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("rule", sa.Text, nullable=False),
        sa.Column("compared", sa.Text, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("pass_id", sa.Text, nullable=False),
        sa.Column("decided_at", sa.Text, nullable=False),
        sa.Column("backfilled", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text),
        sa.Column("intent_at", sa.Text),
        sa.Column("settled_at", sa.Text),
        sa.Column("code", sa.Integer),
        sa.Column("customer_id", sa.Text),
        sa.Column("not_found_times", sa.Integer, nullable=False),
        sa.Column("replans", sa.Integer, nullable=False),
        sa.Column("payload", sa.LargeBinary),
    )
    op.create_index("visits_state", "visits", ["state", "business"])
    op.create_index("visits_business", "visits", ["business", "decided_at"])
    op.create_index(
        "visits_planned",
        "visits",
        ["practice", "start", "appointment"],
        sqlite_where=sa.text("state = 'planned'"),
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_index(
        "visits_one_a_day",
        "visits",
        ["business", "practice", "patient", "day"],
        unique=True,
        sqlite_where=sa.text("outcome = 'send'"),
        postgresql_where=sa.text("outcome = 'send'"),
    )
    op.create_table(
        "sync_locations",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("practice", sa.Text, nullable=False),
        sa.Column("mark", sa.Text),
        sa.Column("last_slot", sa.Text),
        sa.Column("last_pass", sa.Text),
        sa.Column("last_success", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("next_due", sa.Text),
        sa.Column("floor", sa.Text),
    )
    op.create_index("sync_locations_due", "sync_locations", ["next_due"])
    op.create_table(
        "sync_pauses",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
    )
    op.create_table(
        "sync_practices",
        sa.Column("practice", sa.Text, primary_key=True),
        sa.Column("authorised", sa.Boolean, nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("names", sa.Text),
        sa.Column("names_at", sa.Text),
    )
    op.create_table(
        "passes",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("practice", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("started_at", sa.Text, nullable=False),
        sa.Column("finished_at", sa.Text),
        sa.Column("report", sa.Text, nullable=False),
    )
    op.create_index("passes_started_at", "passes", ["started_at"])
    op.create_index("passes_practice", "passes", ["practice", "started_at"])
    op.create_table(
        "visit_days",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("day", sa.Text, primary_key=True),
        sa.Column("eligible", sa.Integer, nullable=False),
    )
    op.create_table(
        "sync_meta",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )
