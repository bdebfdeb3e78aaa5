"""Measure the candidates for the storage: `python -m benchmarks.storage --help`."""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
import sys

from benchmarks.storage.experiments import experiments
from benchmarks.storage.report import table
from benchmarks.storage.rounds import run
from benchmarks.storage.server import temporary_server


def main() -> int:
    """Run the experiments asked for on a fresh server and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storage", description=__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="experiments by name, as shell patterns")
    parser.add_argument("--list", action="store_true", help="name the experiments and stop")
    parser.add_argument("--rounds", type=int, default=3, help="rounds over all cases of an experiment (3)")
    parser.add_argument(
        "--stored", type=int, default=1_000_000, help="jobs stored besides those drained (1000000)"
    )
    parser.add_argument("--long", type=int, default=200_000, help="jobs of a long drain (200000)")
    arguments = parser.parse_args()
    chosen = [
        experiment
        for experiment in experiments(arguments.stored, arguments.long)
        if any(fnmatch.fnmatch(experiment.name, pattern) for pattern in arguments.patterns)
    ]
    if not chosen:
        parser.error(f"no experiment is named {', '.join(arguments.patterns)}")
    if arguments.list:
        for experiment in chosen:
            print(f"{experiment.name:20} {experiment.question}")
        return 0
    with temporary_server() as url:
        for experiment in chosen:
            print(table(experiment, asyncio.run(run(url, experiment, arguments.rounds))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
