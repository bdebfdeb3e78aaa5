-- Appends one batch of events.
--
-- Locks: one advisory lock, up to the commit: so whoever sees an event sees all those before it. It does not wait for
-- the disk: with the server, what was told last may be lost.
-- Index: events_pkey.
with
alone as materialized (
    select pg_advisory_xact_lock(:key::bigint), set_config('synchronous_commit', 'off', true)
)
insert into events (amount, lost, notices)
select :amount::int, :lost::int, :notices::json
from alone
