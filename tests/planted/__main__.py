"""``python -m tests.planted``: the table of docs/reliability.md, anew."""

import logging

from tests.planted.defects import DEFECTS
from tests.planted.expected import SEEDS_MAX
from tests.simulation.check import first_broken


def main() -> None:
    logging.getLogger("schedora").setLevel(logging.CRITICAL)
    print("| defect | what it is | simulation: broken | in seed no. |\n| --- | --- | --- | --- |")
    for defect in DEFECTS.values():
        report = first_broken(defect.name, SEEDS_MAX)
        found = "not found" if report is None or report.broken is None else f"`{report.broken.invariant}`"
        number = "" if report is None else report.seed + 1
        print(f"| `{defect.name}` | {defect.told} | {found} | {number} |", flush=True)


if __name__ == "__main__":
    main()
