-- Whole workers, with how many jobs each holds.
select
    workers.incarnation, workers.worker_id, workers.hostname, workers.pid, workers.version,
    workers.max_concurrent_jobs, workers.queues, workers.types, workers.status, workers.registered_at,
    workers.last_heartbeat, workers.cpu_percent, workers.memory_percent, workers.stuck_threads,
    workers.death ->> 'how' as death,
    (select count(l.job_id) from job_leases l where l.owner = workers.incarnation) as running_jobs
from workers
