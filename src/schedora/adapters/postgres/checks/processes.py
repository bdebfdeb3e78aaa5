"""What processes told of themselves just now."""

from schedora.adapters.postgres.process_reports import fresh_reports
from schedora.adapters.postgres.session import Session
from schedora.application.ports.examination import Expected
from schedora.application.reported import running_processes
from schedora.diagnosis.doctor.processes import Processes
from schedora.domain.process import FRESH_FOR


async def processes(session: Session, *, expected: Expected) -> Processes:
    reports = await fresh_reports(session, FRESH_FOR)
    return Processes(version=expected.version, processes=running_processes(reports))
