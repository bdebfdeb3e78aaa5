"""The page and the chart of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from benchmarks.chart import draw
from benchmarks.report import page
from benchmarks.results import CaseResult, Results, Run
from benchmarks.scenarios.catalogue import scenarios
from benchmarks.systems.catalogue import catalogue

MACHINE: dict[str, Any] = {
    "cpu": "a processor",
    "cores": 2,
    "memory_gigabytes": 8.0,
    "system": "a system",
    "python": "3.11.0",
    "postgresql": {"fsync": "on"},
    "versions": {"schedora": "0.1.0"},
}


def rounds(*rates: float) -> list[Mapping[str, float]]:
    return [{"jobs_per_second": rate, "worker_megabytes": 50.0} for rate in rates]


def run(began_at: str, *, count: int = 1) -> Run:
    return Run(began_at=began_at, rounds=count, scale="small", sizes={"drain": 20_000})


@pytest.fixture
def results() -> Results:
    return Results(
        runs={"drain": run("2026-01-02 03:04 UTC", count=3)},
        machine=MACHINE,
        systems={
            "schedora": {"requirements": []},
            "bare_record": {"requirements": []},
            "pgqueuer": {"requirements": ["pgqueuer==1.6.0"]},
        },
        missing={"oban": "the registry can't be reached"},
        cases=[
            CaseResult(scenario="drain", case="1 worker", system="schedora", rounds=rounds(30, 10, 20)),
            CaseResult(scenario="drain", case="1 worker", system="bare_record", rounds=rounds(60, 40, 40)),
            CaseResult(scenario="drain", case="1 worker", system="pgqueuer", broken="it fell over"),
            CaseResult(
                scenario="drain",
                case="2 workers",
                system="schedora",
                against="1 worker",
                rounds=rounds(60, 30, 20),
            ),
        ],
    )


def written(results: Results) -> str:
    return page(results, list(scenarios().values()), catalogue())


def row(results: Results, start: str) -> list[str]:
    (line,) = [line for line in written(results).splitlines() if line.startswith(start)]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_row_has_the_median_with_its_spread_and_its_ratios(results: Results) -> None:
    cells = row(results, "| 2 workers | Schedora")
    assert cells[2] == "30 (20 to 60)"
    assert "2.00 (1.00 to 3.00)" in cells  # to one worker, each round by itself


def test_the_heading_says_what_ratios_are_to(results: Results) -> None:
    assert "to 1 worker" in row(results, "| case |")
    for case in ("drain, off", "drain, on", "posts, off", "posts, on"):
        against = case.replace("on", "off") if case.endswith(", on") else None
        results.cases.append(
            CaseResult(scenario="drain", case=case, system="schedora", against=against, rounds=rounds(1))
        )
    results.cases = [case for case in results.cases if "worker" not in case.case]
    assert "to off" in row(results, "| case |")


def test_a_row_has_its_ratio_to_the_limit(results: Results) -> None:
    assert "0.50 (0.25 to 0.50)" in row(results, "| 1 worker | Schedora")


def test_what_a_system_lacks_stands_beside_its_figure(results: Results) -> None:
    assert row(results, "| 1 worker | *bare SQL, full record*")[-1] == "dependencies, queues"


def test_the_overview_has_a_row_for_each_system_that_was_measured(results: Results) -> None:
    assert row(results, "| Schedora |")[:2] == ["Schedora", "20"]


def test_each_table_says_when_and_how_much_of_it_was_measured(results: Results) -> None:
    assert "2026-01-02 03:04 UTC, small scale, 3 rounds." in written(results)
    results.runs["drain"] = run("2026-01-02 03:04 UTC")
    assert "2026-01-02 03:04 UTC, small scale, 1 round." in written(results)


def test_failures_and_absences_are_told(results: Results) -> None:
    text = written(results)
    assert "**failed**. it fell over" in text
    assert "oban: the registry can't be reached" in text
    assert "- pgqueuer==1.6.0" in text


def test_a_failure_is_told_without_the_frames_of_its_traceback(results: Results) -> None:
    trace = (
        'ended with 1: Traceback (most recent call last):\n  File "x.py", line 1\n    f()\nOops: the reason\n'
    )
    results.cases.append(CaseResult(scenario="drain", case="2 workers", system="pgqueuer", broken=trace))
    assert "2 workers: **failed**. ended with 1:\nOops: the reason\n" in written(results)
    assert "x.py" not in written(results)


def test_the_chart_is_the_same_for_the_same_results(results: Results, tmp_path: Path) -> None:
    draw(results, catalogue(), tmp_path / "one.svg")
    draw(results, catalogue(), tmp_path / "two.svg")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    text = " ".join(ET.parse(tmp_path / "one.svg").getroot().itertext())
    assert "drain, 1 worker" in text
    assert "Schedora" in text


def test_there_is_no_chart_of_nothing(results: Results, tmp_path: Path) -> None:
    results.cases.clear()
    draw(results, catalogue(), tmp_path / "none.svg")
    assert not (tmp_path / "none.svg").exists()


def test_what_was_measured_is_read_as_it_was_written(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results


def test_results_of_another_kind_are_refused(tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text('{"machine": {}, "cases": [1]}')
    with pytest.raises(ValueError, match=r"results\.json has no results of this version"):
        Results.read(tmp_path / "results.json")


def test_a_scenario_that_is_measured_anew_replaces_the_old_one_whole(results: Results) -> None:
    new = Results(
        machine=MACHINE,
        systems={"schedora": {"requirements": ["new"]}},
        cases=[CaseResult(scenario="submit", case="one by one", system="schedora", rounds=rounds(7))],
        runs={"submit": run("2026-01-03 00:00 UTC")},
    )
    old = CaseResult(scenario="submit", case="50 at once", system="schedora", rounds=rounds(5))
    results.cases.append(old)
    results.runs["submit"] = run("2026-01-02 04:00 UTC")
    new.add(results)
    assert [case.case for case in new.of("submit")] == ["one by one"]
    assert new.of("drain") == results.of("drain")
    began_at = {name: run.began_at for name, run in new.runs.items()}
    assert began_at == {"drain": "2026-01-02 03:04 UTC", "submit": "2026-01-03 00:00 UTC"}
    assert new.systems["schedora"] == {"requirements": ["new"]}
    assert "pgqueuer" in new.systems
