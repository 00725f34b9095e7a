"""Reminders: where each location stands, the appointments that Birdeye was told of, what patients asked for."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "reminder_locations",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("practice", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("mark", sa.Text),
        sa.Column("checked_at", sa.Text),
        sa.Column("cursor", sa.Text),
        sa.Column("last_slot", sa.Text),
        sa.Column("last_success", sa.Text),
        sa.Column("next_due", sa.Text),
    )
    op.create_table(
        "reminder_appointments",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("external", sa.Text, primary_key=True),
        sa.Column("practice", sa.Text, nullable=False),
        sa.Column("status", sa.Text),
        sa.Column("start", sa.Text, nullable=False),
        sa.Column("ends", sa.Text),
        sa.Column("updated_at", sa.Text, nullable=False),
        sa.Column("vanished", sa.Boolean, nullable=False),
        sa.Column("told_at", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )
    op.create_index("reminder_appointments_start", "reminder_appointments", ["business", "start"])
    op.create_index("reminder_appointments_external", "reminder_appointments", ["practice", "external"])
    op.create_table(
        "appointment_requests",
        sa.Column("business", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("request", sa.Text, primary_key=True),
        sa.Column("practice", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("received_at", sa.Text, nullable=False),
        sa.Column("intent_at", sa.Text),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("external", sa.Text),
        sa.Column("settled_at", sa.Text),
        sa.Column("payload", sa.LargeBinary),
    )
    op.create_index("appointment_requests_state", "appointment_requests", ["business", "state"])
