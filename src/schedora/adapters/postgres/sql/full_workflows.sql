-- Whole workflows, with what their kept counts do not tell. Whether any job was ever claimed is asked in this order,
-- and no further than needed: only a workflow of which nothing was is read whole. An exists in place of the
-- limits may be answered by reading whole tables.
select
    workflows.workflow_id, workflows.tenant_id, workflows.name, workflows.description,
    workflows.config::text as config, workflows.created_at, workflows.completed_at, workflows.canceled_at,
    workflows.total_jobs, workflows.succeeded_jobs, workflows.failed_jobs, workflows.canceled_jobs,
    (
        select count(l.job_id)
        from job_leases l
        where l.workflow_id = workflows.workflow_id and l.started_at is not null
    ) as running_jobs,
    case
        when workflows.succeeded_jobs + workflows.failed_jobs > 0 then true
        when coalesce((select true from job_leases l where l.workflow_id = workflows.workflow_id limit 1), false)
            then true
        else coalesce(
            (select true from jobs j where j.workflow_id = workflows.workflow_id and j.lease_token > 0 limit 1), false
        )
    end as begun
from workflows
