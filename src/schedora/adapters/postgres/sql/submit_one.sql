-- As submit_alike.sql, for one new job: nothing is taken apart, and the row that is answered is the one that is ready.
-- No row where nothing is created: the key is taken, or the queue is new.
--
-- A full queue of notifications fails the commit of whoever adds to it: a hint is never worth that. It fills up where a
-- session that listens, whoever's it is, leaves a transaction open for hours.
--
-- Locks: the idempotency key, waited for as long as the transaction may. Then adds to everything else.
-- Index: jobs_tenant_id_idempotency_key_key, queues_pkey.
with
{create_one}
insert into job_ready (job_id, tenant_id, queue, priority, type, scheduled_at)
select :job_id::uuid, :tenant_id::int, :queue::text, :priority::int, :type::text, c.scheduled_at from created c
returning
    statement_timestamp() as created_at,
    case
        when :hint::text is not null and pg_notification_queue_usage() < 0.5 then pg_notify('schedora', :hint::text)::text
    end as hinted
