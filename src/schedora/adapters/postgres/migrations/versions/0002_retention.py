"""Retention: how long each queue keeps what has ended, and how far the sweeps that remove it have come."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

NIL = sa.text("'00000000-0000-0000-0000-000000000000'")
SPANS = ("retention_success", "retention_canceled", "retention_dead")


def upgrade() -> None:
    for name in SPANS:
        op.add_column("queues", sa.Column(name, sa.Interval()))
    op.create_table(
        "sweeps",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("position", sa.UUID, server_default=NIL, nullable=False),
        sa.Column("cleared", sa.UUID, server_default=NIL, nullable=False),
        sa.Column(
            "restarted_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("name", name="sweeps_pkey"),
    )
    op.create_index(
        "job_ready_retrying_idx",
        "job_ready",
        ["job_id"],
        postgresql_include=["tenant_id", "queue"],
        postgresql_where=sa.text("status = 'RETRYING'"),
    )
    op.create_index(
        "workflows_open_idx",
        "workflows",
        ["workflow_id"],
        postgresql_where=sa.text("completed_at is null"),
    )


def downgrade() -> None:
    op.drop_index("workflows_open_idx", "workflows")
    op.drop_index("job_ready_retrying_idx", "job_ready")
    op.drop_table("sweeps")
    for name in SPANS:
        op.drop_column("queues", name)
