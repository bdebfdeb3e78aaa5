"""``schedora torture`` touches nothing that it was not given, and asks before it uses what holds jobs."""

from pathlib import Path

import pytest

from schedora.entrypoints.torture.consent import Inhabitants, objection
from tests.unit.entrypoints.cli.conftest import invoke, refused


def test_one_redis_is_started_or_named() -> None:
    refused(invoke("torture", "--redis", "--redis-url", "redis://there"), 2, "--redis", "not both")


def test_logs_go_into_no_directory_that_holds_anything(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    refused(invoke("torture", "--logs", str(tmp_path)), 2, "is not empty")


@pytest.mark.parametrize("minutes", ["0", "-1", "x"])
def test_minutes_are_some(minutes: str) -> None:
    refused(invoke("torture", "--minutes", minutes), 2, "--minutes")


def test_a_database_that_can_not_be_reached() -> None:
    refused(
        invoke("torture", "--database-url", "postgresql://nobody@127.0.0.1:1/nothing"), 1, "can't be reached"
    )


def test_what_is_no_url(monkeypatch: pytest.MonkeyPatch) -> None:
    refused(invoke("torture", "--database-url", "nothing"), 2, "--database-url")


def test_linux_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    refused(invoke("torture"), 2, "needs Linux")


def test_nobody_may_agree_to_what_takes_jobs_from_live_workers() -> None:
    assert objection(Inhabitants(description="db", jobs=7, workers=0)) is None
    assert "1 live worker" in (objection(Inhabitants(description="db", jobs=0, workers=1)) or "")
