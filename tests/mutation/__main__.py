"""``make mutate``: change the code in small ways, one at a time, and see whether a test fails: ``--help``."""

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence

from tests.mutation.mutants import UNTRIED, Mutant, counted, score
from tests.mutation.packages import PACKAGES, Package
from tests.mutation.survivors import unnamed
from tests.mutation.workshop import MutationFailed, Workshop

COLUMNS = ("killed", "timeout", "survived", "no tests")


def main(argv: Sequence[str] | None = None) -> int:
    """Mutate what is asked for. 1 when too many mutants of a package survive, 2 when they can't be made or tried, as
    where a test fails without a change, 130 when interrupted.
    """
    arguments = _arguments(argv)
    chosen = [one for one in PACKAGES if not arguments.package or one.name in arguments.package]
    try:
        enough = [_tried(package, arguments) for package in chosen]
    except MutationFailed as failure:
        print(failure, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nBroken off. What was tried is kept: --again goes on with the others.", file=sys.stderr)
        return 130
    return 0 if all(enough) else 1


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutate ARGS=…", description=__doc__)
    names = [package.name for package in PACKAGES]
    parser.add_argument("package", nargs="*", help=f"{', '.join(names)}; all without any")
    parser.add_argument(
        "--again",
        action="store_true",
        help="try those alone that were not found, not tried, or are of functions that have changed;"
        " what was found stays so, whatever has become of the tests",
    )
    parser.add_argument("--report", action="store_true", help="try none: tell of those that were tried")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="so many at once")
    arguments = parser.parse_args(argv)
    if unknown := set(arguments.package) - set(names):
        parser.error(f"no package is called {', '.join(sorted(unknown))}")
    return arguments


def _tried(package: Package, arguments: argparse.Namespace) -> bool:
    """Whether enough of its mutants were found."""
    workshop = Workshop(package)
    if not arguments.report:
        workshop.run(children=arguments.children, again=arguments.again)
    mutants = workshop.mutants()
    reached = score(mutants)
    _print_table(package, mutants)
    if left := unnamed(mutants):
        print("\nNot named in docs/decisions/0028-mutation-tests.md:\n")
        print(workshop.changes(left))
    if untried := counted(mutants)[UNTRIED]:
        print(f"\n{untried:,} were not tried: --again goes on with them.")
    enough = reached >= package.killed_min
    print(
        f"\n{package.folder}: {reached:.1%} found, {package.killed_min:.0%} wanted{'' if enough else ': TOO FEW'}\n"
    )
    return enough


def _print_table(package: Package, mutants: Sequence[Mutant]) -> None:
    by_module: dict[str, list[Mutant]] = defaultdict(list)
    for one in mutants:
        by_module[one.module].append(one)
    width = max(map(len, [*by_module, package.folder]))
    print(f"\n{'':{width}}  mutants  {'  '.join(COLUMNS)}  other   found")
    for name, ones in [*sorted(by_module.items()), (package.folder, list(mutants))]:
        counts = counted(ones)
        told = "  ".join(f"{counts[column]:{len(column)}}" for column in COLUMNS)
        other = len(ones) - sum(counts[column] for column in COLUMNS)
        print(f"{name:{width}}  {len(ones):7}  {told}  {other:5}  {score(ones):6.1%}")


if __name__ == "__main__":
    sys.exit(main())
