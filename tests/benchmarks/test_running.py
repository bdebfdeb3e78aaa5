"""Systems in turn, and what becomes of those that can't or fail."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from attrs import define, field
from benchmarks.bench import Bench
from benchmarks.drivers import Broken, Unable
from benchmarks.results import CaseResult
from benchmarks.running import run
from benchmarks.scenarios.metrics import JOBS_PER_SECOND
from benchmarks.scenarios.scenario import Case, Round
from benchmarks.systems.catalogue import Role, Store, System

NO_BENCH = cast("Bench", None)


def system(name: str, *, verbs: frozenset[str] = frozenset({"hum"})) -> System:
    return System(
        name=name,
        title=name.title(),
        role=Role.PEER,
        store=Store.POSTGRESQL,
        redis_beside=False,
        gate=(),
        lacks={},
        settings=(),
        verbs=verbs,
    )


@define
class Humming:
    """A scenario that writes down who was measured when."""

    measure: Callable[[str, str], float] = lambda _system, _case: 1.0
    log: list[str] = field(factory=list)
    name: str = "hum"
    question: str = "How loud"
    metrics = (JOBS_PER_SECOND,)
    verbs = frozenset({"hum"})
    roles = frozenset(Role)

    def cases(self, system: System) -> tuple[Case, ...]:
        return (Case(name="low"), Case(name="high", against="low"))

    @contextmanager
    def prepared(self, bench: Bench, system: System, case: Case) -> Iterator[Round]:
        def measure() -> Mapping[str, float]:
            self.log.append(f"{case.name} {system.name}")
            return {"jobs_per_second": self.measure(system.name, case.name)}

        yield measure


def test_systems_take_turns_in_each_case_and_each_round() -> None:
    scenario = Humming()
    run(NO_BENCH, scenario, [system("a"), system("b")], rounds=2, tell=lambda _line: None)
    assert scenario.log == ["low a", "low b", "high a", "high b"] * 2


def test_a_system_that_does_not_know_the_verb_is_left_out() -> None:
    known, unknown = system("a"), system("b", verbs=frozenset({"submit"}))
    results = run(NO_BENCH, Humming(), [known, unknown], rounds=1, tell=lambda _line: None)
    assert {result.system for result in results} == {"a"}


def test_one_that_fails_is_measured_no_more_and_its_neighbours_are() -> None:
    def measure(name: str, case: str) -> float:
        if name == "a" and case == "low":
            raise Broken("out of breath")
        return 2.0

    scenario = Humming(measure)
    said: list[str] = []
    results = run(NO_BENCH, scenario, [system("a"), system("b")], rounds=2, tell=said.append)
    assert [(r.system, r.case, r.broken, len(r.rounds)) for r in results] == [
        ("a", "low", "out of breath", 0),
        ("b", "low", None, 2),
        ("a", "high", None, 2),
        ("b", "high", None, 2),
    ]
    assert any("out of breath" in line for line in said)


def test_what_a_system_cannot_do_is_no_failure() -> None:
    def measure(_name: str, _case: str) -> float:
        raise Unable("it has no voice")

    results = run(NO_BENCH, Humming(measure), [system("a")], rounds=1, tell=lambda _line: None)
    assert {(r.unable, r.broken) for r in results} == {("it has no voice", None)}


def test_a_ratio_is_taken_in_each_round_by_itself() -> None:
    low = CaseResult(
        scenario="hum", case="low", system="a", rounds=[{"jobs_per_second": 10}, {"jobs_per_second": 20}]
    )
    high = CaseResult(
        scenario="hum",
        case="high",
        system="a",
        against="low",
        rounds=[{"jobs_per_second": 20}, {"jobs_per_second": 20}],
    )
    ratio = high.ratio(low, "jobs_per_second")
    assert ratio is not None
    assert (ratio.least, ratio.median, ratio.most) == (1.0, 1.5, 2.0)


def test_there_is_no_ratio_to_nothing_nor_to_itself() -> None:
    alone = CaseResult(scenario="hum", case="low", system="a", rounds=[{"jobs_per_second": 10}])
    assert alone.ratio(None, "jobs_per_second") is None
    assert alone.ratio(alone, "jobs_per_second") is None
