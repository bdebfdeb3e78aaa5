"""What ``docs/reliability.md`` says of the simulation and of planted defects is what their tests hold."""

from tests.docs.pages import ROOT, said_of, table
from tests.planted.defects import DEFECTS
from tests.planted.expected import EXPECTED, MODEL, OUT_OF_SIGHT, SEEDS_MAX, STATES_MAX
from tests.simulation.invariants import Seen

PAGE = ROOT / "docs" / "reliability.md"


def test_what_only_a_simulation_sees_is_told_as_the_code_says_it() -> None:
    assert {row["invariant"]: row["what holds"] for row in table(PAGE, "invariant", nth=1)} == said_of(Seen)


def test_each_planted_defect_is_told_with_what_finds_it() -> None:
    rows = {row["defect"]: row for row in table(PAGE, "defect")}
    assert {name: row["what it is"] for name, row in rows.items()} == {
        defect.name: defect.told for defect in DEFECTS.values()
    }
    for name, row in rows.items():
        assert row["simulation: broken"] in EXPECTED[name]
        assert 1 <= int(row["in seed no."]) <= SEEDS_MAX
        if (why := OUT_OF_SIGHT.get(name)) is not None:
            assert (row["model check: broken"], row["in state no."]) == (f"not looked for: {why}", "")
        else:
            assert row["model check: broken"] == MODEL[name].invariant
            assert 1 <= int(row["in state no."].replace(",", "")) <= STATES_MAX
