"""Events: what happened to jobs, kept for minutes, for whoever looks on.

Works with the release before, which tells nobody.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column(
            "at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("amount", sa.Integer, nullable=False),
        sa.Column("lost", sa.Integer, nullable=False),
        sa.Column("notices", postgresql.JSON, nullable=False),
        sa.PrimaryKeyConstraint("id", name="events_pkey"),
    )
    op.create_table(
        "event_feed",
        sa.Column("one", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("attended_until", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("pruned_to", sa.BigInteger, server_default=sa.text("0"), nullable=False),
        sa.PrimaryKeyConstraint("one", name="event_feed_pkey"),
        sa.CheckConstraint("one", name=op.f("event_feed_one_check")),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade() -> None:
    op.drop_table("event_feed")
    op.drop_table("events")
