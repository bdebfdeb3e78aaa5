"""Plans of tortures that tests need."""

from datetime import timedelta
from pathlib import Path
from typing import Any

from schedora_torture.plan import Plan


def a_plan(**fields: Any) -> Plan:
    given = {"duration": timedelta(minutes=5), "seed": 1, "run": "r", "directory": Path("logs"), **fields}
    return Plan(**given)
