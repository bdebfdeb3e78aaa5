"""Real processes: who ends by itself is noted and started again, once; who does not end when asked to is noted as well."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from schedora_torture import fleet as fleet_module
from schedora_torture.fleet import Fleet
from schedora_torture.patience import until
from tests.programs import PATIENCE_SECONDS

ENDS = "import sys; sys.exit('schedora: {said}')"
STAYS = "import time; print('it runs', flush=True); time.sleep(600)"
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"


@pytest.fixture
async def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Fleet]:
    """Of programs that are told in their first argument."""
    monkeypatch.setattr(fleet_module, "COMMAND", (sys.executable, "-c"))
    made = Fleet(tmp_path)
    yield made
    await made.close()


async def came_to(holds: bool) -> bool:
    return holds


async def test_one_that_ends_by_itself_is_noted_and_started_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "AGAIN_SECONDS", 0)
    member = await fleet.add("worker", 0, [ENDS.format(said="no database")], {})
    assert await until(lambda: came_to(member.starts > 1), PATIENCE_SECONDS)
    first = fleet.endings[0]
    assert (first.name, first.status, first.last_words) == ("worker-1.1", 1, "schedora: no database")
    assert first.in_vain


async def test_one_that_was_at_work_has_not_ended_in_vain(fleet: Fleet) -> None:
    await fleet.add("worker", 0, ["print('worker registered', flush=True);" + ENDS.format(said="oops")], {})
    assert await until(lambda: came_to(bool(fleet.endings)), PATIENCE_SECONDS)
    assert not fleet.endings[0].in_vain


async def test_one_that_is_killed_and_started_again_at_once_has_not_ended_by_itself(fleet: Fleet) -> None:
    member = await fleet.add("worker", 0, [STAYS], {})
    watching = member.watching
    assert watching is not None
    assert await fleet.kill(member), "it was there"
    assert not await fleet.kill(member), "it is no more"
    await fleet.start(member)
    await watching
    assert (member.starts, fleet.endings) == (2, [])


async def test_one_that_somebody_has_started_meanwhile_is_not_started_twice(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet_module, "AGAIN_SECONDS", 0)
    member = await fleet.add("worker", 0, [STAYS], {})
    first, watching = member.process, member.watching
    assert first is not None
    assert watching is not None
    first.kill()
    await first.wait()
    await fleet.start(member)
    await watching
    assert (member.starts, [ending.name for ending in fleet.endings]) == (2, ["worker-1.1"])


@pytest.mark.parametrize(("program", "stubborn"), [(STAYS, []), (DEAF, ["worker-1.1"])])
async def test_one_that_does_not_end_when_it_is_asked_to_is_killed_and_noted(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, stubborn: list[str]
) -> None:
    if stubborn:
        monkeypatch.setattr(fleet_module, "END_SECONDS", 0.1)
    member = await fleet.add("worker", 0, [program], {})
    log = tmp_path / "worker-1.1.log"
    assert await until(lambda: came_to("it runs" in log.read_text()), PATIENCE_SECONDS)
    await fleet.close()
    assert fleet.stubborn == stubborn
    assert not member.runs
    assert fleet.endings == []
