-- Takes locked jobs away from wherever they wait or run, before save.sql gives them their new place.
--
-- Locks: job_ready, then job_leases, which the transaction holds already.
-- Index: job_ready_pkey, job_leases_pkey.
with
ready as (
    delete from job_ready r where r.job_id = any(:job_id::uuid[])
),
leased as (
    delete from job_leases l where l.job_id = any(:job_id::uuid[])
)
select 1 as done
