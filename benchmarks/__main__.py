"""Measure Schedora, its peers and the limit of the database: `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import asdict, evolve
from benchmarks import machine
from benchmarks.bench import Bench
from benchmarks.chart import draw
from benchmarks.postgres import temporary_server
from benchmarks.report import page
from benchmarks.results import Results, Run
from benchmarks.running import run
from benchmarks.scenarios.catalogue import scenarios
from benchmarks.sizes import SIZES
from benchmarks.systems.catalogue import Role, catalogue
from benchmarks.systems.environments import EnvironmentUnavailable
from benchmarks.systems.redis_server import RedisUnavailable, redis_server

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.scenarios.scenario import Scenario
    from benchmarks.systems.catalogue import System


RESULTS, PAGE = "results.json", "results.md"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure what is asked for. 1 when something failed."""
    arguments = _arguments(argv)
    known = catalogue()
    every = scenarios(workers=arguments.workers, concurrency=arguments.concurrency)
    chosen = [every[name] for name in arguments.scenarios or every]
    sizes = SIZES[arguments.scale]
    if arguments.jobs is not None:
        sizes = evolve(sizes, drain=arguments.jobs, scaling=arguments.jobs)
    results = Results(machine=machine.describe())
    wanted = [known[name] for name in arguments.systems] if arguments.systems else _default(known, arguments)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    earlier = Results.read(output / RESULTS) if arguments.add and (output / RESULTS).exists() else None
    with ExitStack() as stack:
        systems, redis_url = _at_hand(wanted, results, stack)
        server = stack.enter_context(temporary_server())
        bench = Bench(server=server, redis_url=redis_url, sizes=sizes)
        results.machine = {**results.machine, "postgresql": server.settings()}
        results.systems = {system.name: _told(system) for system in systems}
        for scenario in chosen:
            results.runs[scenario.name] = Run(
                began_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
                rounds=arguments.rounds,
                scale=arguments.scale,
                sizes=asdict(sizes),
            )
            able = [s for s in systems if arguments.systems or s.role in scenario.roles]
            results.cases += run(bench, scenario, able, rounds=arguments.rounds, tell=_tell)
            _write(
                output, results, earlier, every, known
            )  # after each: a run that is stopped leaves what it had
    print((output / PAGE).read_text(encoding="utf-8"))
    return 1 if any(case.broken for case in results.cases) else 0


def _write(
    output: Path,
    results: Results,
    earlier: Results | None,
    every: Mapping[str, Scenario],
    known: Mapping[str, System],
) -> None:
    told = evolve(results)
    if earlier is not None:
        told.add(earlier)
    told.write(output / RESULTS)
    (output / PAGE).write_text(page(told, list(every.values()), known), encoding="utf-8")
    draw(told, known, output / "results.svg")


def _at_hand(wanted: Sequence[System], results: Results, stack: ExitStack) -> tuple[list[System], str | None]:
    """Those of the systems that can be had, and the Redis of those that need one; the others are noted."""
    found: list[System] = []
    for system in wanted:
        try:
            system.interpreter()
        except EnvironmentUnavailable as error:
            results.missing[system.name] = str(error)
        else:
            found.append(system)
    if not any(system.needs_redis for system in found):
        return found, None
    try:
        return found, stack.enter_context(redis_server())
    except RedisUnavailable as error:
        for system in found:
            if system.needs_redis:
                results.missing[system.name] = str(error)
        return [system for system in found if not system.needs_redis], None


def _default(known: dict[str, System], arguments: argparse.Namespace) -> list[System]:
    return [system for system in known.values() if arguments.peers or system.role is not Role.PEER]


def _told(system: System) -> dict[str, object]:
    return {
        "title": system.title,
        "requirements": system.requirements(),
        "role": system.role.value,
        "store": system.store.value,
        "lacks": {lack.value: reason for lack, reason in system.lacks.items()},
        "settings": [asdict(setting) for setting in system.settings],
    }


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    names = list(scenarios())
    systems = list(catalogue())
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"all unless named: {', '.join(names)}"
    )
    parser.add_argument("--systems", type=_names, help=f"comma-separated, of {', '.join(systems)}")
    parser.add_argument("--peers", action="store_true", help="all peers, too")
    parser.add_argument(
        "--rounds", type=_positive, default=3, help="rounds over all systems of a scenario (3)"
    )
    parser.add_argument("--scale", choices=SIZES, default="full", help="how much of everything (full)")
    parser.add_argument("--jobs", type=_positive, help="jobs of a drain, whatever the scale says")
    parser.add_argument(
        "--workers", type=_counts, default=(1, 2), help="worker processes of the drains (1,2)"
    )
    parser.add_argument("--concurrency", type=_positive, help="jobs at once in each worker of the drains")
    parser.add_argument(
        "--output", type=Path, default=Path(".bench/results"), help="folder of the results (.bench/results)"
    )
    parser.add_argument(
        "--add",
        action="store_true",
        help="keep what is in that folder of scenarios that are not measured now",
    )
    arguments = parser.parse_args(argv)
    for given, allowed in ((arguments.scenarios, names), (arguments.systems or [], systems)):
        for name in given:
            if name not in allowed:
                parser.error(f"{name!r} is none of {', '.join(allowed)}")
    return arguments


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_positive(part) for part in text.split(","))


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what was started, as after Ctrl-C
    sys.exit(main())
