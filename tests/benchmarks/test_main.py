"""The command."""

import json
from pathlib import Path

import pytest
from benchmarks.__main__ import main

pytestmark = pytest.mark.xdist_group("benchmarks")


def test_a_run_leaves_its_rounds_a_page_and_a_chart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["drain", "--systems", "schedora", "--scale", "tiny", "--workers", "1", "--rounds", "2"]
    assert main([*arguments, "--jobs", "150", "--output", str(tmp_path)]) == 0
    results = json.loads((tmp_path / "results.json").read_text())
    (case,) = results["cases"]
    assert (case["scenario"], case["case"], case["system"]) == ("drain", "1 worker", "schedora")
    assert [one["jobs_per_second"] > 0 for one in case["rounds"]] == [True, True]
    assert results["machine"]["postgresql"]["fsync"] == "on"
    assert results["machine"]["postgresql"]["synchronous_commit"] == "on"
    assert (tmp_path / "results.svg").exists()
    first = (tmp_path / "results.json").read_text()
    assert main(["submit", *arguments[1:5], "--rounds", "1", "--add", "--output", str(tmp_path)]) == 0
    added = json.loads((tmp_path / "results.json").read_text())
    assert {name: run["rounds"] for name, run in added["runs"].items()} == {"drain": 2, "submit": 1}
    assert added["runs"]["drain"]["sizes"]["drain"] == 150
    assert [one for one in added["cases"] if one["scenario"] == "drain"] == json.loads(first)["cases"]
    assert capsys.readouterr().out.strip().endswith((tmp_path / "results.md").read_text().strip())


@pytest.mark.parametrize(
    "arguments", [["hum"], ["drain", "--systems", "nobody"], ["--rounds", "0"], ["--workers", "1,x"]]
)
def test_what_is_not_there_is_wrong_use(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "error" in capsys.readouterr().err
