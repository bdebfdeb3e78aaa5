"""One seed is one course of events, whatever else is different."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.no_cover  # tracing would take most of the time; unit tests run these lines as well


def replayed(seed: int, hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--seed", str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:] + done.stderr
    return done.stdout


@pytest.mark.parametrize("seed", [3, 8])
def test_a_seed_is_replayed_exactly_whatever_the_hashes_of_texts(seed: int) -> None:
    once, again = replayed(seed, "1"), replayed(seed, "2")
    assert once.count("\n") > 50, "a trace tells what happened"
    assert once == again
