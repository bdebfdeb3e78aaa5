"""What the doctor holds what it finds against, by the settings."""

from datetime import timedelta

import schedora
from schedora.application.ports.examination import Expected
from schedora.entrypoints.settings import Settings


def expected(settings: Settings) -> Expected:
    return Expected(
        version=schedora.__version__,
        heartbeat_timeout=timedelta(seconds=settings.worker_heartbeat_timeout),
        pool_size=settings.database_pool_size,
        pool_overflow=settings.database_max_overflow,
    )
