"""What finds nothing to strike is no strike."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from schedora_torture.faults import Fault, FaultKind
from schedora_torture.strikes import FaultInjector, Strike
from tests.unit.torture.plans import a_plan

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


async def struck(fault: Fault, fleet: Any = None) -> list[Strike]:
    around: Any = SimpleNamespace(plan=a_plan(), database_url=NOWHERE, postgres=None, links={}, fleet=fleet)
    fault_injector = FaultInjector(around, lambda _number, _seconds: None)
    await fault_injector.run((fault,), asyncio.get_running_loop().time(), asyncio.Event())
    return fault_injector.strikes


@pytest.mark.parametrize(
    "kind", [FaultKind.TERMINATE_BACKENDS, FaultKind.EXHAUST_POOLS, FaultKind.EXHAUST_SERVER]
)
async def test_a_database_that_is_away_is_not_struck(kind: FaultKind) -> None:
    assert await struck(Fault(at_seconds=0, kind=kind, hold_seconds=3600)) == []


@pytest.mark.parametrize("there", [True, False])
async def test_a_worker_is_struck_that_is_there(there: bool) -> None:
    class Fleet:
        def of(self, _role: str) -> list[Any]:
            return [SimpleNamespace(role="worker", number=0, name="worker-1.1")]

        def freeze(self, _member: Any) -> bool:
            return there

        def thaw(self, _member: Any) -> None: ...

    fault = Fault(at_seconds=0, kind=FaultKind.FREEZE_WORKER, hold_seconds=0)
    assert [strike.victim for strike in await struck(fault, fleet=Fleet())] == ["worker-1.1"] * there
