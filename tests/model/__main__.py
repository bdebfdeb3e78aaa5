"""The table of all situations: ``python -m tests.model``, or those that are named."""

import logging
import sys
import time

from schedora.domain.job_state import MOVES
from tests.model import liveness
from tests.model.search import explore
from tests.model.situations import SITUATIONS, SMALL


def main(names: list[str]) -> int:
    """Prints a row for each; raises for the first that does not hold."""
    if unknown := [name for name in names if name not in {*SITUATIONS, "small"}]:
        print(
            f"no such situation: {unknown[0]!r}; there are: small, {', '.join(SITUATIONS)}", file=sys.stderr
        )
        return 2
    logging.disable(logging.CRITICAL)
    chosen = [name for given in names for name in (SMALL if given == "small" else (given,))] or list(
        SITUATIONS
    )
    print("| situation | states | transitions | moves of the table | steps to the end, at most | seconds |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name in chosen:
        began = time.process_time()
        space = explore(SITUATIONS[name])
        longest = liveness.check(space)
        seconds = time.process_time() - began
        moves = f"{len(space.job_moves)} of {len(MOVES)}"
        row = (name, f"{len(space.systems):,}", f"{len(space.edges):,}", moves, longest, f"{seconds:.0f}")
        print("|", " | ".join(map(str, row)), "|", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
