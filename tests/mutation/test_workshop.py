"""A small package, mutated and tried from end to end."""

from pathlib import Path
from textwrap import dedent

import pytest

from tests.mutation import workshop
from tests.mutation.conftest import Alone
from tests.mutation.mutants import UNTRIED
from tests.mutation.packages import Package
from tests.mutation.workshop import MutationFailed, Workshop

TOY = Package(folder="schedora/toy", tests="checks", killed_min=1)

CODE = """
    from itertools import repeat

    KEPT = []

    def total(numbers):
        KEPT.extend(numbers)
        return sum(numbers)

    def at_most(number):
        return number < 10

    def countdown(number):
        while number > 0:
            number -= 1

    def in_one_call(number):
        # While this runs, Python looks at no signal.
        return sum(repeat(1, 10 ** (number - 9)))

    def close_last(coroutines, number):
        # That one is never awaited is seen when it is collected.
        if number > 0:
            coroutines.pop().close()

    def unasked():
        return 1
"""

TESTS = """
    from schedora.toy import counts

    def test_total():
        assert counts.total([1, 2]) == 3

    def test_what_another_test_has_kept_is_gone():
        assert counts.KEPT == []

    def test_small_numbers():
        assert counts.at_most(1)

    def test_countdown():
        counts.countdown(3)

    def test_in_one_call():
        assert counts.in_one_call(9) == 1

    async def nothing():
        pass

    def test_nothing_is_left():
        ring = [nothing()]
        ring.insert(0, ring)
        counts.close_last(ring, 1)
"""

# Those that hang are known to: nobody has to wait.
BOUNDS = """
    from tests.mutation import bound, trial

    bound.LOOK_SECONDS, bound.SPIN_SECONDS, trial.DEAF_SECONDS = 0.05, 0.2, 0
"""


class Toy:
    """A repository with one package."""

    def __init__(self, root: Path, alone: Alone) -> None:
        self.workshop = Workshop(TOY, root)
        self._root = root
        self._alone = alone
        self.write("src/schedora/__init__.py", "")
        self.write("src/schedora/toy/__init__.py", "")
        self.write("src/schedora/toy/counts.py", CODE)
        self.write("checks/conftest.py", BOUNDS)
        self.write("checks/test_counts.py", TESTS)
        self.write(
            "pytest.ini", "[pytest]\nfilterwarnings = error\naddopts = -p no:schemathesis\n"
        )  # it takes a second to load

    def write(self, name: str, text: str) -> None:
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))

    def remove(self, name: str) -> None:
        (self._root / name).unlink()

    def run(self, *, again: bool = False) -> dict[str, set[str]]:
        """What has become of each function's mutants."""
        self._alone(self.workshop.run, children=2, again=again)
        return self.statuses()

    def statuses(self) -> dict[str, set[str]]:
        mutants = self.workshop.mutants()
        return {
            function: {one.status for one in mutants if one.function == function}
            for function in {one.function for one in mutants}
        }


@pytest.fixture
def toy(tmp_path: Path, alone: Alone) -> Toy:
    return Toy(tmp_path, alone)


def test_each_mutant_is_tried_by_the_tests_that_run_it(toy: Toy) -> None:
    toy.write("src/schedora/toy/gone.py", "def gone():\n    return 1\n")
    assert toy.run() == {
        "gone": {"no tests"},
        "total": {"killed"},
        "at_most": {"survived"},
        "countdown": {"survived", "timeout"},
        "in_one_call": {"killed", "survived", "timeout"},
        "close_last": {"killed", "survived"},
        "unasked": {"no tests"},
    }
    [change] = [one for one in toy.workshop.mutants() if one.function == "unasked"]
    assert "+    return 2" in toy.workshop.changes([change])

    # Again: those that were not found, and those of functions that have changed.
    toy.remove("src/schedora/toy/gone.py")
    toy.write("src/schedora/toy/counts.py", CODE.replace("sum(numbers)", "sum(numbers) + 0"))
    toy.write(
        "checks/test_counts.py",
        """
            from schedora.toy import counts

            def test_small_numbers():
                assert counts.at_most(9) and not counts.at_most(10)

            def test_one():
                assert counts.unasked() == 1
        """,
    )
    assert toy.run(again=True) == {
        "total": {"no tests"},
        "at_most": {"killed"},
        "countdown": {"no tests", "timeout"},  # what was found stays so
        "in_one_call": {"killed", "no tests", "timeout"},
        "close_last": {"killed", "no tests"},
        "unasked": {"killed"},
    }


def test_tests_that_fail_without_a_change_are_told(toy: Toy) -> None:
    toy.write("checks/test_wrong.py", "def test_wrong():\n    assert 'right' == 'wrong'\n")
    with pytest.raises(MutationFailed, match=r"(?s)test_wrong.py::test_wrong.*'right' == 'wrong'"):
        toy.run()
    assert {status for one in toy.statuses().values() for status in one} == {UNTRIED}


def test_tests_that_can_not_be_collected_are_told(toy: Toy) -> None:
    toy.write("checks/test_wrong.py", "import nothing_of_this_name\n")
    with pytest.raises(MutationFailed, match="nothing_of_this_name"):
        toy.run()


def test_tests_that_run_nothing_that_is_changed_are_told(toy: Toy) -> None:
    toy.write("checks/test_counts.py", "def test_nothing():\n    pass\n")
    with pytest.raises(MutationFailed, match="no test runs a function"):
        toy.run()


@pytest.mark.parametrize(
    ("broken", "told"),
    [(RuntimeError("no place left"), MutationFailed), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_mutants_that_are_half_made_are_thrown_away(
    toy: Toy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    broken: BaseException,
    told: type[BaseException],
) -> None:
    def create(_children: int) -> None:
        [made] = tmp_path.rglob("mutants/src/schedora/toy/counts.py")
        made.write_text("def tot")
        raise broken

    monkeypatch.setattr(workshop, "create_mutants", create)
    with pytest.raises(told):
        toy.workshop.run(children=1, again=True)
    assert list(tmp_path.rglob("counts.py")) == [tmp_path / "src" / "schedora" / "toy" / "counts.py"]
