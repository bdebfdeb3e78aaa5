-- Adds to the kept counts of locked workflows; one that has ended by that is completed, one that has not is not.
--
-- Locks: workflows, which the transaction holds already.
-- Index: workflows_pkey.
with
changes as materialized (
    select
        c.workflow_id, sum(c.total) as total, sum(c.succeeded) as succeeded, sum(c.failed) as failed,
        sum(c.canceled) as canceled
    from unnest(
        :workflow_id::uuid[], :total::int[], :succeeded::int[], :failed::int[], :canceled::int[]
    ) as c (workflow_id, total, succeeded, failed, canceled)
    group by c.workflow_id
),
counted as (
    select
        w.workflow_id, w.total_jobs + c.total as total, w.succeeded_jobs + c.succeeded as succeeded,
        w.failed_jobs + c.failed as failed, w.canceled_jobs + c.canceled as canceled
    from changes c
    join workflows w on w.workflow_id = c.workflow_id
)
update workflows w
set total_jobs = c.total,
    succeeded_jobs = c.succeeded,
    failed_jobs = c.failed,
    canceled_jobs = c.canceled,
    completed_at = case
        when c.succeeded + c.failed + c.canceled = c.total and (c.total > 0 or w.canceled_at is not null)
            then coalesce(w.completed_at, :at::timestamptz)
    end
from counted c
where w.workflow_id = c.workflow_id
returning w.workflow_id
