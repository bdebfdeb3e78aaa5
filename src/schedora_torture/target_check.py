"""Whether a database that was named may be tortured: what lives there."""

from attrs import frozen

from schedora.adapters.postgres.engine import Database
from schedora.adapters.postgres.location import Location
from schedora.adapters.postgres.schema import check_schema
from schedora.adapters.postgres.session import Session
from schedora.adapters.postgres.statements import Statement, written
from schedora.diagnosis.wording import counted

_LIVE = written("select count(*) as amount from workers where status in ('ACTIVE', 'DRAINING')")
_JOBS = written("select count(*) as amount from jobs")


@frozen(kw_only=True)
class Inhabitants:
    """``jobs`` of any state, and ``workers`` that live."""

    description: str
    jobs: int
    workers: int


async def inhabitants(url: str) -> Inhabitants:
    """Changes nothing. Raises ``WrongSettings`` for what is no URL, ``StoreUnavailable`` and ``SchemaMismatch``."""
    database = Database(url, pool_size=1, max_overflow=0)
    async with database, database.transaction() as session:
        await check_schema(session)
        return Inhabitants(
            description=Location.parse(url).description,
            jobs=await _amount(session, _JOBS),
            workers=await _amount(session, _LIVE),
        )


async def _amount(session: Session, statement: Statement) -> int:
    (row,) = await session.fetch(statement)
    return int(row["amount"])


def objection(found: Inhabitants) -> str | None:
    """Why it must not be, whoever agrees: reapers with a short patience would take jobs from workers with a long one."""
    if found.workers:
        return (
            f"{found.description} has {counted(found.workers, 'live worker')}: stop them first, for the torture would"
            " take their jobs"
        )
    return None
