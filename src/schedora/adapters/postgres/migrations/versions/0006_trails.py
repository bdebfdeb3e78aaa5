"""Trails: the last log lines and the spans of runs, kept with their jobs.

Works with the release before, which leaves none; what it removes jobs of is removed by a reaper of this one.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "trails",
        sa.Column("job_id", sa.UUID, nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("lines", sa.Text, nullable=False),
        sa.Column("lines_dropped", sa.Integer, nullable=False),
        sa.Column("spans", sa.Text, nullable=False),
        sa.Column("spans_dropped", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "token", name="trails_pkey"),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade() -> None:
    op.drop_table("trails")
