"""The first schema: receipts, in force, journal, drift, counts, leases, audit, keys."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    op.create_table(
        "receipts",
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("group_key", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("commit", sa.Text),
        sa.Column("created", sa.Boolean, nullable=False),
        sa.Column("was_active", sa.Boolean, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
    )
    op.create_index("receipts_slug", "receipts", ["slug"])
    op.create_table(
        "in_force",
        sa.Column("slug", sa.Text, primary_key=True),
        sa.Column("business", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("commit", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "in_force_history",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("commit", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "intents",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("plan_id", sa.Text, nullable=False),
        sa.Column("change_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("business", sa.BigInteger, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("endpoint", sa.Text, nullable=False),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("groups_before", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
        sa.Column("settled", sa.Boolean, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("outcome_at", sa.Text),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("group_id", sa.BigInteger),
    )
    op.create_index("intents_settled", "intents", ["settled"])
    op.create_table(
        "runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("plan_id", sa.Text),
        sa.Column("commit", sa.Text),
        sa.Column("started_at", sa.Text, nullable=False),
        sa.Column("finished_at", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.Column("summary", sa.Text, nullable=False),
    )
    op.create_index("runs_started_at", "runs", ["started_at"])
    op.create_table(
        "drift_seen",
        sa.Column("slug", sa.Text, primary_key=True),
        sa.Column("object", sa.Text, primary_key=True),
        sa.Column("path", sa.Text, primary_key=True),
        sa.Column("live", sa.Text, nullable=False),
        sa.Column("first_seen", sa.Text, nullable=False),
    )
    op.create_table(
        "weekly_counts",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("iso_week", sa.Text, primary_key=True),
        sa.Column("counts", sa.Text, nullable=False),
    )
    _create_protection()


def _create_protection() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("lease_id", sa.Text),
        sa.Column("operation", sa.Text, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("run_url", sa.Text),
        sa.Column("commit", sa.Text),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("boot_id", sa.Text, nullable=False),
        sa.Column("pid_namespace", sa.Text, nullable=False),
        sa.Column("process_started", sa.Text, nullable=False),
        sa.Column("acquired_at", sa.Text, nullable=False),
        sa.Column("beat_at", sa.Text, nullable=False),
        sa.Column("beat_elapsed", sa.Double, nullable=False),
        sa.Column("lease_seconds", sa.Double, nullable=False),
    )
    op.create_table(
        "audit",
        sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    op.create_table(
        "keys",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("check_value", sa.LargeBinary, nullable=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Text, nullable=False),
        sa.Column("rotated_at", sa.Text),
    )
