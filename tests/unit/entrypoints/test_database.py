"""Which database a process works on, and how long it waits for it."""

import time

import pytest
from structlog.testing import capture_logs

from schedora.application.errors import StoreRefuses, StoreUnavailable
from schedora.entrypoints import database
from schedora.entrypoints.database import database_of
from schedora.entrypoints.settings import Settings

URL = "postgresql://u:secret@h/d"


class Server:
    """Away for the first few times that it is asked for."""

    def __init__(self, *errors: StoreUnavailable) -> None:
        self._errors = list(errors)
        self.asked = 0

    def reach(self, url: str) -> None:
        assert url == URL
        self.asked += 1
        if self._errors:
            raise self._errors.pop(0)


def settings(patience_seconds: float) -> Settings:
    return Settings(_env_file=None, database_url=URL, database_start_timeout=patience_seconds)  # type: ignore[call-arg] # how pydantic takes it


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_database_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, no_pauses: list[float]) -> None:
    server = Server(*[StoreUnavailable("no route")] * 20)
    monkeypatch.setattr(database, "reach", server.reach)
    with capture_logs() as lines, database_of(settings(3_600)) as url:
        assert url == URL
    assert server.asked == 21
    assert [(line["log_level"], line["event"]) for line in lines] == [
        ("warning", "waiting for the database"),
        ("info", "the database is there"),
    ]
    assert lines[0]["error"] == "no route"
    assert no_pauses[0] <= 0.2
    assert 1 <= no_pauses[-1] <= 2


def test_database_that_is_there_is_nothing_to_tell_of(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setattr(database, "reach", server.reach)
    with capture_logs() as lines, database_of(settings(3_600)):
        assert server.asked == 1
    assert lines == []


@pytest.mark.parametrize(
    ("error", "patience_seconds"),
    [(StoreUnavailable("no route"), 0), (StoreRefuses("wrong password"), 3_600)],
)
def test_what_is_not_worth_waiting_for_is_told_at_once(
    monkeypatch: pytest.MonkeyPatch, no_pauses: list[float], error: StoreUnavailable, patience_seconds: float
) -> None:
    monkeypatch.setattr(database, "reach", Server(error).reach)
    with (
        capture_logs() as lines,
        pytest.raises(type(error), match=str(error)),
        database_of(settings(patience_seconds)),
    ):
        raise AssertionError("it is not there")
    assert (lines, no_pauses) == ([], [])
