"""The results for people: a Markdown page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from benchmarks.systems.catalogue import Property, Role

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.figures import Figure
    from benchmarks.results import CaseResult, Results
    from benchmarks.scenarios.scenario import Scenario
    from benchmarks.systems.catalogue import System


@frozen(kw_only=True)
class Headline:
    """One column of the overview."""

    title: str
    scenario: str
    case: str
    key: str
    digits: int = 0
    against: str | None = None
    """The case to which the ratio is told instead of the figure."""
    more_is_better: bool = True

    def figure(self, results: Results, system: str) -> Figure | None:
        result = results.find(self.scenario, self.case, system)
        if result is None:
            return None
        if self.against is None:
            return result.figure(self.key)
        return result.ratio(results.find(self.scenario, self.against, system), self.key)


_RATE = "jobs_per_second"
HEADLINES = (
    Headline(title="submit one by one, jobs/s", scenario="submit", case="one by one", key=_RATE),
    Headline(title="submit 50 at once, jobs/s", scenario="submit", case="50 at once", key=_RATE),
    Headline(title="submit in batches, jobs/s", scenario="submit", case="batches of 1,000", key=_RATE),
    Headline(title="drain, 1 worker, jobs/s", scenario="drain", case="1 worker", key=_RATE),
    Headline(title="drain, 2 workers, jobs/s", scenario="drain", case="2 workers", key=_RATE),
    Headline(
        title="pick-up p50, ms",
        scenario="pickup",
        case="steady",
        key="p50_ms",
        digits=1,
        more_is_better=False,
    ),
    Headline(
        title="pick-up p99, ms",
        scenario="pickup",
        case="steady",
        key="p99_ms",
        digits=1,
        more_is_better=False,
    ),
    Headline(
        title="drain with 200,000 delayed stored, to none",
        scenario="backlog",
        case="200,000 delayed",
        key=_RATE,
        digits=2,
        against="nothing",
    ),
    Headline(
        title="24 idle workers at 50 jobs/s, processor ms a job",
        scenario="herd",
        case="24 workers",
        key="processor_ms_per_job",
        digits=1,
        more_is_better=False,
    ),
    Headline(
        title="idle, statements/s",
        scenario="idle",
        case="worker",
        key="statements_per_second",
        digits=2,
        more_is_better=False,
    ),
)


def page(results: Results, scenarios: Sequence[Scenario], systems: Mapping[str, System]) -> str:
    """Write the page: where it was measured, an overview, each scenario's table, the systems and their settings."""
    lines = ["# Benchmarks", "", *_place(results), *_overview(results, systems)]
    for scenario in scenarios:
        if cases := results.of(scenario.name):
            run = results.runs[scenario.name]
            conditions = (
                f"{run.began_at}, {run.scale} scale, {run.rounds} {'round' if run.rounds == 1 else 'rounds'}"
            )
            lines += ["", f"## {scenario.name}", "", f"{scenario.question}. {conditions}.", ""]
            lines += _table(scenario, cases, systems, results)
            lines += _failures(cases, systems)
    lines += _notes(results, systems)
    return "\n".join(lines) + "\n"


def _overview(results: Results, systems: Mapping[str, System]) -> Iterator[str]:
    told = {name: [headline.figure(results, name) for headline in HEADLINES] for name in results.systems}
    columns = [index for index in range(len(HEADLINES)) if any(figures[index] for figures in told.values())]
    if not columns:
        return
    yield ""
    yield "## overview"
    yield ""
    yield f"| system | {' | '.join(HEADLINES[index].title for index in columns)} | lacks |"
    yield f"| --- | {'---: | ' * len(columns)}--- |"
    for name, figures in told.items():
        cells = [_cell(figures[index], HEADLINES[index].digits, spread=False) for index in columns]
        if any(cells):
            yield f"| {_title(systems[name])} | {' | '.join(cells)} | {', '.join(systems[name].lacks)} |"


def _place(results: Results) -> Iterator[str]:
    machine = results.machine
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gigabytes']} GB, "
        f"{machine['system']}, Python {machine['python']}."
    )
    yield ""
    yield (
        "PostgreSQL: " + ", ".join(f"`{name}` {value}" for name, value in machine["postgresql"].items()) + "."
    )
    yield ""
    yield "Versions: " + ", ".join(f"{name} {value}" for name, value in machine["versions"].items()) + "."
    yield ""
    yield (
        "Every figure is the median of its rounds, with the least and the most in brackets; a ratio is taken in each"
        " round by itself. In italics: limits, which are no queues to use."
    )
    for name, reason in results.missing.items():
        yield ""
        yield f"Left out: {name}: {reason}"


def _table(
    scenario: Scenario, cases: Sequence[CaseResult], systems: Mapping[str, System], results: Results
) -> Iterator[str]:
    metrics = [metric for metric in scenario.metrics if any(case.figure(metric.key) for case in cases)]
    main = scenario.metrics[0].key
    with_ratio = any(case.against for case in cases)
    limit = _limit(cases, systems)
    heads = ["case", "system", *(metric.title for metric in metrics)]
    heads += [f"to {_against(cases)}"] if with_ratio else []
    heads += [] if limit is None else [f"to {limit.title}"]
    yield f"| {' | '.join(heads)} | lacks |"
    yield f"| --- | --- | {'---: | ' * (len(heads) - 2)}--- |"
    for name in dict.fromkeys(case.case for case in cases):
        for case in (case for case in cases if case.case == name):
            system = systems[case.system]
            cells = [name, _title(system)]
            cells += [_cell(case.figure(metric.key), metric.digits) for metric in metrics]
            if with_ratio:
                other = results.find(case.scenario, case.against, case.system)
                cells.append(_cell(case.ratio(other, main), 2))
            if limit is not None:
                cells.append(_cell(case.ratio(results.find(case.scenario, name, limit.name), main), 2))
            yield f"| {' | '.join(cells)} | {', '.join(system.lacks)} |"


def _against(cases: Sequence[CaseResult]) -> str:
    """The case that all are compared to, or what those have in common of which each has its own."""
    names = {case.against for case in cases if case.against}
    return names.pop() if len(names) == 1 else names.pop().rpartition(", ")[2]


def _limit(cases: Sequence[CaseResult], systems: Mapping[str, System]) -> System | None:
    """Of those measured the one that promises the most."""
    limits = [systems[case.system] for case in cases if systems[case.system].role is Role.LIMIT]
    return min(limits, key=lambda system: len(system.lacks), default=None)


def _title(system: System) -> str:
    return f"*{system.title}*" if system.role is Role.LIMIT else system.title


def _cell(figure: Figure | None, digits: int, *, spread: bool = True) -> str:
    if figure is None:
        return ""
    median, least, most = (f"{value:,.{digits}f}" for value in (figure.median, figure.least, figure.most))
    return median if least == most or not spread else f"{median} ({least} to {most})"


def _failures(cases: Sequence[CaseResult], systems: Mapping[str, System]) -> Iterator[str]:
    for case in cases:
        title = systems[case.system].title
        if case.unable is not None:
            yield f"\n{title}, {case.case}: not possible. {case.unable}"
        if case.broken is not None:
            yield f"\n{title}, {case.case}: **failed**. {_gist(case.broken)}"


def _gist(message: str) -> str:
    """Without the frames of a traceback, which the results in JSON have."""
    lines = (
        line.removesuffix("Traceback (most recent call last):").rstrip() for line in message.splitlines()
    )
    return "\n".join(line for line in lines if line and not line.startswith(" "))


def _notes(results: Results, systems: Mapping[str, System]) -> Iterator[str]:
    yield ""
    yield "## Systems"
    meanings = ", ".join(f"*{item.value}*: {item.meaning}" for item in Property)
    yield f"\nWhat a system may lack and be faster for it: {meanings}."
    for name in results.systems:
        system = systems[name]
        yield f"\n### {system.title}\n"
        if versions := results.systems[name]["requirements"]:
            yield f"- {', '.join(versions)}"
        for lack, reason in system.lacks.items():
            yield f"- lacks *{lack}*: {reason}"
        for setting in system.settings:
            yield f"- {setting.what}: {setting.why} ({setting.source})"
