-- The leases of one incarnation. Locks nothing. Index: job_leases_owner_idx.
select l.lease_id from job_leases l where l.owner = :owner::uuid
