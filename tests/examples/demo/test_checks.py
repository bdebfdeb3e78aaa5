"""The demo's expectations of itself."""

import io

from examples.demo.checks import Checks
from rich.console import Console


def test_one_that_fails_fails_all_and_is_seen() -> None:
    checks = Checks()
    checks.expect("the sun rises", holds=True, found="in the east")
    held_before = checks.all_hold
    checks.expect("pigs fly", holds=False, found=0)
    assert (held_before, checks.all_hold) == (True, False)
    output = io.StringIO()
    checks.print_to(Console(file=output, width=80))
    assert output.getvalue() == " ✔ the sun rises  in the east\n ✖ pigs fly  0\n"
