"""``python -m tests.simulation``: many seeds on all cores, or one with its trace."""

import argparse
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context

from attrs import define, field

from tests.planted.defects import DEFECTS
from tests.simulation.check import planted, replay_command, simulated
from tests.simulation.world import Report, World

FAILURES_TOLD = 5
TOLD_EVERY = 500


@define
class SharedCounters:
    seeds: int = 0
    jobs: int = 0
    claims: int = 0
    fenced: int = 0
    steps: int = 0
    hours: float = 0.0
    struck: Counter[str] = field(factory=Counter)
    rested: Counter[str] = field(factory=Counter)
    failed: list[Report] = field(factory=list)

    def add(self, report: Report) -> None:
        self.seeds += 1
        self.jobs += report.jobs
        self.claims += report.claims
        self.fenced += report.fenced
        self.steps += report.steps
        self.hours += report.seconds / 3600
        self.struck += report.struck
        self.rested += report.rested
        if report.broken is not None:
            self.failed.append(report)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    if options.seed is not None:
        with planted(options.planted):
            return _replay(options.seed)
    return _many(range(options.first, options.first + options.seeds), options.planted)


def _replay(seed: int) -> int:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)
    report = World(seed).run()
    print("\n".join(report.trace))
    print(f"seed {seed}: {report.broken or 'every invariant holds'}")
    return 0 if report.broken is None else 1


def _many(seeds: range, defect: str | None) -> int:
    totals, began = SharedCounters(), time.monotonic()
    with suppress(KeyboardInterrupt):  # what was seen so far is told
        for report in _on_all_cores(seeds, defect):
            totals.add(report)
            if totals.seeds % TOLD_EVERY == 0:
                print(f"{totals.seeds:,} seeds, {len(totals.failed)} fail", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    print(f"{totals.seeds:,} seeds in {seconds:.0f} s, {totals.seeds / seconds:.1f} a second")
    print(f"{totals.hours:,.0f} hours of simulated time, {totals.steps:,} steps")
    print(f"{totals.jobs:,} jobs, {totals.claims:,} claims, {totals.fenced:,} writes fenced")
    for what, times in sorted(totals.struck.items()):
        print(f"{times:>12,} {what}")
    for reason, times in sorted(totals.rested.items()):
        print(f"{times:>12,} jobs at rest: {reason}")
    for report in sorted(totals.failed, key=lambda one: one.seed)[:FAILURES_TOLD]:
        print(f"seed {report.seed} fails: {report.broken}\n    {replay_command(report.seed, defect)}")
    print(f"{len(totals.failed):,} seeds fail" if totals.failed else "every invariant holds")
    return 1 if totals.failed else 0


def _on_all_cores(seeds: range, defect: str | None) -> Iterator[Report]:
    cores = os.cpu_count() or 1
    size = max(1, min(50, len(seeds) // cores))
    some = [seeds[start : start + size] for start in range(0, len(seeds), size)]
    pool = ProcessPoolExecutor(cores, mp_context=get_context("spawn"))
    try:
        for reports in pool.map(simulated, some, [defect] * len(some)):
            yield from reports
    finally:
        pool.shutdown(cancel_futures=True)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, metavar="N", help="so many (10000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first of them (0)")
    parser.add_argument("--seed", type=int, metavar="N", help="this one alone, and its trace")
    parser.add_argument(
        "--planted", choices=sorted(DEFECTS), metavar="DEFECT", help="with this defect: " + ", ".join(DEFECTS)
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
