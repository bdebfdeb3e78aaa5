"""Requests that submitted jobs, a batch a row, for their spans.

Works with the release before, which keeps none.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "request_spans",
        sa.Column("id", sa.BigInteger, sa.Identity(), nullable=False),
        sa.Column(
            "at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("span_ids", postgresql.ARRAY(sa.BigInteger), nullable=False),
        sa.Column("requests", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="request_spans_pkey"),
    )
    # Compressing what is mostly chance takes twice as long as all else about it.
    op.execute(
        "alter table request_spans alter span_ids set storage external, alter requests set storage external"
    )
    op.create_index("request_spans_at_idx", "request_spans", ["at"])


def downgrade() -> None:
    op.drop_table("request_spans")
