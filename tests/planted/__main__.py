"""``python -m tests.planted``: the table of docs/reliability.md, anew."""

import logging
from collections.abc import Sequence

from tests.model import check as model
from tests.planted.defects import DEFECTS
from tests.planted.expected import MODEL, OUT_OF_SIGHT, SEEDS_MAX
from tests.simulation import check as simulation

COLUMNS = ("defect", "what it is", "simulation: broken", "in seed no.", "model check: broken", "in state no.")
NOT_FOUND = ("not found", "")


def main() -> None:
    logging.disable(logging.CRITICAL)
    _print(COLUMNS)
    _print(["---"] * len(COLUMNS))
    for defect in DEFECTS.values():
        _print([f"`{defect.name}`", defect.told, *_by_simulation(defect.name), *_by_model(defect.name)])


def _by_simulation(name: str) -> tuple[str, str]:
    report = simulation.first_broken(name, SEEDS_MAX)
    if report is None or report.broken is None:
        return NOT_FOUND
    return f"`{report.broken.invariant}`", f"{report.seed + 1}"


def _by_model(name: str) -> tuple[str, str]:
    if (why := OUT_OF_SIGHT.get(name)) is not None:
        return f"not looked for: {why}", ""
    broken = model.first_broken(name, MODEL[name].situation)
    return NOT_FOUND if broken is None else (f"`{broken.invariant}`", f"{broken.states:,}")


def _print(cells: Sequence[str]) -> None:
    print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
