"""How the process of a worker ended, where that was seen, and how many threads of a worker are stuck.

Works with the release before, which looks at neither.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("workers", sa.Column("death", postgresql.JSON))
    op.add_column("workers", sa.Column("stuck_threads", sa.Integer, server_default="0", nullable=False))


def downgrade() -> None:
    op.drop_column("workers", "stuck_threads")
    op.drop_column("workers", "death")
