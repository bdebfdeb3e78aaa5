"""What users' type checkers make of the SDK: ``accepted.py`` is right, and every line of ``refused.py`` wrong.

A line there that a checker finds nothing wrong with carries a needless comment, which is an error again.
"""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHECKERS = {
    "mypy": ["mypy", "tests/typed/accepted.py", "tests/typed/refused.py"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_mistakes_are_found_and_nothing_else(checker: str) -> None:
    command = [sys.executable, "-m", *CHECKERS[checker]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
