"""How far searches through a table have come: one row for each kind, from which all processes go on."""

from schedora.adapters.postgres.statements import written

# Looks before it inserts: a conflict with a row that another sweep is changing would be waited for.
BEGIN = written("""
insert into sweeps (name)
select :name::text
where not exists (select from sweeps s where s.name = :name::text)
on conflict do nothing
""")
