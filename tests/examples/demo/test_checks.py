"""The demo's expectations of itself."""

import io

from examples.demo.checks import Checks
from rich.console import Console


def printed(checks: Checks) -> str:
    output = io.StringIO()
    checks.print_to(Console(file=output, width=80))
    return output.getvalue()


def test_one_that_fails_fails_all_and_is_seen() -> None:
    checks = Checks()
    checks.expect("the sun rises", holds=True, found="in the east")
    held_before = checks.all_hold
    checks.expect("pigs fly", holds=False, found=0)
    assert (held_before, checks.all_hold, checks.failed) == (True, False, 1)
    assert printed(checks) == " ✔ the sun rises  in the east\n ✖ pigs fly  0\n"


def test_what_was_found_goes_below_where_the_line_would_be_too_long() -> None:
    checks = Checks()
    checks.expect("a claim", holds=True, found="word " * 20)
    claim, *found = printed(checks).splitlines()
    assert claim == " ✔ a claim"
    assert all(line.startswith("     word") for line in found)
    assert sum(line.count("word") for line in found) == 20
