"""Since when somebody has been looking for silent workers, so that an outage of the store makes nobody silent.

Works with the release before, which goes by the silence of workers alone.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker_watch",
        sa.Column("one", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("watched_since", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("watched_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("one", name="worker_watch_pkey"),
        sa.CheckConstraint("one", name=op.f("worker_watch_one_check")),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade() -> None:
    op.drop_table("worker_watch")
