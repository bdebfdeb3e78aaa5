"""How busy this process is."""

import psutil

from schedora.application.pipeline.heartbeat import Vitals


class ProcessVitals:
    """``cpu_percent`` is that of one core since the last reading, ``memory_percent`` the resident share."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first reading has no span to speak of

    def __call__(self) -> Vitals:
        return Vitals(
            cpu_percent=round(self._process.cpu_percent(), 1),
            memory_percent=round(self._process.memory_percent(), 2),
        )
