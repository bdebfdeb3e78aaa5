"""``docs/python.md`` names every method of the clients and every error of theirs."""

import re

import schedora
from schedora.entrypoints.sdk import errors
from schedora.entrypoints.sdk.client import Endpoint, SchedoraClient, Stream
from tests.docs.pages import ROOT, table

PAGE = ROOT / "docs" / "python.md"
OF_CLIENTS = table(PAGE, "error", nth=1)


def test_every_method_of_the_clients_is_told() -> None:
    told = [name for row in table(PAGE, "methods") for name in re.findall(r"\w+", row["methods"])]
    methods = {
        name for name in dir(SchedoraClient) if isinstance(getattr(SchedoraClient, name), (Endpoint, Stream))
    }
    assert sorted(told) == sorted(methods)


def test_every_error_of_the_clients_is_told_with_its_status() -> None:
    rows = {row["error"]: row["when"] for row in OF_CLIENTS}
    kinds: list[type[errors.SchedoraError]] = [errors.SchedoraError, *errors.SchedoraError.__subclasses__()]
    assert {kind.__name__ for kind in kinds} <= rows.keys()
    for status in (400, 404, 409, 413, 422, 503):
        error = errors.error_of(errors.Problem(status=status), "GET /jobs", None)
        assert str(status) in rows[type(error).__name__]


def test_the_errors_of_the_app_are_public() -> None:
    assert {row["error"] for row in table(PAGE, "error")} <= set(schedora.__all__)
