"""The first schema: jobs, what is ready, who runs what, workflows, queues, workers, totals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "job_counts",
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "job_dependencies",
        sa.Column("upstream_id", sa.UUID, nullable=False),
        sa.Column("job_id", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.PrimaryKeyConstraint("upstream_id", "job_id", name="job_dependencies_pkey"),
    )
    op.create_table(
        "job_leases",
        sa.Column("job_id", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("lease_id", sa.UUID, nullable=False),
        sa.Column("token", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.UUID, nullable=False),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.UUID),
        sa.Column("claimed_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("progress", postgresql.JSON()),
        sa.PrimaryKeyConstraint("job_id", name="job_leases_pkey"),
        postgresql_with={"fillfactor": "70"},
    )
    op.create_index("job_leases_owner_idx", "job_leases", ["owner"])
    op.create_index(
        "job_leases_workflow_idx",
        "job_leases",
        ["workflow_id"],
        postgresql_where=sa.text("workflow_id is not null"),
    )
    op.create_table(
        "job_ready",
        sa.Column("job_id", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("scheduled_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("status", sa.Text, server_default=sa.text("'PENDING'"), nullable=False),
        sa.PrimaryKeyConstraint("job_id", name="job_ready_pkey"),
    )
    op.create_index(
        "job_ready_lane_idx",
        "job_ready",
        ["tenant_id", "queue", "priority", "type", "scheduled_at", "job_id"],
    )
    op.create_table(
        "jobs",
        sa.Column("job_id", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("queue", sa.Text, nullable=False),
        sa.Column("payload", postgresql.JSON(), nullable=False),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("requested_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("scheduled_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("retry_kind", sa.Text, nullable=False),
        sa.Column("max_retries", sa.SmallInteger(), nullable=False),
        sa.Column("retry_base_us", sa.BigInteger(), nullable=False),
        sa.Column("retry_max_us", sa.BigInteger(), nullable=False),
        sa.Column("timeout_us", sa.BigInteger(), nullable=False),
        sa.Column("workflow_id", sa.UUID),
        sa.Column("key", sa.Text),
        sa.Column("depends_on", sa.ARRAY(sa.UUID)),
        sa.Column("waits_for", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("status", sa.Text, server_default=sa.text("'PENDING'"), nullable=False),
        sa.Column("suspect", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("worker_id", sa.Text),
        sa.Column("attempt", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("retry_count", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("lease_token", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("worker_deaths", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("claimed_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("dead_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("error_message", sa.Text),
        sa.Column("errors", postgresql.JSONB()),
        sa.Column("history", postgresql.JSONB()),
        sa.Column("result", postgresql.JSON()),
        sa.Column("traceparent", sa.Text, nullable=False),
        sa.CheckConstraint("(status = 'DEAD') = (dead_at is not null)", name=op.f("jobs_dead_at_check")),
        sa.CheckConstraint(
            "retry_kind in ('fixed', 'exponential', 'jitter')", name=op.f("jobs_retry_kind_check")
        ),
        sa.CheckConstraint(
            "status in ('PENDING', 'SUCCESS', 'RETRYING', 'DEAD', 'CANCELED')", name=op.f("jobs_status_check")
        ),
        sa.CheckConstraint("priority between 0 and 10", name=op.f("jobs_priority_check")),
        sa.CheckConstraint("waits_for >= 0", name=op.f("jobs_waits_for_check")),
        sa.PrimaryKeyConstraint("job_id", name="jobs_pkey"),
        sa.UniqueConstraint("tenant_id", "idempotency_key", name="jobs_tenant_id_idempotency_key_key"),
        postgresql_with={"fillfactor": "45"},
    )
    op.create_index("jobs_blocked_idx", "jobs", ["job_id"], postgresql_where=sa.text("waits_for > 0"))
    op.create_index("jobs_dead_idx", "jobs", ["job_id"], postgresql_where=sa.text("dead_at is not null"))
    op.create_index(
        "jobs_workflow_idx",
        "jobs",
        ["workflow_id", "job_id"],
        postgresql_where=sa.text("workflow_id is not null"),
    )
    op.create_table(
        "metric_totals",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("value", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("name", "labels", name="metric_totals_pkey"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "queues",
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("paused_at", postgresql.TIMESTAMP(timezone=True)),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="queues_pkey"),
    )
    op.create_table(
        "workers",
        sa.Column("incarnation", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("worker_id", sa.Text, nullable=False),
        sa.Column("hostname", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("max_concurrent_jobs", sa.Integer, nullable=False),
        sa.Column("queues", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("types", sa.ARRAY(sa.Text), nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("registered_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("last_heartbeat", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("cpu_percent", sa.Double()),
        sa.Column("memory_percent", sa.Double()),
        sa.CheckConstraint(
            "status in ('ACTIVE', 'DRAINING', 'STALE', 'STOPPED')", name=op.f("workers_status_check")
        ),
        sa.PrimaryKeyConstraint("incarnation", name="workers_pkey"),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("workers_worker_id_idx", "workers", ["worker_id"])
    op.create_table(
        "workflows",
        sa.Column("workflow_id", sa.UUID, nullable=False),
        sa.Column("tenant_id", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("config", postgresql.JSON(), nullable=False),
        sa.Column("created_at", postgresql.TIMESTAMP(timezone=True), nullable=False),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("canceled_at", postgresql.TIMESTAMP(timezone=True)),
        sa.Column("total_jobs", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("succeeded_jobs", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("failed_jobs", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.Column("canceled_jobs", sa.Integer, server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint(
            "least(total_jobs, succeeded_jobs, failed_jobs, canceled_jobs) >= 0",
            name=op.f("workflows_counts_check"),
        ),
        sa.PrimaryKeyConstraint("workflow_id", name="workflows_pkey"),
        sa.UniqueConstraint("tenant_id", "name", name="workflows_tenant_id_name_key"),
        postgresql_with={"fillfactor": "70"},
    )


def downgrade() -> None:
    op.drop_table("workflows")
    op.drop_table("workers")
    op.drop_table("queues")
    op.drop_table("metric_totals")
    op.drop_table("jobs")
    op.drop_table("job_ready")
    op.drop_table("job_leases")
    op.drop_table("job_dependencies")
    op.drop_table("job_counts")
