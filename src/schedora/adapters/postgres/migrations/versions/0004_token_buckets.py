"""Token buckets, by which rates are limited.

Works with the release before: it does not know the table.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "token_buckets",
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("full_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("rest", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="token_buckets_pkey"),
        postgresql_with={"fillfactor": "50"},
    )


def downgrade() -> None:
    op.drop_table("token_buckets")
