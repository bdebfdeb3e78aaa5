"""``docs/api.md`` names every call, field and kind of problem, and no others."""

from schedora.entrypoints.api.addresses import PREFIX
from schedora.entrypoints.api.app import create_app
from schedora.entrypoints.api.problems import TITLES
from schedora.entrypoints.api.schemas.job_submission import JobSubmission
from schedora.entrypoints.container.root import build_system
from schedora.entrypoints.settings import load_settings
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "api.md"


def test_the_calls_are_those_of_the_description() -> None:
    paths = create_app(build_system(load_settings(), database_url=None)).openapi()["paths"]
    described = {
        f"{method.upper()} {path.removeprefix(PREFIX)}": operation["responses"]
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    told = {row["call"]: row for row in table(PAGE, "call")}
    assert told.keys() == described.keys()
    for call, responses in described.items():
        success = next(status for status in responses if status.startswith("2"))
        assert told[call]["success"].startswith(success), call


def test_the_fields_of_a_submission_are_told() -> None:
    told = table(PAGE, "field")
    assert {row["field"] for row in told} == JobSubmission.model_fields.keys()
    required = {row["field"] for row in told if row["default"] == "required"}
    assert required == {name for name, field in JobSubmission.model_fields.items() if field.is_required()}
    for row in told:
        default = JobSubmission.model_fields[row["field"]].get_default(call_default_factory=True)
        if row["default"] not in {"required", "none", "now"}:
            assert float(default) == float(row["default"]) if row["default"].isdigit() else True
            assert str(default).removesuffix(".0") == row["default"]


def test_the_kinds_of_problems_are_told() -> None:
    first = "type, after urn:problem-type:schedora:"
    assert {row[first]: row["title"] for row in table(PAGE, first)} == dict(TITLES)
