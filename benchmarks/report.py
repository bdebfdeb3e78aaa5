"""The results for people: a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.systems.catalogue import Property, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.figures import Figure
    from benchmarks.results import CaseResult, Results
    from benchmarks.scenarios.scenario import Metric, Scenario
    from benchmarks.systems.catalogue import System

_ROLES = {Role.OURS: "", Role.LIMIT: " (limit)", Role.PEER: ""}


def page(results: Results, scenarios: Sequence[Scenario], systems: Mapping[str, System]) -> str:
    """Write the page: where it was measured, each scenario's table, what the systems lack and how they were set."""
    lines = ["# Benchmarks", "", *_place(results)]
    for scenario in scenarios:
        if cases := results.of(scenario.name):
            lines += ["", f"## {scenario.name}", "", f"{scenario.question}.", ""]
            lines += _table(results, scenario, cases, systems)
            lines += _failures(cases, systems)
    lines += _notes(results, systems)
    return "\n".join(lines) + "\n"


def _place(results: Results) -> Iterator[str]:
    machine = results.machine
    yield (
        f"{results.began_at}. {machine['cpu']}, {machine['cores']} cores, {machine['memory_gigabytes']} GB, "
        f"{machine['system']}, Python {machine['python']}."
    )
    yield ""
    yield (
        "PostgreSQL: " + ", ".join(f"`{name}` {value}" for name, value in machine["postgresql"].items()) + "."
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {value}" for name, value in machine["versions"].items()) + "."
    yield ""
    yield "Every figure is the median of its rounds, with the least and the most in brackets."
    for name, reason in results.missing.items():
        yield ""
        yield f"Left out: {name}: {reason}"


def _table(
    results: Results, scenario: Scenario, cases: Sequence[CaseResult], systems: Mapping[str, System]
) -> Iterator[str]:
    metrics = [metric for metric in scenario.metrics if any(case.figure(metric.key) for case in cases)]
    with_ratio = any(case.against for case in cases)
    heads = ["case", "system", *(metric.title for metric in metrics), *(["ratio"] * with_ratio), "lacks"]
    yield f"| {' | '.join(heads)} |"
    yield f"| --- | --- | {'---: | ' * (len(heads) - 3)}--- |"
    for name in dict.fromkeys(case.case for case in cases):
        for case in (case for case in cases if case.case == name):
            system = systems[case.system]
            cells = [name, system.title + _ROLES[system.role]]
            cells += [_cell(case.figure(metric.key), metric) for metric in metrics]
            if with_ratio:
                cells.append(_ratio(results, scenario, case))
            cells.append(", ".join(system.lacks))
            yield f"| {' | '.join(cells)} |"


def _cell(figure: Figure | None, metric: Metric) -> str:
    if figure is None:
        return ""
    median, least, most = (
        f"{value:,.{metric.digits}f}" for value in (figure.median, figure.least, figure.most)
    )
    return median if least == most else f"{median} ({least} to {most})"


def _ratio(results: Results, scenario: Scenario, case: CaseResult) -> str:
    figure = results.ratio(case, scenario.metrics[0].key)
    return "" if figure is None else f"{figure.median:.2f} ({figure.least:.2f} to {figure.most:.2f})"


def _failures(cases: Sequence[CaseResult], systems: Mapping[str, System]) -> Iterator[str]:
    for case in cases:
        title = systems[case.system].title
        if case.unable is not None:
            yield f"\n{title}, {case.case}: not possible. {case.unable}"
        if case.broken is not None:
            yield f"\n{title}, {case.case}: **failed**. {case.broken}"


def _notes(results: Results, systems: Mapping[str, System]) -> Iterator[str]:
    yield ""
    yield "## Systems"
    meanings = ", ".join(f"*{item.value}*: {item.meaning}" for item in Property)
    yield f"\nWhat a system may lack and be faster for it: {meanings}."
    for name in results.systems:
        system = systems[name]
        yield f"\n### {system.title}\n"
        for lack, reason in system.lacks.items():
            yield f"- lacks *{lack}*: {reason}"
        for setting in system.settings:
            yield f"- `{setting.what}`: {setting.why} ({setting.source})"
