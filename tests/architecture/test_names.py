"""Names: a thing without a good one is not understood yet."""

import re
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGE, ROOT, RULES, modules, name_of

MEANINGLESS = re.compile(r"(^|_)(utils?|helpers?|managers?|base|common|misc|lib|core)(_|$)")
PORTS_WITH_STORAGE = sorted(
    path.stem
    for path in (PACKAGE / "application" / "ports").glob("[a-z]*.py")
    if path.stem not in {"clock", "randomness", "processes", "metrics", "worker_availability", "span_export"}
)
"""Answered by each storage; the others are answered by the system or the telemetry. Worker availability is in Redis alone: what
comes of them is the contract of the job writer, which holds with them and without.
"""
BESIDE_THE_STORE = {"heartbeats", "run_locks"}
"""Of those: what Redis has beside the rows of PostgreSQL, which does without."""


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_no_module_is_named_for_nothing(path: Path) -> None:
    assert not MEANINGLESS.search(path.stem)


@pytest.mark.parametrize("adapter", ["memory", "store"])
@pytest.mark.parametrize("port", PORTS_WITH_STORAGE)
def test_a_port_and_its_adapters_share_a_file_name(port: str, adapter: str) -> None:
    if adapter == "store":
        adapter = "redis" if port in BESIDE_THE_STORE else "postgres"
    assert (PACKAGE / "adapters" / adapter / f"{port}.py").exists()


@pytest.mark.parametrize("port", PORTS_WITH_STORAGE)
def test_a_port_and_its_contract_test_share_a_file_name(port: str) -> None:
    assert (ROOT / "tests" / "contract" / f"test_{port}.py").exists()


@pytest.mark.parametrize("path", RULES, ids=name_of)
def test_each_module_of_rules_has_its_unit_test(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parent
    assert (ROOT / "tests" / "unit" / folder / f"test_{path.stem}.py").exists()
