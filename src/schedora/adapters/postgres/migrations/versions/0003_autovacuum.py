"""When the tables that jobs pass through are vacuumed.

Works with the release before: storage settings change no statement.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

SETTINGS = {
    # What is dead and not yet removed lies between a claim and its jobs. A fifth of a large backlog, the default, is
    # too much of that; but each vacuum reads the whole indexes, so it should find some thousands to remove.
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "5000",
    # Without pauses it is over before much more has died. There is not much to read: these tables are narrow.
    "autovacuum_vacuum_cost_delay": "0",
}
TABLES = ("job_ready", "job_leases", "job_counts")


def upgrade() -> None:
    settings = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
    for table in TABLES:
        op.execute(f"alter table {table} set ({settings})")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"alter table {table} reset ({', '.join(SETTINGS)})")
