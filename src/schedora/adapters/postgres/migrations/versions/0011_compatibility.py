"""Which code may work on the schema though it does not know it, so that the release before runs on while it is upgraded.

Works with all code that looks at this: see ``schema.py``.
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    compatibility = op.create_table(
        "schema_compatibility",
        sa.Column("one", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.Column("since", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("one", name="schema_compatibility_pkey"),
        sa.CheckConstraint("one", name=op.f("schema_compatibility_one_check")),
    )
    op.bulk_insert(compatibility, [{"since": revision}])


def downgrade() -> None:
    op.drop_table("schema_compatibility")
